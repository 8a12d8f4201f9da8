package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/status"
)

// What asks for a reload does not end the daemon, and is told that there is none.
func TestHangup(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	_, d := following(t, db)
	before := d.caughtUp()
	d.signal(syscall.SIGHUP)
	db.Exec(t, "CREATE TABLE unseen (id int); INSERT INTO unseen VALUES (1)")
	d.until("streams on", func(s status.Snapshot) bool { return s.Postgres.Stored > before.Postgres.Stored && s.CaughtUp })
	d.stop()
	if log := d.log.String(); !strings.Contains(log, "SIGHUP: reloading the configuration is not built yet") {
		t.Errorf("a reload that is not done is not told:\n%s", log)
	}
}
