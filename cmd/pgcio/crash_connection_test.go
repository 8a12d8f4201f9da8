package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/status"
)

// refused waits for the daemon's end with status 4, and checks that it says why.
func (d *process) refused(words ...string) {
	d.r.t.Helper()
	if got := d.wait(slowly); got != exitRefused {
		d.r.t.Errorf("the daemon ended with %d, want %d:\n%s", got, exitRefused, d.log.String())
	}
	for _, word := range words {
		if !strings.Contains(d.log.String(), word) {
			d.r.t.Errorf("the daemon does not speak of %q:\n%s", word, d.log.String())
		}
	}
}

// idMapping maps no more than who is there.
const idMapping = `
[[mapping]]
name     = "people"
table    = "public.users"
object   = "person"
behavior = "update_or_create"
person   = { id = "id" }
`

// commands are those that a gap names.
var commands = []string{"pgcio teardown", "move the state file aside", "pgcio run"}

// Ended walsenders and a killed Postgres lose and double nothing.
func TestConnectionsThatEnd(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, tradeSchema)
	r := newRig(t, db, tradeMappings)
	d := r.start()
	d.caughtUp()
	w := newTrade(t, db, 3)
	write := func(steps int) {
		for range steps {
			if err := w.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(10)
	for range size(4, 30) {
		// All of them: the stream, the one that notices a shutdown, and readers.
		db.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgcio%' AND pid <> pg_backend_pid()")
		write(5)
		db.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
		write(5)
	}
	r.judge(d.caughtUp(), false)
	for range size(1, 5) {
		write(10)
		if err := cluster.Kill(); err != nil {
			t.Fatal(err)
		}
		restart(t, cluster)
		w.session = db.Connect(t)
		write(10)
		r.judge(d.caughtUp(), false)
	}
	d.stop()
}

// What is lost behind pgcio's back ends it, with what was lost and what to do.
func TestLostBehindOurBack(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)

	t.Run("slot dropped under a running daemon", func(t *testing.T) {
		db := cluster.NewDatabase(t)
		r, d := following(t, db)
		// Not while it is in use: its walsender is ended, until the drop comes first.
		deadline := time.Now().Add(slowly)
		for db.Value(t, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", r.db.Name) != "0" {
			if time.Now().After(deadline) {
				t.Fatal("the slot cannot be dropped")
			}
			db.Exec(t, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1", r.db.Name)
			db.Exec(t, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active", r.db.Name)
		}
		d.refused(append(commands, "does not exist any more")...)
	})
	t.Run("slot dropped", func(t *testing.T) {
		db := cluster.NewDatabase(t)
		r, d := following(t, db)
		d.stop()
		db.Exec(t, "SELECT pg_drop_replication_slot($1)", r.db.Name)
		stored, _ := r.offline()
		r.start().refused(append(commands, "does not exist any more", stored.Postgres.Stored.String())...)
	})
	t.Run("slot moved on", func(t *testing.T) {
		db := cluster.NewDatabase(t)
		r, d := following(t, db)
		d.stop()
		stored, _ := r.offline()
		db.Exec(t, "INSERT INTO users VALUES (100)")
		to := db.Value(t, "SELECT end_lsn FROM pg_replication_slot_advance($1, pg_current_wal_lsn())", r.db.Name)
		r.start().refused(append(commands, "was moved on", stored.Postgres.Stored.String(), to)...)
		if n := len(r.sim.State("").People); n != 1 {
			t.Errorf("Customer.io has %d people", n)
		}
	})
	t.Run("state lost", func(t *testing.T) {
		db := cluster.NewDatabase(t)
		r, d := following(t, db)
		d.stop()
		r.state = filepath.Join(r.dir, "other.db")
		r.start().refused("exists, and no state that belongs to it", "pgcio teardown", "pgcio run")
	})
	t.Run("database restored", func(t *testing.T) {
		// A state from the future of its database: it was restored to how it was.
		own := pgtest.New(t)
		db := own.DB()
		r, d := following(t, db)
		d.stop()
		ctx := context.Background()
		if _, err := own.Stop(ctx, pgtest.Fast); err != nil {
			t.Fatal(err)
		}
		old := pgtest.New(t, pgtest.Options{CopyOf: own})
		restart(t, own)
		db.Exec(t, "INSERT INTO users SELECT i FROM generate_series(200, 50000) i")
		d = r.start()
		d.caughtUp()
		d.stop()
		r.url = old.DB().URL()
		r.start().refused(append(commands, "the state reaches to ", "the server only to ")...)
	})
}

// following is a daemon that has caught up with one user.
func following(t *testing.T, db *pgtest.DB) (*rig, *process) {
	t.Helper()
	db.Exec(t, "CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users VALUES (1)")
	r := newRig(t, db, idMapping)
	d := r.start()
	d.caughtUp()
	return r, d
}

// One state, one daemon; and one slot, one daemon.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	r, first := following(t, db)
	second := r.start()
	if got := second.wait(10 * time.Second); got != exitFailed || !strings.Contains(second.log.String(), "another process") {
		t.Errorf("a second daemon on the same state ended with %d:\n%s", got, second.log.String())
	}
	if _, err := r.look(t.Context()); err != nil {
		t.Errorf("the first daemon does not answer any more: %v", err)
	}
	// A copy of the state, as on another host: it waits for the slot.
	whole, err := os.ReadFile(r.state)
	if err != nil {
		t.Fatal(err)
	}
	other := newRig(t, db, r.mappings)
	if err := os.WriteFile(other.state, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	third := other.start()
	for began := time.Now(); !strings.Contains(third.log.String(), "in use by process"); time.Sleep(10 * time.Millisecond) {
		if third.ended() || time.Since(began) > slowly {
			t.Fatalf("a daemon whose slot is in use:\n%s", third.log.String())
		}
	}
	third.stop()
	// Without a state, as from another directory: the slot is not lost, it is read.
	nowhere := newRig(t, db, r.mappings).start()
	if got := nowhere.wait(slowly); got != exitRefused || !strings.Contains(nowhere.log.String(), "another pgcio is running") || strings.Contains(nowhere.log.String(), "teardown") {
		t.Errorf("a daemon without a state whose slot is read ended with %d:\n%s", got, nowhere.log.String())
	}
	first.stop()
}

// SIGTERM ends the daemon in time though Customer.io does not answer, and a
// second signal at once.
func TestSignals(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	r, d := following(t, db)
	busy := func(id int) {
		r.fault(simulator.Fault{Kind: "slow_before", Delay: simulator.Duration(time.Minute)})
		db.Exec(t, fmt.Sprintf("INSERT INTO users VALUES (%d)", id))
		d.until("a request is under way", func(s status.Snapshot) bool { return s.Mappings[0].Changes.InFlight > 0 })
	}
	busy(2)
	began := time.Now()
	d.stop()
	t.Logf("SIGTERM ended it within %s", time.Since(began).Round(time.Millisecond))

	r.fault()
	d = r.start()
	d.caughtUp()
	busy(3)
	d.signal(syscall.SIGTERM)
	for began = time.Now(); !strings.Contains(d.log.String(), "stopping") && !d.ended() && time.Since(began) < time.Second; {
		time.Sleep(5 * time.Millisecond)
	}
	began = time.Now()
	d.signal(syscall.SIGTERM)
	got := d.wait(slowly)
	if took := time.Since(began); took > time.Second || got != -int(syscall.SIGTERM) && got != exitDone {
		t.Errorf("the second signal ended the daemon after %s with %d", took, got)
	} else {
		t.Logf("the second signal ended it within %s with %d", took.Round(time.Millisecond), got)
	}
	r.fault()
	d = r.start()
	d.caughtUp()
	if n := len(r.sim.State("").People); n != 3 {
		t.Errorf("Customer.io has %d people", n)
	}
	d.stop()
}

// The slot of a first start waits for open transactions, for as long as they
// take (T23).
func TestTheSlotWaitsForOpenTransactions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, "CREATE TABLE users (id bigint PRIMARY KEY)")
	r := newRig(t, db, idMapping)
	older := db.Connect(t)
	for _, sql := range []string{"BEGIN", "INSERT INTO users VALUES (1)"} {
		if err := older.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	d := r.start()
	// Longer than any lock is waited for elsewhere.
	select {
	case <-d.end:
		t.Fatalf("the daemon ended: %v", d.cmd.ProcessState)
	case <-time.After(7 * time.Second):
	}
	if !strings.Contains(d.log.String(), "waits for open transactions") {
		t.Errorf("the daemon does not say what it waits for:\n%s", d.log.String())
	}
	if err := older.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	d.caughtUp()
	if n := len(r.sim.State("").People); n != 1 {
		t.Errorf("Customer.io has %d people", n)
	}
	d.stop()
}
