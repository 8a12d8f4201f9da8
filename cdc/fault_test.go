package cdc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/pgtest"
)

// shutdownLimit is what pgcio may cost a fast shutdown of the database.
const shutdownLimit = 5 * time.Second

// T22: the database stops at once, whether we are behind, inside a transaction,
// or storing nothing; and is found again when it is back.
func TestFastShutdown(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.BatchChanges = 500
	id, at, err := Setup(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	// More than the sockets' buffers hold, in one transaction and then in many.
	db.Exec(t, `INSERT INTO users SELECT i, '', repeat('x', 200) FROM generate_series(1, 60000) i`)
	db.Exec(t, `DO $$ BEGIN FOR i IN 1..5000 LOOP UPDATE users SET email = i WHERE id = 1; COMMIT; END LOOP; END $$`)
	p := resume(t, cfg, Resume{Identity: id, Stored: at})
	stop := func(what string) {
		t.Helper()
		took, err := cluster.Stop(testContext(t), pgtest.Fast)
		if err != nil || took > shutdownLimit {
			t.Errorf("%s: the shutdown took %s, %v", what, took, err)
		}
		waitFor(t, "the loss to be noticed", func() bool { return !p.src.Status().Connected })
		if err := cluster.Restart(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	p.until(func() bool { return len(p.all) >= 2000 })
	if p.open == nil {
		t.Fatal("not inside the transaction")
	}
	stop("inside a transaction, with a caller that has stopped")
	p.until(func() bool { return len(p.all) >= 60100 })
	p.hold = true
	stop("behind, and nothing stored")
	p.until(func() bool { return len(p.all) >= 65000 })
	for i, c := range p.all[:60000] {
		if !strings.HasPrefix(c, fmt.Sprintf("insert users {id=%d ", i+1)) {
			t.Fatalf("change %d is %s", i, c)
		}
	}
	for i, c := range p.all[60000:] {
		if !strings.Contains(c, fmt.Sprintf("email=%d ", i+1)) {
			t.Fatalf("update %d is %s", i, c)
		}
	}
	if len(p.all) != 65000 {
		t.Errorf("%d changes", len(p.all))
	}
}

// T8 and others: whatever ends the connection, every change comes once.
func TestLostConnections(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, usersTable)
	p := begin(t, config(t, db, "public.users"))
	n := 0
	one := func() {
		t.Helper()
		n++
		db.Exec(t, `INSERT INTO users VALUES ($1)`, n)
		p.want(fmt.Sprintf("insert users {id=%d email=null bio=null}", n))
	}
	one()
	db.Exec(t, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots`)
	one()
	db.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'`)
	one()
	p.hold = true // what the slot remembers is older than what we have
	one()
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Restart(testContext(t)); err != nil {
		t.Fatal(err)
	}
	one()
	p.hold = false
	one()
	waitFor(t, "the slot to follow", func() bool { return confirmed(t, db, p) >= p.stored })
}

// T22: a caller that stores nothing does not keep the connection.
func TestStall(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.StallTimeout, cfg.StatusInterval = 300*time.Millisecond, 50*time.Millisecond
	p := begin(t, cfg)
	stalled := func() bool {
		st := p.src.Status()
		return !st.Connected && len(st.Alarms) == 1 && st.Alarms[0].Name == AlarmStalled
	}
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	waitFor(t, "a disconnection: the caller does not come", stalled)
	p.hold = true
	p.want("insert users {id=1 email=null bio=null}")
	waitFor(t, "a disconnection: the caller stores nothing", stalled)
	p.src.Stored(p.stored)
	waitFor(t, "a new connection", func() bool { st := p.src.Status(); return st.Connected && len(st.Alarms) == 0 })
	db.Exec(t, `INSERT INTO users VALUES (2)`)
	p.want("insert users {id=2 email=null bio=null}")
}

// The gap table: every way in which what follows on the state cannot be read.
func TestGaps(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	p.until(func() bool { return len(p.all) == 1 })
	good := p.stop()

	t.Run("another cluster", func(t *testing.T) {
		from := good
		from.Identity.SystemID = "1"
		wantSource(t, resume(t, cfg, from).ends(), "system identifier")
	})
	t.Run("another database", func(t *testing.T) {
		from := good
		from.Identity.Database = "other"
		wantSource(t, resume(t, cfg, from).ends(), "database")
	})
	t.Run("a pinned cluster", func(t *testing.T) {
		cfg := cfg
		cfg.SystemID = "1"
		wantSource(t, resume(t, cfg, good).ends(), "postgres.system_id")
	})
	t.Run("an older timeline", func(t *testing.T) {
		from := good
		from.Identity.Timeline = 7
		wantGap(t, resume(t, cfg, from).ends(), "older copy")
	})
	t.Run("a state from the future", func(t *testing.T) {
		from := good
		from.Stored += 1 << 40
		if g := wantGap(t, resume(t, cfg, from).ends(), "ahead of the server"); g.From != from.Stored || g.To >= g.From {
			t.Errorf("gap %+v", g)
		}
	})
	t.Run("a slot that was moved on", func(t *testing.T) {
		db.Exec(t, `INSERT INTO users VALUES (2)`)
		to, err := lsn.Parse(db.Value(t, `SELECT end_lsn FROM pg_replication_slot_advance($1, pg_current_wal_flush_lsn())`, cfg.Slot))
		if err != nil {
			t.Fatal(err)
		}
		if g := wantGap(t, resume(t, cfg, good).ends(), "was moved on"); g.From != good.Stored || g.To != to {
			t.Errorf("gap %+v, want %s to %s", g, good.Stored, to)
		}
		good.Stored = to
	})
	t.Run("a slot dropped while streaming", func(t *testing.T) {
		p := resume(t, cfg, good)
		waitFor(t, "a connection", func() bool { return p.src.Status().Connected })
		waitFor(t, "the slot to be free to drop", func() bool {
			// Its reader is back within milliseconds.
			db.Exec(t, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1`, cfg.Slot)
			_, err := DropSlot(testContext(t), cfg)
			return err == nil
		})
		wantGap(t, p.ends(), "does not exist")
	})
	t.Run("a slot of another kind", func(t *testing.T) {
		db.Exec(t, `SELECT pg_create_logical_replication_slot($1, 'test_decoding')`, cfg.Slot)
		wantGap(t, resume(t, cfg, good).ends(), "test_decoding")
	})
}

func wantSource(t *testing.T, err error, what string) {
	t.Helper()
	var s *SourceError
	if !errors.As(err, &s) || !strings.Contains(err.Error(), what) {
		t.Fatalf("run ended with %v, want a source error about %q", err, what)
	}
}

// T46, T6: an older copy of the cluster, with its system identifier and slot.
func TestRestoredCopy(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	id, at, err := Setup(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := func(c *pgtest.Cluster) {
		t.Helper()
		if _, err := c.Stop(testContext(t), pgtest.Fast); err != nil {
			t.Fatal(err)
		}
	}
	stop(cluster)
	clone := pgtest.New(t, pgtest.Options{CopyOf: cluster})
	if err := cluster.Restart(testContext(t)); err != nil {
		t.Fatal(err)
	}
	p := resume(t, cfg, Resume{Identity: id, Stored: at})
	db.Exec(t, `INSERT INTO users SELECT i, repeat('x', 100) FROM generate_series(1, 50000) i`)
	p.until(func() bool { return len(p.all) == 50000 })
	from := p.stop()
	cfg.URL = clone.DB().URL()
	wantGap(t, resume(t, cfg, from).ends(), "ahead of the server")
}

// T43: the slot is lost because it may hold no more WAL: while it is read, while
// nobody reads it, and while a backfill reads beside it.
func TestSlotLost(t *testing.T) {
	for _, when := range []string{"streaming", "away", "backfilling"} {
		t.Run(when, func(t *testing.T) {
			db := pgtest.New(t, pgtest.Options{SegmentMB: 1, Settings: map[string]string{
				"max_slot_wal_keep_size": "1MB", "min_wal_size": "2MB", "max_wal_size": "3MB"}}).DB()
			db.Exec(t, usersTable+`INSERT INTO users SELECT generate_series(1, 100); CREATE TABLE fill (v text)`)
			cfg := config(t, db, "public.users")
			p := begin(t, cfg)
			p.hold = true
			db.Exec(t, `INSERT INTO users VALUES (0)`)
			p.want("insert users {id=0 email=null bio=null}")
			w := Want{Table: "public.users", Key: []string{"id"}, Limit: 1}
			switch when {
			case "away":
				p.stop()
			case "backfilling":
				page, _ := p.read(w)
				w.After = page.Last
				// The next is never taken before the slot is lost: it waits for us.
				p.src.Read(w)
			}
			waitFor(t, "the slot to be lost", func() bool {
				db.Exec(t, `INSERT INTO fill SELECT repeat('x', 1000) FROM generate_series(1, 1000)`)
				db.Exec(t, `SELECT pg_switch_wal()`)
				db.Exec(t, `CHECKPOINT`)
				return db.Value(t, `SELECT wal_status FROM pg_replication_slots`) == "lost"
			})
			if when == "away" {
				p = resume(t, cfg, p.resume())
			}
			g := wantGap(t, p.ends(), "max_slot_wal_keep_size")
			if g.From > p.stored || g.From == 0 {
				t.Errorf("the gap is from %s, stored is %s", g.From, p.stored)
			}
			// A page beside a stream that is lost fits no position of ours.
			pages := len(p.pages)
			p.src.Read(w)
			if _, err := p.src.Next(testContext(t)); !errors.As(err, new(*GapError)) || len(p.pages) != pages {
				t.Errorf("after the gap: %v", err)
			}
			if st := p.src.Status(); st.Connected || !strings.Contains(st.LastError, "max_slot_wal_keep_size") {
				t.Errorf("status %+v", st)
			}
		})
	}
}

// T43: since 18 Postgres may take a slot away because nobody reads it.
func TestSlotIdle(t *testing.T) {
	cluster := pgtest.New(t)
	if cluster.Major < 18 {
		return // there is no such setting
	}
	db := cluster.DB()
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	p.until(func() bool { return len(p.all) == 1 })
	from := p.stop()
	db.Exec(t, `ALTER SYSTEM SET idle_replication_slot_timeout = '1s'`)
	db.Exec(t, `SELECT pg_reload_conf()`)
	waitFor(t, "the slot to be lost", func() bool {
		db.Exec(t, `CHECKPOINT`)
		return db.Value(t, `SELECT coalesce(invalidation_reason, '') FROM pg_replication_slots`) != ""
	})
	wantGap(t, resume(t, cfg, from).ends(), "idle_replication_slot_timeout")
}

// T19: a slot in use is waited for, and its holder named.
func TestSlotInUse(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.ApplicationName = "the first"
	p := begin(t, cfg)
	waitFor(t, "a connection", func() bool { return p.src.Status().Connected })
	q := resume(t, cfg, p.resume())
	waitFor(t, "the holder to be named", func() bool { return strings.Contains(q.src.Status().LastError, "(the first)") })
	p.stop()
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	q.want("insert users {id=1 email=null bio=null}")
}

// T42: a publication that was not there at the place in the log.
func TestPublicationHistory(t *testing.T) {
	t.Run("dropped", func(t *testing.T) {
		db := pgtest.NewDatabase(t)
		// Whoever wants to hear of no warning has to hear of this one.
		db.Exec(t, usersTable+`ALTER DATABASE `+db.Name+` SET client_min_messages = error`)
		p := begin(t, config(t, db, "public.users"))
		db.Exec(t, `INSERT INTO users VALUES (1)`)
		p.want("insert users {id=1 email=null bio=null}")
		db.Exec(t, `DROP PUBLICATION pgcio`)
		db.Exec(t, `INSERT INTO users VALUES (2)`)
		wantGap(t, p.ends(), "at this place in the log")
	})
	t.Run("made after the slot", func(t *testing.T) {
		db := pgtest.NewDatabase(t)
		db.Exec(t, usersTable)
		cfg := config(t, db, "public.users")
		id, at, err := createSlot(testContext(t), cfg.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		db.Exec(t, `INSERT INTO users VALUES (1)`)
		if _, err := Publish(testContext(t), cfg); err != nil {
			t.Fatal(err)
		}
		wantGap(t, resume(t, cfg, Resume{Identity: id, Stored: at}).ends(), "at this place in the log")
	})
	t.Run("a warning", func(t *testing.T) { // what 18 sends instead of an error
		s := New(Config{})
		st := newStream(t.Context(), s, nil, facts{}, s.cfg)
		warning := message("S").str("WARNING").str("C55000").str("Mskipped loading publication \"pgcio\"")
		wantGap(t, st.notice(append(warning, 0)), "skipped loading publication")
		translated := message("S").str("WARNUNG").str("C55000").str("MLaden der Publikation »pgcio« wurde übersprungen")
		wantGap(t, st.notice(append(translated, 0)), "übersprungen")
	})
}

// T23: creating a slot names whom it waits for, and leaves nothing when it is
// given up.
func TestSetupWaits(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, usersTable)
	open := db.Connect(t)
	if err := open.Exec(testContext(t), `BEGIN; INSERT INTO users VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 10)
	cfg := config(t, db, "public.users")
	cfg.Progress = func(text string) { said <- text }
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() {
		_, _, err := Setup(ctx, cfg)
		done <- err
	}()
	if text := <-said; !strings.Contains(text, strconv.Itoa(open.PID())) || !strings.Contains(text, "idle in transaction") {
		t.Errorf("said %q", text)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("no error")
	}
	if n := db.Value(t, `SELECT count(*) FROM pg_replication_slots`); n != "0" {
		t.Errorf("%s slots are left", n)
	}
	if err := open.Exec(testContext(t), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Setup(testContext(t), cfg); err != nil {
		t.Error(err)
	}
	if _, _, err := Setup(testContext(t), cfg); !errors.Is(err, ErrSlotExists) {
		t.Errorf("a second setup: %v", err)
	}
	d, err := Teardown(testContext(t), cfg)
	if err != nil || d.Slot != cfg.Slot || d.Publication != "pgcio" {
		t.Errorf("teardown: %+v, %v", d, err)
	}
	db.Exec(t, `CREATE PUBLICATION pgcio FOR TABLE users`)
	if d, err := Teardown(testContext(t), cfg); err != nil || !reflect.DeepEqual(d, Dropped{}) {
		t.Errorf("teardown of what is not ours: %+v, %v", d, err)
	}
}

// proxy is a way to the server that can go silent without closing anything.
type proxy struct {
	net.Listener
	target string
	mu     sync.Mutex
	silent bool
	conns  []net.Conn
	change func([]byte) // what passes, if set
}

func newProxy(t *testing.T, target string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, target: target}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			wait.Go(func() { p.pipe(in, out) })
			wait.Go(func() { p.pipe(out, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		wait.Wait()
	})
	return p
}

// pipe passes bytes on; what comes while it is silent vanishes, and so does the
// end of the connection.
func (p *proxy) pipe(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	swallowed := false
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		swallowed = swallowed || p.silent
		p.mu.Unlock()
		if p.change != nil {
			p.change(buf[:n])
		}
		if !swallowed {
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			if !swallowed {
				to.Close()
			}
			return
		}
	}
}

// T18: a connection that is dead without having ended is noticed.
func TestHalfOpen(t *testing.T) {
	db := pgtest.New(t, pgtest.Options{Settings: map[string]string{"wal_sender_timeout": "1s"}}).DB()
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	way := newProxy(t, u.Host)
	u.Host = way.Addr().String()
	cfg.URL = u.String()
	cfg.StatusInterval, cfg.SilenceTimeout = 50*time.Millisecond, 400*time.Millisecond
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	p.want("insert users {id=1 email=null bio=null}")
	time.Sleep(3 * cfg.SilenceTimeout) // idle, but alive
	if st := p.src.Status(); !st.Connected || st.LastError != "" {
		t.Errorf("an idle connection was given up: %+v", st)
	}
	way.mu.Lock()
	way.silent = true
	way.mu.Unlock()
	waitFor(t, "the silence to be noticed", func() bool { return strings.Contains(p.src.Status().LastError, "silent") })
	way.mu.Lock()
	way.silent = false
	way.mu.Unlock()
	db.Exec(t, `INSERT INTO users VALUES (2)`)
	p.want("insert users {id=2 email=null bio=null}")
}
