package cdc

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Blocker is an open transaction that something waits for.
type Blocker struct {
	PID         int64  // 0: prepared
	XID         string // its id, 32 bits wide
	User        string
	Application string
	State       string // of its session: "idle in transaction"
	Prepared    string // the name of a prepared transaction
	Age         time.Duration
}

func (b Blocker) String() string {
	if b.Prepared != "" {
		return fmt.Sprintf("prepared transaction %q, %s old", b.Prepared, b.Age)
	}
	if b.PID == 0 {
		return "transaction " + b.XID
	}
	who := fmt.Sprintf("process %d", b.PID)
	if about := strings.Trim(b.User+", "+b.Application, ", "); about != "" {
		who += " (" + about + ")"
	}
	return fmt.Sprintf("%s, %s for %s", who, b.State, b.Age)
}

func blockerList(all []Blocker) string {
	texts := make([]string, len(all))
	for i, b := range all {
		texts[i] = b.String()
	}
	return strings.Join(texts, "; ")
}

// readBlockers lists the transactions that run, but for one process. Those of
// other databases are only wanted where they are waited for too: they cannot
// touch our tables.
//
// A snapshot does not tell: its xmax is one past the newest transaction that
// ended, and what runs beyond that is not in it. Every transaction holds a lock
// on its id, though, until it is visible to others.
func readBlockers(ctx context.Context, s *session, everywhere bool, except uint32) ([]Blocker, error) {
	where := fmt.Sprintf("coalesce(l.pid, 0) <> %d AND (l.pid IS NULL OR a.backend_xid IS NULL OR a.backend_xid = l.x)", except) // no subtransactions
	if !everywhere {
		where += " AND coalesce(a.datname, p.database, current_database()) = current_database()"
	}
	r, err := s.query(ctx, `SELECT l.x, coalesce(l.pid, 0), coalesce(a.usename, p.owner, ''), coalesce(a.application_name, ''),
		coalesce(a.state, 'open'), coalesce(p.gid, ''), coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)), 0)::int8
		FROM (SELECT transactionid AS x, pid FROM pg_locks WHERE locktype = 'transactionid' AND granted AND mode = 'ExclusiveLock') l
		LEFT JOIN pg_stat_activity a ON a.pid = l.pid LEFT JOIN pg_prepared_xacts p ON p.transaction = l.x WHERE `+where+` ORDER BY l.x::text::int8`)
	if err != nil {
		return nil, fmt.Errorf("reading which transactions are open: %w", err)
	}
	var all []Blocker
	for i := range r {
		all = append(all, Blocker{XID: r.text(i, 0), PID: r.int(i, 1), User: r.text(i, 2), Application: r.text(i, 3),
			State: r.text(i, 4), Prepared: r.text(i, 5), Age: time.Duration(r.int(i, 6)) * time.Second})
	}
	return all, nil
}

// blockerKeys names the transactions without their age, to tell whether the
// list is still the same.
func blockerKeys(all []Blocker) string {
	keys := make([]string, len(all))
	for i, b := range all {
		keys[i] = b.XID
	}
	return strings.Join(keys, " ")
}
