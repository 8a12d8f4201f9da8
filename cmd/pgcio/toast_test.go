package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/status"
)

const toastSchema = `
CREATE TABLE docs (id bigint PRIMARY KEY, ref text NOT NULL UNIQUE, bio text, note text, plan text, shown bool NOT NULL DEFAULT true);
ALTER TABLE docs SET (toast_tuple_target = 128);
ALTER TABLE docs ALTER bio SET STORAGE EXTERNAL, ALTER note SET STORAGE EXTERNAL;
CREATE FUNCTION bio(id bigint, salt text) RETURNS text LANGUAGE sql AS $$ SELECT salt || '-bio-of-' || id || '-' || repeat(md5(id::text), 3200) $$;
CREATE FUNCTION note(id bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'note-of-' || id || '-' || repeat('n', 900) $$;
INSERT INTO docs SELECT id, 'ref' || id, bio(id, 'first'), note(id), 'free', id % 10 > 0 FROM generate_series(1, 60) id;
`

const toastMapping = `
[[mapping]]
name     = "docs"
table    = "public.docs"
object   = "person"
behavior = "update_or_create"
person   = { id = "ref" }
where    = "shown"
%s
[mapping.attributes]
plan     = "plan"
note     = "note"
bio_head = { expr = "bio[0:20]" }
bio_size = { expr = "len(bio)" }
`

// A change of another column does not bring a large value that did not change
// (T25): what the stream leaves out before a row's page is read is missing
// nowhere at the end, whatever the table's replica identity.
func TestLargeValuesUnderEveryReplicaIdentity(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	for _, identity := range []string{"DEFAULT", "FULL", "USING INDEX docs_ref_key", "NOTHING"} {
		t.Run(strings.ToLower(strings.Fields(identity)[0]), func(t *testing.T) {
			db := cluster.NewDatabase(t)
			db.Exec(t, toastSchema+"ALTER TABLE docs REPLICA IDENTITY "+identity)
			if toasted := db.Value(t, "SELECT count(DISTINCT chunk_id) FROM "+db.Value(t, "SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'docs'")); toasted != "120" {
				t.Fatalf("%s large values are stored out of line, not 120", toasted)
			}
			key := ""
			if strings.HasPrefix(identity, "USING") {
				key = `key = ["ref"]`
			}
			r := newRig(t, db, fmt.Sprintf(toastMapping, key))
			if identity == "NOTHING" {
				db.Exec(t, r.identityAsked())
			}
			if out, err := r.command("setup").CombinedOutput(); err != nil {
				t.Fatalf("pgcio setup: %v\n%s", err, out)
			}
			// The first page waits for a transaction that is older than the daemon.
			ctx := context.Background()
			older := db.Connect(t)
			if err := older.Exec(ctx, "BEGIN"); err != nil {
				t.Fatal(err)
			}
			if err := older.Exec(ctx, "CREATE TABLE unrelated ()"); err != nil {
				t.Fatal(err)
			}
			d := r.start()
			d.until("it backfills", func(s status.Snapshot) bool { return s.State == status.Backfilling })

			db.Exec(t, "UPDATE docs SET plan = 'pro' WHERE id <= 20")
			db.Exec(t, "UPDATE docs SET bio = bio(id, 'other') WHERE id = 5")
			db.Exec(t, "UPDATE docs SET plan = 'team' WHERE id BETWEEN 4 AND 6")
			db.Exec(t, "UPDATE docs SET bio = NULL WHERE id = 7; UPDATE docs SET plan = 'null' WHERE id = 7")
			db.Exec(t, "UPDATE docs SET shown = true WHERE id IN (10, 30)") // arrives
			db.Exec(t, "UPDATE docs SET id = id + 1000 WHERE id = 8")       // by another key
			if key == "" {
				db.Exec(t, "UPDATE docs SET ref = 'new-' || ref WHERE id IN (9, 40)") // another person
			}
			db.Exec(t, "INSERT INTO docs SELECT id, 'ref' || id, bio(id, 'new'), note(id), 'free' FROM generate_series(61, 65) id")
			db.Exec(t, "UPDATE docs SET plan = 'pro' WHERE id IN (62, 63)")
			s := d.until("the changes are in", func(s status.Snapshot) bool { return received(s) >= 36 })
			if m := s.Mappings[0]; m.State != status.MappingBackfilling || m.Backfill.Rows > 0 {
				t.Fatalf("the page was not held back: %+v", m)
			}
			if err := older.Exec(ctx, "COMMIT"); err != nil {
				t.Fatal(err)
			}
			db.Exec(t, "UPDATE docs SET plan = 'late' WHERE id BETWEEN 11 AND 15")
			d.caughtUp()
			db.Exec(t, "UPDATE docs SET plan = 'last' WHERE id BETWEEN 14 AND 24; UPDATE docs SET shown = true WHERE id = 20")
			s = d.caughtUp()
			d.stop()

			got := r.sim.State("")
			for _, row := range db.Query(t, `SELECT ref, coalesce(to_json(plan)::text, ''), coalesce(to_json(note)::text, ''),
				coalesce(to_json(left(bio, 20))::text, ''), coalesce(length(bio)::text, '') FROM docs WHERE shown ORDER BY id`) {
				p, ok := got.Person("id:" + row[0])
				have := []string{row[0], p.Value("plan"), p.Value("note"), p.Value("bio_head"), p.Value("bio_size")}
				if !ok || fmt.Sprint(have) != fmt.Sprint(row) {
					t.Errorf("person (there: %v) is\n%.200v, the row is\n%.200v", ok, have, row)
				}
			}
			c := s.Mappings[0].Changes
			if c.Waiting+c.InFlight+c.Orphaned+c.Parked > 0 {
				t.Errorf("it is not done: %+v", c)
			}
			t.Logf("the books: %+v", c)
		})
	}
}

// identityAsked is the statement that pgcio asks for where a table has no replica
// identity: it does not publish what Postgres would then refuse to update (T27).
func (r *rig) identityAsked() string {
	r.t.Helper()
	const statement = "ALTER TABLE public.docs REPLICA IDENTITY DEFAULT"
	out, err := r.command("run").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.Contains(string(out), statement) {
		r.t.Fatalf("a table without replica identity: %v\n%s", err, out)
	}
	r.db.Exec(r.t, "UPDATE docs SET plan = 'free' WHERE id = 1")
	return statement
}
