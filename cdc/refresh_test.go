package cdc

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// What was acknowledged is what the status says, at once and not after the next
// look at the slot, and the WAL held for the slot grows with the log.
func TestStatusDoesNotContradictItself(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.MonitorInterval = time.Hour
	p := begin(t, cfg)
	waitFor(t, "the first look", func() bool { return !p.src.Status().Looked.IsZero() })
	first := p.src.Status()
	for range 3 {
		db.Exec(t, `INSERT INTO users SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i; DELETE FROM users`)
		p.until(func() bool { return len(p.all) >= 2000 })
		p.all = nil
	}
	waitFor(t, "the acknowledgement", func() bool {
		st := p.src.Status()
		if st.ConfirmedLSN > st.StoredLSN {
			t.Fatalf("confirmed %s is past stored %s", st.ConfirmedLSN, st.StoredLSN)
		}
		return st.ConfirmedLSN == p.stored
	})
	st := p.src.Status()
	if !st.Looked.Equal(first.Looked) {
		t.Error("the slot was looked at meanwhile")
	}
	if grown := int64(st.ServerLSN - first.head); grown <= 0 || st.RetainedBytes < first.RetainedBytes+grown {
		t.Errorf("the log grew by %d bytes, what is held from %d to %d", grown, first.RetainedBytes, st.RetainedBytes)
	}
}

// Whoever looks has the slot and the tables looked at again.
func TestRefresh(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.MonitorInterval = time.Hour
	p := begin(t, cfg)
	seen := func(column string) func() bool {
		return func() bool {
			p.src.Refresh()
			tables, at := p.src.Tables()
			return !at.IsZero() && tables["public.users"].Index(column) >= 0
		}
	}
	waitFor(t, "the first look", seen("bio"))
	db.Exec(t, `ALTER TABLE users RENAME COLUMN bio TO life`)
	waitFor(t, "another look", seen("life"))
	db.Exec(t, `DROP TABLE users`)
	waitFor(t, "a look at no table", func() bool {
		p.src.Refresh()
		tables, _ := p.src.Tables()
		return tables["public.users"] == nil
	})
}

// A look that fails while the stream stands is said once: nobody else would tell
// that the figures are old.
func TestLooksThatFail(t *testing.T) {
	db := pgtest.NewDatabase(t)
	role := "looking_" + db.Name
	db.Exec(t, usersTable+`CREATE PUBLICATION pgcio FOR TABLE users; CREATE ROLE `+role+` LOGIN REPLICATION PASSWORD 'x'; GRANT SELECT ON users TO `+role)
	t.Cleanup(func() { db.Exec(t, `DROP OWNED BY `+role+`; DROP ROLE `+role) })
	cfg := config(t, db, "public.users")
	cfg.URL = as(t, cfg.URL, role, "x")
	var said counter
	cfg.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p := begin(t, cfg)
	waitFor(t, "a look", func() bool { return p.src.Status().Connected && !p.src.Status().Looked.IsZero() })
	before := said.of("cannot look at the slot")
	db.Exec(t, `ALTER ROLE `+role+` CONNECTION LIMIT 0`)
	for range 3 {
		tried := p.src.tried.Load()
		p.src.looks <- struct{}{}
		waitFor(t, "a look that fails", func() bool { return p.src.tried.Load() != tried })
	}
	if n := said.of("cannot look at the slot"); n != before+1 {
		t.Errorf("said %d times in three looks", n-before)
	}
	p.stop()
	<-p.src.ended
}

// counter keeps what is logged.
type counter struct {
	mu   sync.Mutex
	text strings.Builder
}

func (c *counter) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

func (c *counter) of(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Count(c.text.String(), what)
}
