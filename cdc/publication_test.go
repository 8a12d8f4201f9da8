package cdc

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// T27: what we publish goes on being written by the application; what would not
// is refused with the statement that helps.
func TestPublishingBreaksNothing(t *testing.T) {
	for _, c := range []struct{ name, sql, fix string }{
		{"a deferrable key", `CREATE TABLE t (id int PRIMARY KEY DEFERRABLE, v int); INSERT INTO t VALUES (1, 1)`,
			`ALTER TABLE "public"."t" REPLICA IDENTITY FULL;`},
		{"no key", `CREATE TABLE t (id int, v int); INSERT INTO t VALUES (1, 1)`,
			`ALTER TABLE "public"."t" REPLICA IDENTITY FULL;`},
		{"partitions without an identity", `CREATE TABLE t (id int, v int) PARTITION BY RANGE (id); ALTER TABLE t REPLICA IDENTITY FULL;
			CREATE TABLE part PARTITION OF t FOR VALUES FROM (0) TO (10); INSERT INTO t VALUES (1, 1)`,
			`ALTER TABLE "public"."part" REPLICA IDENTITY FULL;`},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := pgtest.NewDatabase(t)
			db.Exec(t, c.sql)
			cfg := config(t, db, "public.t")
			_, err := Publish(testContext(t), cfg)
			if err == nil || !strings.Contains(err.Error(), c.fix) {
				t.Fatalf("published: %v", err)
			}
			if bad, _ := findings(t, cfg, nil); len(bad) != 1 || !strings.Contains(bad[0], c.fix) {
				t.Errorf("findings %q", bad)
			}
			db.Exec(t, `UPDATE t SET v = 2`)
			db.Exec(t, c.fix)
			p := begin(t, cfg)
			db.Exec(t, `UPDATE t SET v = 3; DELETE FROM t`)
			p.want("update t {id=1 v=2} -> {id=1 v=3}", "delete t {id=1 v=3}")
		})
	}
}

// T35, T26: a partition logs old rows by its own identity, and they are sent in
// the table's shape: what was not logged would come as null.
func TestPartitionsThatLogLess(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); ALTER TABLE t REPLICA IDENTITY FULL;
		CREATE TABLE part PARTITION OF t FOR VALUES FROM (0) TO (10); INSERT INTO t VALUES (1, 'a')`)
	cfg := config(t, db, "public.t")
	cfg.MonitorInterval = time.Second // which bounds a look, too
	if _, err := Publish(testContext(t), cfg); err == nil || !strings.Contains(err.Error(), `its partition public.part has a replica identity that carries less than its own`) {
		t.Fatalf("published: %v", err)
	}
	db.Exec(t, `ALTER TABLE part REPLICA IDENTITY FULL`)
	p := begin(t, cfg)
	db.Exec(t, `DELETE FROM t`)
	p.want("delete t {id=1 v=a}")
	// One that comes later is noticed, too.
	db.Exec(t, `CREATE TABLE late PARTITION OF t FOR VALUES FROM (10) TO (20)`)
	waitFor(t, "an alarm", alarmed(p, AlarmPublication, `ALTER TABLE "public"."late" REPLICA IDENTITY FULL;`))
	db.Exec(t, `ALTER TABLE late REPLICA IDENTITY FULL`)
	waitFor(t, "no alarm", func() bool { return len(p.src.Status().Alarms) == 0 })
	// A partition that logs more than the table's identity does no harm.
	db.Exec(t, `ALTER TABLE t REPLICA IDENTITY DEFAULT; INSERT INTO t VALUES (11, 'b'); DELETE FROM t`)
	p.want("insert t {id=11 v=b}", "delete t {id=11 v=absent}(key)")
}

func alarmed(p *pump, name, detail string) func() bool {
	return func() bool {
		for _, a := range p.src.Status().Alarms {
			if a.Name == name && strings.Contains(a.Detail, detail) {
				return true
			}
		}
		return false
	}
}

// T26, T40: the identity changes while the table is followed; a table under
// another name, or another under its name, is an alarm and no silence.
func TestTablesThatChangeTheirIdentity(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.MonitorInterval = time.Second // which bounds a look, too
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO users VALUES (1, 'a'), (2, 'b')`)
	db.Exec(t, `DELETE FROM users WHERE id = 1`)
	db.Exec(t, `ALTER TABLE users REPLICA IDENTITY FULL`)
	db.Exec(t, `DELETE FROM users WHERE id = 2`)
	p.want("insert users {id=1 email=a bio=null}", "insert users {id=2 email=b bio=null}",
		"delete users {id=1 email=absent bio=absent}(key)", "delete users {id=2 email=b bio=null}")
	db.Exec(t, `ALTER TABLE users RENAME TO people`)
	waitFor(t, "an alarm", alarmed(p, AlarmPublication, "there is no such table"))
	db.Exec(t, usersTable)
	waitFor(t, "an alarm", alarmed(p, AlarmPublication, "public.users is not in publication pgcio"))
	db.Exec(t, `INSERT INTO users VALUES (3); INSERT INTO people VALUES (4)`)
	db.Exec(t, `DROP TABLE users; ALTER TABLE people RENAME TO users`)
	db.Exec(t, `INSERT INTO users VALUES (5)`)
	p.want("insert users {id=5 email=null bio=null}")
	waitFor(t, "no alarm", func() bool { return len(p.src.Status().Alarms) == 0 })
}

// T24: a pooler hands out process ids of its own.
func TestInspectPooler(t *testing.T) {
	db := pgtest.NewDatabase(t)
	cfg := config(t, db)
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	way := newProxy(t, u.Host)
	way.change = func(b []byte) {
		if i := bytes.Index(b, []byte{'K', 0, 0, 0, 12}); i >= 0 { // BackendKeyData
			b[i+6] ^= 1
		}
	}
	u.Host = way.Addr().String()
	cfg.URL = u.String()
	if bad, _ := findings(t, cfg, nil); len(bad) != 1 || !strings.Contains(bad[0], "connection pooler") {
		t.Errorf("findings %q", bad)
	}
}

// T57: what the encoding of the database may do is said before it does it.
func TestInspectEncoding(t *testing.T) {
	cluster := pgtest.New(t)
	for encoding, want := range map[string]string{"LATIN1": "", "SQL_ASCII": "text that is not UTF-8 cannot be sent as it is", "WIN1252": "no equivalent in UTF-8"} {
		db := cluster.NewDatabase(t, "TEMPLATE template0 ENCODING '"+encoding+"' LOCALE 'C'")
		_, all := findings(t, config(t, db), nil)
		var said string
		for _, f := range all {
			if f.Subject == "encoding" {
				said += f.Problem
			}
		}
		if !strings.Contains(said, want) || (want == "") != (said == "") {
			t.Errorf("%s: said %q", encoding, said)
		}
	}
	// As it is said: the row can be stored, and not be read.
	db := cluster.NewDatabase(t, "TEMPLATE template0 ENCODING 'WIN1252' LOCALE 'C'")
	db.Exec(t, usersTable)
	p := begin(t, config(t, db, "public.users"))
	db.Exec(t, `INSERT INTO users VALUES (1, chr(129))`)
	waitFor(t, "an error", func() bool { return strings.Contains(p.src.Status().LastError, "has no equivalent in encoding") })
}

// T59: by whose clock the lag is, and that it is never less than none.
func TestLagIsByTheServersClock(t *testing.T) {
	s := New(Config{})
	commit := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) // a server long before our time
	for behind, want := range map[time.Duration]float64{90 * time.Second: 90, -time.Hour: 0} {
		s.setStatus(func(st *Status) {
			st.Connected, st.ServerLSN = true, 100
			st.lastCommit, st.serverTime = commit, commit.Add(behind)
		})
		if got := s.Status().LagSeconds; got != want {
			t.Errorf("the server is %s past the commit: lag %v", behind, got)
		}
	}
	// What was received is stored, and the server's log went on without us.
	s.setStatus(func(st *Status) {
		st.serverTime, st.lastCommitLSN = commit.Add(time.Hour), 80
	})
	s.Stored(90)
	if st := s.Status(); st.LagSeconds != 0 || st.LagBytes != 10 {
		t.Errorf("an idle server's lag is %vs, %d bytes", st.LagSeconds, st.LagBytes)
	}
}

// While the server decodes a large transaction its stream says nothing: what the
// log holds is known from looking at it.
func TestNotCaughtUpWithWhatNobodyHasSent(t *testing.T) {
	s := New(Config{})
	s.setStatus(func(st *Status) { st.Connected, st.ServerLSN, st.ReceivedLSN, st.head = true, 100, 100, 100 })
	s.Stored(100)
	if st := s.Status(); !st.CaughtUp || st.LagBytes != 0 {
		t.Errorf("all is stored: %+v", st)
	}
	s.setStatus(func(st *Status) { st.head = 5000 })
	if st := s.Status(); st.CaughtUp || st.ServerLSN != 5000 || st.LagBytes != 4900 {
		t.Errorf("4,900 bytes were not sent: %+v", st)
	}
}

// What is somebody else's is never dropped: a slot of another database, of
// a standby.
func TestSlotsOfOthersStay(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	other := pgtest.NewDatabase(t)
	cfg := config(t, db, "public.users")
	name := cfg.Slot
	for _, there := range []struct {
		in  *pgtest.DB
		sql string
	}{
		{db, "SELECT pg_create_physical_replication_slot('" + name + "')"},
		{other, "SELECT pg_create_logical_replication_slot('" + name + "', 'pgoutput')"},
	} {
		there.in.Exec(t, there.sql)
		var unfit *UnfitError
		if _, err := Teardown(testContext(t), cfg); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "somebody else's") {
			t.Errorf("%s: teardown: %v", there.sql, err)
		}
		if _, err := DropSlot(testContext(t), cfg); !errors.As(err, &unfit) {
			t.Errorf("%s: dropping: %v", there.sql, err)
		}
		there.in.Exec(t, "SELECT pg_drop_replication_slot('"+name+"')")
	}
}

// A table that is in the publication already does not keep another out: a
// partition beside its root is in it and not shown by it.
func TestPublishAddsWhatIsMissing(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable+`CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10)`)
	cfg := config(t, db, "public.root", "public.leaf")
	if done, err := Publish(testContext(t), cfg); err != nil || !done.Created {
		t.Fatalf("%+v, %v", done, err)
	}
	cfg.Tables = append(cfg.Tables, "public.users")
	done, err := Publish(testContext(t), cfg)
	if err != nil || done.Created || fmt.Sprint(done.Tables) != "[public.users]" {
		t.Errorf("%+v, %v", done, err)
	}
	if n := db.Value(t, `SELECT count(*) FROM pg_publication_tables WHERE tablename = 'users'`); n != "1" {
		t.Error("users is not published")
	}
}

// What the publication does not send is never seen: not in silence.
func TestPublicationOfInsertsAlone(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.MonitorInterval = 300 * time.Millisecond
	p := begin(t, cfg)
	db.Exec(t, `ALTER PUBLICATION pgcio SET (publish = 'insert')`)
	waitFor(t, "the alarm", func() bool {
		return slices.ContainsFunc(p.src.Status().Alarms, func(a Alarm) bool {
			return a.Name == AlarmPublication && strings.Contains(a.Detail, "does not publish update, delete, truncate")
		})
	})
	p.stop()
	cfg.InsertsOnly = true // where only events are made
	q := resume(t, cfg, p.resume())
	waitFor(t, "a look", func() bool { return !q.src.Status().Looked.IsZero() })
	if alarms := q.src.Status().Alarms; len(alarms) > 0 {
		t.Errorf("alarms %v", alarms)
	}
}

// T35: what is sent under the names of partitions is not of the mapped table.
func TestPartitionedUnderItsLeaves(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF t FOR VALUES FROM (0) TO (10);
		CREATE PUBLICATION pgcio FOR TABLE t`)
	cfg := config(t, db, "public.t")
	_, err := Publish(testContext(t), cfg)
	const fix = `ALTER PUBLICATION "pgcio" SET (publish_via_partition_root = true);`
	if err == nil || !strings.Contains(err.Error(), fix) {
		t.Fatalf("published: %v", err)
	}
	db.Exec(t, fix)
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO t VALUES (1)`)
	p.want("insert t {id=1}")
}
