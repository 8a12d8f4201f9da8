package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// A throwaway Postgres goes with the demo however that ends. On a server that was
// there before, a demo that is killed leaves its database and its slot, which
// keeps WAL. So the database is marked, and the next demo there drops it.

// demoMark is the comment on a demo's database.
const demoMark = "made by pgcio demo"

// markDemo marks the database of this demo. The session stays in it for as long as
// the demo runs, by which others see that it does.
func markDemo(ctx context.Context, s *pgtest.Session, database string) error {
	if err := s.Exec(ctx, "COMMENT ON DATABASE "+database+" IS '"+demoMark+"'"); err != nil {
		return fmt.Errorf("marking the demo's database: %w", err)
	}
	return nil
}

// dropLeftovers drops the databases of demos that run no more, with their slots,
// and names them.
func dropLeftovers(ctx context.Context, s *pgtest.Session) (dropped []string, err error) {
	// Autovacuum may be in any database.
	left, err := s.Query(ctx, `SELECT datname FROM pg_database d WHERE shobj_description(oid, 'pg_database') = $1
		AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type IN ('client backend', 'walsender'))`, demoMark)
	if err != nil {
		return nil, fmt.Errorf("looking for what earlier demos left: %w", err)
	}
	var failed []error
	for _, row := range left {
		err := s.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1`, row[0])
		if err == nil {
			err = s.Exec(ctx, `DROP DATABASE IF EXISTS "`+row[0]+`"`)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("dropping database %s of an earlier demo: %w", row[0], err))
			continue
		}
		dropped = append(dropped, row[0])
	}
	return dropped, errors.Join(failed...)
}
