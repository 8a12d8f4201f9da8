package main

import (
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/status"
)

// Changes gather during an outage, and what is not mapped asks for nothing.
func TestAnOutageGathers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, flatSchema+"ALTER TABLE users ADD logins int; INSERT INTO users SELECT i, NULL, 'free', 1 FROM generate_series(1, 5) i")
	r := newRig(t, db, tradeMappings)
	d := r.start()
	before := d.caughtUp()
	accepted := r.sim.State("").Counters.Operations

	r.fault(simulator.Fault{Kind: "unreachable"})
	db.Exec(t, "DO $$ BEGIN FOR i IN 1..40 LOOP FOR u IN 1..5 LOOP UPDATE users SET n = i, plan = 'plan' || i WHERE id = u; COMMIT; END LOOP; END LOOP; END $$")
	d.until("all is stored", func(s status.Snapshot) bool { return received(s) == 5+200 })
	r.fault()
	after := d.caughtUp()
	r.judgePeople(r.sim.State(""), false)
	if n := r.sim.State("").Counters.Operations - accepted; n > 10 {
		t.Errorf("200 updates of 5 people became %d operations", n)
	} else {
		t.Logf("200 updates of 5 people became %d operations", n)
	}
	if n := after.Mappings[0].OperationsSent - before.Mappings[0].OperationsSent; n > 10 {
		t.Errorf("and %d are said to be sent", n)
	}

	db.Exec(t, "DO $$ BEGIN FOR i IN 1..200 LOOP FOR u IN 1..5 LOOP UPDATE users SET logins = i WHERE id = u; COMMIT; END LOOP; END LOOP; END $$")
	last := d.caughtUp()
	was, is := after.Mappings[0], last.Mappings[0]
	if is.OperationsSent != was.OperationsSent {
		t.Errorf("1,000 updates of what is not mapped sent %d operations", is.OperationsSent-was.OperationsSent)
	}
	if n := is.Changes.Unchanged - was.Changes.Unchanged; n != 1000 {
		t.Errorf("1,000 updates of what is not mapped counted %d unchanged", n)
	}
	d.stop()
}

// What gathers on top of what an earlier run has left waits no longer for that:
// the timestamps that keep the order do not run ahead of the clock.
func TestAnOutageWithARestart(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, flatSchema+"INSERT INTO users SELECT i, NULL, 'free', 1 FROM generate_series(1, 5) i")
	r := newRig(t, db, tradeMappings)
	d := r.start()
	d.caughtUp()
	r.fault(simulator.Fault{Kind: "reset_after"}) // all is applied, and nobody hears of it
	db.Exec(t, "UPDATE users SET n = 2")
	d.until("all is stored", func(s status.Snapshot) bool { return received(s) == 10 })
	d.kill()
	r.fault(simulator.Fault{Kind: "unreachable"})
	d = r.start()
	db.Exec(t, "DO $$ BEGIN FOR i IN 1..200 LOOP FOR u IN 1..5 LOOP UPDATE users SET n = i + u WHERE id = u; COMMIT; END LOOP; END LOOP; END $$")
	d.until("all is stored", func(s status.Snapshot) bool { return received(s) == 1010 })
	d.stop() // the next one need not wait until Customer.io is tried again
	r.fault()
	began := time.Now()
	d = r.start()
	d.caughtUp()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("what had gathered took %s to leave", took)
	}
	r.judgePeople(r.sim.State(""), false)
	d.stop()
}
