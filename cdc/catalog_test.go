package cdc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/pgtest"
)

func TestCatalog(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE TABLE users (id int, org uuid, email text UNIQUE, lower_name text GENERATED ALWAYS AS (lower(email)) STORED, note text NOT NULL, PRIMARY KEY (org, id));
		CREATE UNIQUE INDEX ON users (note) WHERE note > ''; ALTER TABLE users REPLICA IDENTITY FULL;
		CREATE TABLE orders (id int PRIMARY KEY, code text NOT NULL UNIQUE); ALTER TABLE orders REPLICA IDENTITY USING INDEX orders_code_key;
		CREATE PUBLICATION pgcio FOR TABLE orders`+since15(db, ` (id, code) WHERE (code > '')`))
	cfg := config(t, db)
	tables, err := Catalog(testContext(t), cfg, []string{"public.users", "orders", "public.user", "public.zzzzzzzz"})
	var missing *TableError
	if !errors.As(err, &missing) || missing.Table != "public.user" || fmt.Sprint(missing.Near) != "[public.users]" || !strings.Contains(err.Error(), "zzzzzzzz") {
		t.Errorf("err %v", err)
	}
	u := tables["public.users"]
	if fmt.Sprintf("%v %v %v %v %v %c", u.PrimaryKey, u.IdentityColumns, u.UniqueColumns, u.Unpublished, u.Published, u.Kind) != "[org id] [id org email note] [email] [lower_name] false r" {
		t.Errorf("users: %v %v %v %v %v %c", u.PrimaryKey, u.IdentityColumns, u.UniqueColumns, u.Unpublished, u.Published, u.Kind)
	}
	if c := u.Columns[u.Index("note")]; !c.NotNull || c.Type.Kind != Text || !c.Key {
		t.Errorf("note: %+v", c)
	}
	o := tables["orders"]
	if fmt.Sprint(o.PrimaryKey, o.IdentityColumns, o.ColumnList, o.Published) != "[id] [code] ["+since15(db, "id code")+"] true" || !strings.Contains(o.RowFilter, since15(db, "code >")) {
		t.Errorf("orders: %+v", o)
	}
}

// since15 is SQL for row filters and column lists, or what comes of them: there
// are none before Postgres 15.
func since15(db *pgtest.DB, text string) string {
	if db.Cluster.Major < 15 {
		return ""
	}
	return text
}

func findings(t *testing.T, cfg Config, columns map[string][]string) (bad []string, all []Finding) {
	t.Helper()
	all, err := Inspect(testContext(t), cfg, columns, Kept{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Severity == Failure {
			bad = append(bad, f.Subject+": "+f.Problem+" | "+f.Fix)
		}
	}
	return bad, all
}

func TestInspect(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE bare (id int); CREATE VIEW seen AS SELECT 1 AS id; CREATE UNLOGGED TABLE fast (id int PRIMARY KEY);
		CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);`)
	cfg := config(t, db, "public.good")
	if bad, all := findings(t, cfg, nil); len(bad) > 0 || !slices.ContainsFunc(all, func(f Finding) bool { return strings.Contains(f.Problem, "system_id = \"") }) {
		t.Errorf("a good source: %q, %+v", bad, all)
	}
	cfg.Tables = []string{"public.good", "public.bare", "public.seen", "public.fast", "public.made", "public.goof"}
	bad, _ := findings(t, cfg, map[string][]string{"public.made": {"id", "twice", "thrice"}})
	expect(t, bad,
		`table public.goof: there is no such table in this database | did you mean public.good?`,
		`table public.bare: it has no replica identity: published, its own updates and deletes would fail | ALTER TABLE "public"."bare" REPLICA IDENTITY FULL; (or give it a primary key)`,
		`table public.seen: it is no table but a view: its changes are not in the log | map the table it is made of`,
		`table public.fast: it is unlogged: its changes are not in the log | ALTER TABLE "public"."fast" SET LOGGED;`,
		`table public.made: column twice is generated: it is never sent | map the columns it is computed from, in an expr`,
		`table public.made: there is no column thrice | correct the mapping`,
	)
}

// What run would refuse to go on from is found beside the state.
func TestInspectState(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	id, at, err := Setup(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = Teardown(context.Background(), cfg) })
	other, ahead := id, at+1<<40
	other.SystemID = "1"
	for _, c := range []struct {
		name string
		kept Kept
		want string
	}{
		{"its own", Kept{Resume: &Resume{Identity: id, Stored: at}}, ""},
		{"none", Kept{None: true}, "exists, and no state that belongs to it | put the state file back"},
		{"another cluster's", Kept{Resume: &Resume{Identity: other, Stored: at}}, "its system identifier is " + id.SystemID + ", not 1 | if postgres.url is wrong"},
		{"ahead", Kept{Resume: &Resume{Identity: id, Stored: ahead}}, "the state is ahead of the server"},
		{"behind", Kept{Resume: &Resume{Identity: id, Stored: at - 1}}, "was moved on to " + at.String()},
	} {
		all, err := Inspect(testContext(t), cfg, nil, c.kept)
		if err != nil {
			t.Fatal(err)
		}
		var bad string
		for _, f := range all {
			if f.Severity == Failure {
				bad += f.Problem + " | " + f.Fix + "\n"
			}
		}
		if !strings.Contains(bad, c.want) || (bad == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", c.name, bad, c.want)
		}
	}
}

func TestInspectPublication(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE TABLE good (id int PRIMARY KEY, v int); CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY HASH (id);
		CREATE TABLE parts0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE TABLE late (id int PRIMARY KEY);
		CREATE TABLE filtered (id int PRIMARY KEY, v int);
		CREATE PUBLICATION pgcio FOR TABLE good`+since15(db, ` (v)`)+`, parts, filtered`+since15(db, ` WHERE (id > 5)`)+` WITH (publish = 'insert, update')`)
	cfg := config(t, db, "public.good", "public.parts", "public.late", "public.filtered")
	cfg.Manage = false
	bad, all := findings(t, cfg, map[string][]string{"public.good": {"id"}})
	var listed, filtered []string
	if db.Cluster.Major >= 15 {
		listed = []string{
			`table public.good: the publication's column list leaves id out, of its replica identity: its own updates and deletes fail | ALTER PUBLICATION "pgcio" SET TABLE … with a column list that has id`,
			`table public.good: column id is outside the publication's column list: it is never sent | add it to the publication's column list`,
		}
		filtered = []string{"the publication sends only rows with (id > 5): a row that leaves the filter looks deleted"}
	}
	expect(t, bad, append(listed,
		`table public.parts: it is partitioned, and the publication sends its changes under the names of its partitions | ALTER PUBLICATION "pgcio" SET (publish_via_partition_root = true);`,
		`table public.late: it is not in publication pgcio: its changes are not sent | ALTER PUBLICATION "pgcio" ADD TABLE ONLY "public"."late";`,
	)...)
	var warned []string
	for _, f := range all {
		if f.Severity == Warning && (strings.HasPrefix(f.Subject, "publication") || strings.HasPrefix(f.Subject, "table")) {
			warned = append(warned, f.Problem)
		}
	}
	expect(t, warned, append([]string{"does not publish delete, truncate: such changes are never seen"}, filtered...)...)
	db.Exec(t, `CREATE TABLE bare (id int); DROP PUBLICATION pgcio; CREATE PUBLICATION pgcio FOR ALL TABLES WITH (publish_via_partition_root = true)`)
	bad, _ = findings(t, cfg, nil)
	expect(t, bad, `publication pgcio: publishes all tables, also public.bare, which has no replica identity: its updates and deletes fail | ALTER TABLE "public"."bare" REPLICA IDENTITY FULL; (or give it a primary key)`)
}

func TestInspectRole(t *testing.T) {
	db := pgtest.NewDatabase(t)
	role := "weak_" + db.Name
	db.Exec(t, usersTable+`ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE ROLE `+role+` LOGIN PASSWORD 'x'; CREATE SCHEMA shut; CREATE TABLE shut.t (id int PRIMARY KEY)`)
	t.Cleanup(func() { db.Exec(t, `DROP OWNED BY `+role+`; DROP ROLE `+role) })
	cfg := config(t, db, "public.users", "shut.t")
	cfg.URL = as(t, cfg.URL, role, "x")
	bad, _ := findings(t, cfg, map[string][]string{"public.users": {"id"}})
	text := strings.Join(bad, "\n")
	for _, want := range []string{"may not replicate | ALTER ROLE", "no replication connection", "GRANT CREATE ON DATABASE", "GRANT SELECT (\"id\") ON \"public\".\"users\"",
		"BYPASSRLS", "GRANT USAGE ON SCHEMA \"shut\"", "does not own it"} {
		if !strings.Contains(text, want) {
			t.Errorf("no finding has %q:\n%s", want, text)
		}
	}
	// Of a table whose mapped columns are not known nobody asks for all of them.
	if bad, _ := findings(t, cfg, nil); strings.Contains(strings.Join(bad, "\n"), "GRANT SELECT") {
		t.Errorf("findings without columns: %q", bad)
	}
	cfg.URL = as(t, cfg.URL, role, "wrong")
	if bad, _ := findings(t, cfg, nil); len(bad) != 1 || strings.Contains(bad[0], "wrong") {
		t.Errorf("findings %q", bad)
	}
}

func TestInspectServer(t *testing.T) {
	db := pgtest.New(t, pgtest.Options{Settings: map[string]string{"wal_level": "replica", "max_wal_senders": "1", "max_replication_slots": "0", "wal_sender_timeout": "0"}}).DB()
	bad, _ := findings(t, config(t, db), nil)
	text := strings.Join(bad, "\n")
	for _, want := range []string{"ALTER SYSTEM SET wal_level = 'logical'", "ALTER SYSTEM SET max_replication_slots = 2", "ALTER SYSTEM SET max_wal_senders = 3"} {
		if !strings.Contains(text, want) {
			t.Errorf("no finding has %q:\n%s", want, text)
		}
	}
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSetupSQL(t *testing.T) {
	db := pgtest.New(t).DB()
	db.Exec(t, usersTable+`CREATE TABLE orders (id int PRIMARY KEY, v text)`)
	cfg := config(t, db, "public.users", "public.orders")
	look := cfg
	cfg.URL = as(t, cfg.URL, "somebody", "x")
	sql, err := SetupSQL(testContext(t), cfg, look, map[string][]string{"public.users": {"id", "email", "bio"}})
	if err != nil {
		t.Fatal(err)
	}
	db.Exec(t, sql) // it runs as it is printed
	db.Exec(t, `ALTER ROLE somebody PASSWORD 'x'`)
	cfg.Manage = false
	if bad, _ := findings(t, cfg, map[string][]string{"public.users": {"id", "email"}}); len(bad) > 0 {
		t.Errorf("findings after %s: %q", sql, bad)
	}
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	p.want("insert users {id=1 email=null bio=null}")
	if got := p.readAll(Want{Table: "public.users", Key: []string{"id"}}); len(got) != 1 {
		t.Errorf("read %q", got)
	}
}

func TestManageFalseSaysWhatToRun(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	cfg.Manage = false
	if _, _, err := Setup(testContext(t), cfg); err == nil || !strings.Contains(err.Error(), `CREATE PUBLICATION "pgcio" FOR TABLE ONLY "public"."users"`) {
		t.Errorf("err %v", err)
	}
}

// Without sslmode a server elsewhere has to prove who it is (T62).
func TestTLSDefault(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	t.Setenv("PGSERVICE", "")
	services := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(services, []byte("[bare]\nhost=db.example.com\n[open]\nhost=db.example.com\nsslmode=prefer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICEFILE", services)
	verifies := func(c *pgconn.Config) bool {
		return c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify && len(c.Fallbacks) == 0
	}
	for address, want := range map[string]bool{
		"postgres://u@db.example.com/app":                 true,
		"host=db.example.com user=u dbname=app":           true,
		"postgres://u@db.example.com/app?sslmode=disable": false,
		"host=db.example.com user=u sslmode = require":    false,
		// The words in a name or a password say nothing.
		"postgres://service:sslmode@service.example.com/service":                      true,
		"host=service.example.com user=sslmode password='it is sslmode=a' dbname=app": true,
		"host=service.example.com user=u password='\\' sslmode=disable' dbname=app":   true,
		"postgres:///app?service=bare":                                                true,
		"service=bare user=u":                                                         true,
		"postgres:///app?service=open":                                                false,
		"service = 'open' user=u":                                                     false,
		"postgres://u@localhost/app":                                                  false,
		"postgres://u@/app?host=/run/postgresql":                                      false,
		"postgres://u@127.0.0.1/app":                                                  false,
	} {
		c, err := parseURL(address)
		if err != nil {
			t.Fatal(err)
		}
		if verifies(c) != want {
			t.Errorf("%s: verified %v", address, !want)
		}
	}
}

func TestSwitchPoint(t *testing.T) {
	history := "1\t0/3000158\tno recovery target specified\n\n2\t0/5000000\tat restore point \"x\"\n"
	for timeline, want := range map[int32]lsn.LSN{1: 0x3000158, 2: 0x5000000, 3: 0} {
		if got, _ := switchPoint(history, timeline); got != want {
			t.Errorf("timeline %d left at %s, want %s", timeline, got, want)
		}
	}
}

// A promotion at or after the position is no gap; one before it is (T45).
func TestNewTimeline(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO users VALUES (1)`)
	p.want("insert users {id=1 email=null bio=null}")
	from := p.stop()
	if _, err := cluster.Stop(testContext(t), pgtest.Fast); err != nil {
		t.Fatal(err)
	}
	// The copy is a standby with nobody to follow, and is promoted.
	copied := pgtest.New(t, pgtest.Options{CopyOf: cluster, Files: map[string]string{"standby.signal": ""}}).DB()
	copied.Exec(t, `SELECT pg_promote()`)
	cfg.URL = copied.URL()
	var told atomic.Int32
	cfg.Moved = func(_ context.Context, id Identity) error { told.Store(id.Timeline); return nil }
	q := resume(t, cfg, from)
	copied.Exec(t, `INSERT INTO users VALUES (2)`)
	q.want("insert users {id=2 email=null bio=null}")
	if is := told.Load(); is != from.Identity.Timeline+1 {
		t.Errorf("timeline %d after %d: it was not told before anything was streamed", is, from.Identity.Timeline)
	}
	q.stop()
	late := from
	late.Stored += 1 << 30
	wantGap(t, resume(t, cfg, late).ends(), "left timeline 1 for timeline 2")
}

func TestSetupIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Setup(ctx, Config{URL: "postgres://127.0.0.1:1/none"}); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v", err)
	}
}

// T56, T58: the pinned settings win over other spellings of them.
func TestPinnedSettings(t *testing.T) {
	t.Setenv("PGTZ", "Europe/Berlin")
	db := pgtest.NewDatabase(t)
	cfg := config(t, db)
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("datestyle", "German")
	q.Set("INTERVALSTYLE", "iso_8601")
	u.RawQuery = q.Encode()
	cfg.URL = u.String()
	for range 10 { // which of two spellings wins is chance
		for _, m := range []mode{ordinary, replicating} {
			s, err := connect(testContext(t), cfg.withDefaults(), m)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.query(testContext(t), "SELECT current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle')")
			if err != nil {
				t.Fatal(err)
			}
			if got := r.text(0, 0) + " " + r.text(0, 1) + " " + r.text(0, 2); got != "UTC ISO, MDY postgres" {
				t.Errorf("settings %s", got)
			}
			s.close()
		}
	}
}

// Of two servers all connections are to the one that is streamed from (T24).
func TestOneServer(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	if _, _, err := Setup(testContext(t), cfg); err != nil {
		t.Fatal(err)
	}
	s, err := connect(testContext(t), cfg.withDefaults(), ordinary)
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	other := cfg.withDefaults()
	other.URL, other.at = pgtest.NewDatabase(t).URL(), s.at
	if _, err := connect(testContext(t), other, ordinary); err == nil || !strings.Contains(err.Error(), "is not the server that is streamed from") {
		t.Errorf("connected to another server: %v", err)
	}
	other.URL, other.at = db.URL(), s.at
	if s, err = connect(testContext(t), other, ordinary); err != nil {
		t.Fatal(err)
	}
	s.close()
}

// A standby without the slot is waited at: its primary may have it.
func TestStandbyWithoutTheSlot(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	from := begin(t, cfg).stop()
	if _, err := cluster.Stop(testContext(t), pgtest.Fast); err != nil {
		t.Fatal(err)
	}
	standby := pgtest.New(t, pgtest.Options{CopyOf: cluster, Files: map[string]string{"standby.signal": ""}}).DB()
	standby.Exec(t, "SELECT pg_drop_replication_slot('"+cfg.Slot+"')")
	cfg.URL = standby.URL()
	p := resume(t, cfg, from)
	waitFor(t, "the standby to be named", func() bool {
		return strings.Contains(p.src.Status().LastError, "is a standby without replication slot")
	})
	standby.Exec(t, `SELECT pg_promote()`)
	wantGap(t, p.ends(), "replication slot "+cfg.Slot)
}
