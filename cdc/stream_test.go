package cdc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/pgtest"
)

const usersTable = `CREATE TABLE users (id int PRIMARY KEY, email text, bio text);`

func TestChangesArriveAndAreAcknowledged(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	p := begin(t, config(t, db, "public.users"))
	db.Exec(t, `INSERT INTO users VALUES (3, 'c', NULL)`)
	db.Exec(t, `UPDATE users SET email = 'cc' WHERE id = 3`)
	db.Exec(t, `UPDATE users SET id = 4 WHERE id = 3`)
	db.Exec(t, `DELETE FROM users WHERE id = 4`)
	db.Exec(t, `TRUNCATE users`)
	p.want(
		"insert users {id=3 email=c bio=null}",
		"update users {id=3 email=cc bio=null}",
		"update users {id=3 email=absent bio=absent}(key) -> {id=4 email=cc bio=null}",
		"delete users {id=4 email=absent bio=absent}(key)",
		"truncate users",
	)
	waitFor(t, "the slot to follow", func() bool { return confirmed(t, db, p) >= p.stored })
	if st := p.src.Status(); !st.Connected || !st.Sentinel || st.SystemID == "" || st.StoredLSN != p.stored {
		t.Errorf("status %+v", st)
	}
}

func confirmed(t *testing.T, db *pgtest.DB, p *pump) lsn.LSN {
	t.Helper()
	l, err := lsn.Parse(db.Value(t, `SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1`, p.src.cfg.Slot))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A stop tells Postgres what is stored, and waits until it was read (T13).
func TestStopAcknowledges(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	p := begin(t, config(t, db, "public.users"))
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	p.until(func() bool { return len(p.all) == 1 })
	p.stop()
	if got := confirmed(t, db, p); got != p.stored {
		t.Errorf("the slot is at %s, stored is %s", got, p.stored)
	}
}

// T3: a restart begins where the stored transaction ended, and at no other place.
func TestResume(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	p := begin(t, cfg)
	start := p.resume()
	db.Exec(t, `INSERT INTO users VALUES (1, 'a')`)
	db.Exec(t, `INSERT INTO users VALUES (2, 'b')`)
	p.hold = true // the slot stays behind: it is not what decides
	p.until(func() bool { return len(p.orders) == 2 })
	end := p.stop()
	first := lsn.LSN(p.orders[0][0])
	one, two := "insert users {id=1 email=a bio=null}", "insert users {id=2 email=b bio=null}"
	for _, c := range []struct {
		name string
		from lsn.LSN
		want []string
	}{
		{"before", start.Stored, []string{one, two}},
		{"at the first commit record", first, []string{one, two}},
		{"inside it", first + 1, []string{two}},
		{"at the second commit record", lsn.LSN(p.orders[1][0]), []string{two}},
		{"at the end", end.Stored, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := resume(t, cfg, Resume{Identity: start.Identity, Stored: c.from})
			p.hold = true
			db.Exec(t, `DELETE FROM users WHERE id = 9; INSERT INTO users VALUES (9)`)
			last := "insert users {id=9 email=null bio=null}"
			p.until(func() bool { return len(p.all) > 0 && p.all[len(p.all)-1] == last })
			want := append(c.want, last)
			var got []string
			for _, a := range p.all {
				if strings.HasPrefix(a, "insert") {
					got = append(got, a)
				}
			}
			// The nines of earlier runs come again, at the end.
			if fmt.Sprint(got[:len(c.want)]) != fmt.Sprint(c.want) || got[len(c.want)] != last {
				t.Errorf("from %s: got %q, want %q", c.from, got, want)
			}
		})
	}
}

// T10, T11: transactions that overlap, and rows that share an LSN.
func TestOrder(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	p := begin(t, config(t, db, "public.users"))
	ctx := testContext(t)
	exec := func(s *pgtest.Session, sql string) {
		if err := s.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	a, b := db.Connect(t), db.Connect(t)
	exec(a, `BEGIN; INSERT INTO users VALUES (1)`)
	exec(b, `BEGIN; INSERT INTO users VALUES (2)`)
	exec(a, `INSERT INTO users VALUES (3)`)
	exec(b, `INSERT INTO users VALUES (4); COMMIT`)
	exec(a, `INSERT INTO users VALUES (5); COMMIT`)
	exec(a, `BEGIN; SAVEPOINT s; INSERT INTO users VALUES (6); ROLLBACK TO s; INSERT INTO users VALUES (7); COMMIT`)
	db.Exec(t, `COPY users (id) FROM PROGRAM 'printf "11\n12\n13\n"'`)
	p.until(func() bool { return len(p.all) >= 9 })
	var ids []string
	for _, c := range p.all {
		ids = append(ids, strings.TrimSuffix(strings.TrimPrefix(c, "insert users {id="), " email=null bio=null}"))
	}
	if got := strings.Join(ids, " "); got != "2 4 1 3 5 7 11 12 13" {
		t.Errorf("order %s", got)
	}
	for i := 1; i < len(p.orders); i++ {
		if x, y := p.orders[i-1], p.orders[i]; y[0] < x[0] || y[0] == x[0] && y[1] <= x[1] {
			t.Errorf("%v before %v", x, y)
		}
	}
}

// T25 to T28: what is sent of old and new rows under each replica identity.
func TestReplicaIdentities(t *testing.T) {
	db := pgtest.NewDatabase(t)
	for _, name := range []string{"d", "f", "i", "n"} {
		db.Exec(t, fmt.Sprintf(`CREATE TABLE %s (id int PRIMARY KEY, code text NOT NULL UNIQUE, big text); ALTER TABLE %s ALTER big SET STORAGE EXTERNAL`, name, name))
	}
	db.Exec(t, `ALTER TABLE f REPLICA IDENTITY FULL; ALTER TABLE i REPLICA IDENTITY USING INDEX i_code_key; ALTER TABLE n REPLICA IDENTITY NOTHING`)
	cfg := config(t, db, "public.d", "public.f", "public.i", "public.n")
	if _, _, err := Setup(testContext(t), cfg); err == nil || !strings.Contains(err.Error(), `ALTER TABLE "public"."n" REPLICA IDENTITY DEFAULT`) {
		t.Fatalf("a table without identity was published: %v", err)
	}
	cfg.Tables = cfg.Tables[:3]
	p := begin(t, cfg)
	for _, name := range []string{"d", "f", "i"} {
		db.Exec(t, fmt.Sprintf(`INSERT INTO %s VALUES (1, 'a', repeat('x', 100000))`, name))
		db.Exec(t, fmt.Sprintf(`UPDATE %s SET code = 'a'`, name))
		db.Exec(t, fmt.Sprintf(`UPDATE %s SET id = 2`, name))
		db.Exec(t, fmt.Sprintf(`UPDATE %s SET code = 'b'`, name))
		db.Exec(t, fmt.Sprintf(`DELETE FROM %s`, name))
	}
	p.want(
		"insert d {id=1 code=a big=xxxx…100000}",
		"update d {id=1 code=a big=absent}",
		"update d {id=1 code=absent big=absent}(key) -> {id=2 code=a big=absent}",
		"update d {id=2 code=b big=absent}",
		"delete d {id=2 code=absent big=absent}(key)",
		"insert f {id=1 code=a big=xxxx…100000}",
		"update f {id=1 code=a big=xxxx…100000} -> {id=1 code=a big=xxxx…100000}",
		"update f {id=1 code=a big=xxxx…100000} -> {id=2 code=a big=xxxx…100000}",
		"update f {id=2 code=a big=xxxx…100000} -> {id=2 code=b big=xxxx…100000}",
		"delete f {id=2 code=b big=xxxx…100000}",
		"insert i {id=1 code=a big=xxxx…100000}",
		"update i {id=1 code=a big=absent}",
		"update i {id=2 code=a big=absent}",
		"update i {id=absent code=a big=absent}(key) -> {id=2 code=b big=absent}",
		"delete i {id=absent code=b big=absent}(key)",
	)
}

// T31, T40: several tables in one truncate; tables that change while they are
// followed.
func TestTruncateAndDDL(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable+`CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE unmapped (id int PRIMARY KEY);`)
	cfg := config(t, db, "public.users", "public.other")
	p := begin(t, cfg)
	db.Exec(t, `ALTER PUBLICATION pgcio ADD TABLE unmapped`)
	db.Exec(t, `INSERT INTO unmapped VALUES (1); INSERT INTO users VALUES (1)`)
	db.Exec(t, `TRUNCATE users, unmapped, other`)
	db.Exec(t, `ALTER TABLE users ADD extra int DEFAULT 5, DROP bio`)
	db.Exec(t, `INSERT INTO users VALUES (2, 'b')`)
	db.Exec(t, `ALTER TABLE users ALTER id TYPE bigint`)
	db.Exec(t, `INSERT INTO users VALUES (3, 'c', 6)`)
	p.want(
		"insert users {id=1 email=null bio=null}",
		"truncate users", "truncate other",
		"insert users {id=2 email=b extra=5}",
		"insert users {id=3 email=c extra=6}",
	)
	if o := p.orders; o[0][1] != 2 || o[1][1] != 1 || o[2][1] != 3 {
		t.Errorf("rows of unmapped tables are not counted: %v", o)
	}
}

// A transaction larger than a batch is handed on in parts; a restart inside it
// goes on after the part that is stored.
func TestTransactionInParts(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.BatchChanges = 30
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO users SELECT generate_series(1, 100)`)
	db.Exec(t, `INSERT INTO users VALUES (0)`)
	p.until(func() bool { return len(p.all) >= 60 })
	if p.open == nil || p.open.Rows != uint64(len(p.all)) {
		t.Fatalf("after %d rows open is %+v", len(p.all), p.open)
	}
	got, from := p.all, p.stop()
	if from.Stored >= from.Open.Commit {
		t.Errorf("stored %s is past the open transaction at %s", from.Stored, from.Open.Commit)
	}
	q := resume(t, cfg, from)
	q.hold = true
	q.until(func() bool { return len(got)+len(q.all) >= 101 })
	for i, c := range append(got, q.all...) {
		if want := fmt.Sprintf("insert users {id=%d email=null bio=null}", (i+1)%101); c != want {
			t.Fatalf("change %d is %s, want %s", i, c, want)
		}
	}
	// The part of another transaction is no part of this one.
	q.stop()
	from.Open.XID++
	wantGap(t, resume(t, cfg, from).ends(), "are stored, but the stream goes on with")
}

// T15, T16: the server does not tire of us while the caller is slow, whatever
// its timeout.
func TestSlowCaller(t *testing.T) {
	for _, timeout := range []string{"1s", "0"} {
		t.Run(timeout, func(t *testing.T) {
			db := pgtest.New(t, pgtest.Options{Settings: map[string]string{"wal_sender_timeout": timeout}}).DB()
			db.Exec(t, usersTable)
			cfg := config(t, db, "public.users")
			cfg.BatchChanges, cfg.StatusInterval = 1000, 200*time.Millisecond
			p := begin(t, cfg)
			db.Exec(t, `INSERT INTO users SELECT i, repeat('x', 200) FROM generate_series(1, 20000) i`)
			p.until(func() bool { return len(p.all) > 0 })
			pid := walsender(t, db, p)
			time.Sleep(2500 * time.Millisecond) // the caller takes its time
			p.until(func() bool { return len(p.all) == 20000 })
			if now := walsender(t, db, p); now != pid {
				t.Errorf("the connection was lost: process %s, before %s", now, pid)
			}
			waitFor(t, "the slot to follow", func() bool { return confirmed(t, db, p) >= p.stored })
		})
	}
}

func walsender(t *testing.T, db *pgtest.DB, p *pump) string {
	t.Helper()
	return db.Value(t, `SELECT coalesce((SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1), 0)`, p.src.cfg.Slot)
}

// T20: the slot moves on although nothing of ours happens.
func TestIdleAdvance(t *testing.T) {
	cluster := pgtest.New(t)
	db, noise := cluster.DB(), cluster.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.StatusInterval = 100 * time.Millisecond
	p := begin(t, cfg)
	noise.Exec(t, `CREATE TABLE n (v text)`)
	for range 3 {
		noise.Exec(t, `INSERT INTO n SELECT repeat('x', 1000) FROM generate_series(1, 1000)`)
		target, err := lsn.Parse(db.Value(t, `SELECT pg_current_wal_flush_lsn()`))
		if err != nil {
			t.Fatal(err)
		}
		p.until(func() bool { return p.stored >= target })
		waitFor(t, "the slot to follow", func() bool { return confirmed(t, db, p) >= target })
	}
	// A kill here must not look like a gap: what was acknowledged is stored (T5).
	from := p.resume()
	p.stop()
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	resume(t, cfg, from).want("insert users {id=1 email=null bio=null}")
}

// T21: inside a transaction a keepalive says nothing about what was received.
func TestKeepaliveInsideTransaction(t *testing.T) {
	s := New(Config{})
	st := newStream(t.Context(), s, nil, facts{}, s.cfg)
	send := func(m message) {
		t.Helper()
		if err := st.copyData(append(message("w").u64(0).u64(0).u64(0), m...)); err != nil {
			t.Fatal(err)
		}
	}
	keepalive := func(end int) {
		t.Helper()
		if err := st.copyData(append(message("k").u64(uint64(end)).u64(0), 1)); err != nil {
			t.Fatal(err)
		}
	}
	keepalive(50)
	if st.batch.Through != 50 || st.received != 50 {
		t.Errorf("between transactions: through %s, received %s", st.batch.Through, st.received)
	}
	send(relationMessage(7, "t", "id"))
	send(beginMessage(100, 1))
	send(insertMessage(7, "1"))
	keepalive(100)
	if st.batch.Through != 50 || st.received != 50 || !st.reply {
		t.Errorf("inside a transaction: through %s, received %s, reply %v", st.batch.Through, st.received, st.reply)
	}
	send(commitMessage(100, 120))
	if st.batch.Through != 120 || st.received != 120 {
		t.Errorf("after it: through %s, received %s", st.batch.Through, st.received)
	}
}

// T2, T7: the three positions of a status are one, and never past what this
// connection received.
func TestStatusMessage(t *testing.T) {
	var sent []byte
	w := &wire{conn: writeOnly{&sent}}
	now := time.UnixMicro(epoch + 7)
	if err := w.status(0x0102030405060708, now, true); err != nil {
		t.Fatal(err)
	}
	want := message("d").u32(38)
	want = append(want, 'r')
	for range 3 {
		want = want.u64(0x0102030405060708)
	}
	want = append(want.u64(7), 1)
	if string(sent) != string(want) {
		t.Errorf("sent % x\nwant % x", sent, want)
	}
	s := New(Config{})
	s.handed.through = 100
	st := newStream(t.Context(), s, w, facts{statusInterval: time.Hour}, s.cfg)
	s.Stored(1 << 40)
	if _, err := st.acknowledge(time.Now()); err != nil {
		t.Fatal(err)
	}
	if st.acked != 100 {
		t.Errorf("acknowledged %s, received 100", st.acked)
	}
}

// writeOnly is a connection that only keeps what is written.
type writeOnly struct{ to *[]byte }

func (c writeOnly) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (c writeOnly) Write(b []byte) (int, error)      { *c.to = append(*c.to, b...); return len(b), nil }
func (c writeOnly) Close() error                     { return nil }
func (c writeOnly) LocalAddr() net.Addr              { return nil }
func (c writeOnly) RemoteAddr() net.Addr             { return nil }
func (c writeOnly) SetDeadline(time.Time) error      { return nil }
func (c writeOnly) SetReadDeadline(time.Time) error  { return nil }
func (c writeOnly) SetWriteDeadline(time.Time) error { return nil }

func wantGap(t *testing.T, err error, reason string) *GapError {
	t.Helper()
	var g *GapError
	if !errors.As(err, &g) || !strings.Contains(err.Error(), reason) || !strings.Contains(g.Advice, "pgcio teardown") {
		t.Fatalf("run ended with %v, want a gap because %q", err, reason)
	}
	return g
}

func TestNextEndsWithRun(t *testing.T) {
	s := New(Config{URL: "postgres://127.0.0.1:1/none?connect_timeout=1", RetryMin: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, Resume{Stored: 1}) }()
	waitFor(t, "an error", func() bool { return s.Status().LastError != "" })
	cancel()
	if _, err := s.Next(context.Background()); !errors.Is(err, context.Canceled) {
		t.Errorf("next: %v", err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
}
