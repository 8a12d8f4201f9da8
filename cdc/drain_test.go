package cdc

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/pgtest"
)

// BenchmarkDrain reads one backlog through the whole of this package, storing
// nothing, and through pg_recvlogical: interleaved, from copies of one slot.
func BenchmarkDrain(b *testing.B) {
	const rows = 200_000
	for _, shape := range []struct{ name, sql string }{
		{"one transaction", fmt.Sprintf(`INSERT INTO people SELECT i, 'somebody' || i || '@example.com', 'Some', 'Body', 'premium', now(), i FROM generate_series(1, %d) i`, rows)},
		{"many transactions", fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP INSERT INTO people VALUES (i, 'somebody' || i || '@example.com', 'Some', 'Body', 'premium', now(), i); COMMIT; END LOOP; END $$`, rows)},
	} {
		b.Run(shape.name, func(b *testing.B) {
			cluster := pgtest.New(b, pgtest.Options{Settings: map[string]string{"synchronous_commit": "off"}})
			db := cluster.DB()
			recv, ok := cluster.Bin("pg_recvlogical")
			if !ok {
				b.Log("there is no pg_recvlogical to compare with")
			}
			db.Exec(b, `CREATE TABLE people (id int PRIMARY KEY, email text, first text, last text, plan text, at timestamptz, logins int)`)
			cfg := Config{URL: db.URL(), Publication: "pgcio", Slot: "backlog", Manage: true, Tables: []string{"public.people"}}
			ctx := context.Background()
			id, at, err := Setup(ctx, cfg)
			if err != nil {
				b.Fatal(err)
			}
			db.Exec(b, shape.sql)
			end, err := lsn.Parse(db.Value(b, `SELECT pg_current_wal_insert_lsn()`))
			if err != nil {
				b.Fatal(err)
			}
			copySlot := func() string {
				name := fmt.Sprint("copy_", time.Now().UnixNano())
				db.Exec(b, `SELECT pg_copy_logical_replication_slot('backlog', $1)`, name)
				return name
			}
			var ours, theirs time.Duration
			for b.Loop() {
				mine := func() {
					cfg.Slot = copySlot()
					id.Slot = cfg.Slot
					ours += drain(b, cfg, Resume{Identity: id, Stored: at}, rows)
				}
				other := func() {
					if ok {
						slot := copySlot()
						cmd := exec.Command(recv, "-d", db.URL(), "--slot", slot, "--start", "-f", "/dev/null", "--no-loop",
							"-o", "proto_version=1", "-o", "publication_names=pgcio", "--endpos", end.String())
						var out bytes.Buffer
						cmd.Stderr = &out
						begun := time.Now()
						if err := cmd.Run(); err != nil {
							b.Fatalf("%v: %s", err, &out)
						}
						theirs += time.Since(begun)
					}
				}
				// Who comes first changes, so that neither has the caches.
				mine()
				other()
				other()
				mine()
			}
			b.ReportMetric(float64(2*b.N)*rows/ours.Seconds(), "rows/s")
			if ok {
				b.ReportMetric(float64(2*b.N)*rows/theirs.Seconds(), "recvlogical-rows/s")
				b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
			}
		})
	}
}

func drain(b *testing.B, cfg Config, from Resume, rows int) time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := New(cfg)
	begun := time.Now()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, from) }()
	for n := 0; n < rows; {
		batch, err := s.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		n += len(batch.Changes)
		s.Stored(batch.Through)
		s.Release(batch)
	}
	took := time.Since(begun)
	cancel()
	<-done
	return took
}
