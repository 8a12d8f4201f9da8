package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// A slot that is in use is not dropped, and nothing else is either.
func TestTeardownOfASlotInUse(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, tradeSchema)
	r := newRig(t, db, tradeMappings)
	d := r.start()
	d.caughtUp()
	elsewhere := newRig(t, db, tradeMappings)
	out, err := elsewhere.command("teardown", "--yes").CombinedOutput()
	if err == nil || strings.Contains(string(out), "dropped") || !strings.Contains(string(out), "in use") {
		t.Errorf("pgcio teardown: %v\n%s", err, out)
	}
	if n := db.Value(t, "SELECT (SELECT count(*) FROM pg_replication_slots) || ' ' || (SELECT count(*) FROM pg_publication)"); n != "1 1" {
		t.Errorf("slots and publications that are left: %s", n)
	}
	d.stop()
}

// Two pgcios of one database may share a publication: the teardown of one leaves
// it to the other.
func TestTeardownLeavesWhatAnotherReads(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, tradeSchema)
	r := newRig(t, db, tradeMappings)
	run := func(args ...string) string {
		t.Helper()
		out, err := r.command(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("pgcio %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("setup")
	db.Exec(t, "SELECT pg_create_logical_replication_slot('another', 'pgoutput')")
	want := `publication pgcio stays: slot another of this database may be read through it; when it is not, drop it with: DROP PUBLICATION IF EXISTS "pgcio";`
	if out := run("teardown", "--yes"); !strings.Contains(out, want) {
		t.Errorf("%q is not in\n%s", want, out)
	}
	db.Exec(t, "SELECT pg_drop_replication_slot('another')")
	if out := run("teardown", "--yes"); !strings.Contains(out, "publication pgcio dropped") {
		t.Errorf("pgcio teardown says\n%s", out)
	}
	if n := db.Value(t, "SELECT (SELECT count(*) FROM pg_replication_slots) || ' ' || (SELECT count(*) FROM pg_publication)"); n != "0 0" {
		t.Errorf("slots and publications that are left: %s", n)
	}
}

// A publication that an administrator made with our SQL belongs to them: teardown
// drops the slot, leaves it, and says who can drop it and how.
func TestTeardownLeavesWhatTheRoleDoesNotOwn(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, `CREATE TABLE users (id bigint PRIMARY KEY, email text, plan text, n int, hidden bool);
		CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total int, placed_at timestamptz);
		CREATE PUBLICATION pgcio FOR TABLE ONLY users, ONLY orders WITH (publish_via_partition_root = true);
		COMMENT ON PUBLICATION pgcio IS 'made by pgcio';
		CREATE ROLE lesser LOGIN REPLICATION PASSWORD 'lesser'; GRANT SELECT ON users, orders TO lesser`)
	r := newRig(t, db, tradeMappings)
	r.url = fmt.Sprintf("postgres://lesser:lesser@%s:%d/%s", cluster.Host, cluster.Port, cluster.Database)
	must := func(args []string, want ...string) {
		t.Helper()
		out, err := r.command(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("pgcio %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("pgcio %s: %q is not in\n%s", strings.Join(args, " "), w, out)
			}
		}
	}
	stays := `publication pgcio stays: it belongs to another role, which drops it with: DROP PUBLICATION IF EXISTS "pgcio";`
	must([]string{"setup"}, "publication pgcio was there already")
	must([]string{"teardown", "--yes"}, "slot "+db.Name+", which held", "of WAL dropped\n", stays, "the state file "+r.state+" belongs to no slot now")
	must([]string{"teardown", "--yes"}, "there is no slot "+db.Name+"\n", stays)
	if n := db.Value(t, "SELECT (SELECT count(*) FROM pg_replication_slots) || ' ' || (SELECT count(*) FROM pg_publication)"); n != "0 1" {
		t.Errorf("slots and publications that are left: %s", n)
	}
}
