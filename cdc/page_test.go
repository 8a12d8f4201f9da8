package cdc

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// read asks and waits for the answer, with the changes before it.
func (p *pump) read(w Want) (*Page, []string) {
	p.t.Helper()
	n := len(p.pages)
	p.src.Read(w)
	p.until(func() bool { return len(p.pages) > n })
	var got []string
	for _, c := range p.all {
		if strings.HasPrefix(c, "read ") {
			got = append(got, strings.TrimPrefix(c, "read "))
		}
	}
	p.all = nil
	return p.pages[n], got
}

// readAll pages through a table.
func (p *pump) readAll(w Want) []string {
	p.t.Helper()
	var all []string
	for {
		page, got := p.read(w)
		if page.Err != nil {
			p.t.Fatal(page.Err)
		}
		all = append(all, got...)
		if page.Done {
			return all
		}
		if len(got) == 0 {
			p.t.Fatal("an empty page that is not the last")
		}
		w.After = page.Last
	}
}

func TestPages(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
		CREATE TYPE mood AS ENUM ('z', 'y'); CREATE DOMAIN code AS char(5) CHECK (value <> '');
		CREATE TABLE ints (id int8 PRIMARY KEY, v text);
		INSERT INTO ints SELECT i * 10, 'v' || i FROM generate_series(-3, 30) i;
		CREATE TABLE uuids (id uuid PRIMARY KEY);
		INSERT INTO uuids SELECT md5(i::text)::uuid FROM generate_series(1, 34) i;
		CREATE TABLE texts (id text COLLATE "C" PRIMARY KEY);
		INSERT INTO texts VALUES ('a'), ('B'), ('b''c'), ('b\d'), ('Ä'), ('');
		CREATE TABLE citexts (id ext.citext PRIMARY KEY);
		INSERT INTO citexts VALUES ('a'), ('B'), ('c'), ('D'), ('e');
		CREATE TABLE pairs (a mood, b code, c timestamptz, "d""e" bytea, PRIMARY KEY (b, a, c, "d""e"));
		INSERT INTO pairs SELECT m, c, now() - i * interval '1.5 h', decode(md5(i::text), 'hex')
			FROM unnest(enum_range(NULL::mood)) m, unnest(ARRAY['x', 'y', 'long']) c, generate_series(1, 3) i;
		CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (PRIMARY KEY (id)) INHERITS (parents);
		INSERT INTO parents VALUES (1); INSERT INTO children VALUES (2);
		CREATE TABLE parts (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
		CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu'); CREATE TABLE parts_us PARTITION OF parts FOR VALUES IN ('us');
		INSERT INTO parts VALUES (1, 'eu'), (2, 'us'), (3, 'eu');
		CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO made VALUES (4);`)
	p := begin(t, config(t, db, "public.ints", "public.uuids", "public.texts", "public.citexts", "public.pairs", "public.parents", "public.parts", "public.made"))
	for _, c := range []struct {
		table string
		key   []string
		rows  int
	}{
		{"ints", []string{"id"}, 34}, {"uuids", []string{"id"}, 34}, {"texts", []string{"id"}, 6}, {"citexts", []string{"id"}, 5},
		{"pairs", []string{"b", "a", "c", `d"e`}, 18}, {"parents", []string{"id"}, 1}, {"parts", []string{"id", "region"}, 3}, {"made", []string{"id"}, 1},
	} {
		t.Run(c.table, func(t *testing.T) {
			all := p.readAll(Want{Table: "public." + c.table, Key: c.key, Limit: 4})
			if len(all) != c.rows {
				t.Errorf("%d rows instead of %d: %q", len(all), c.rows, all)
			}
			sorted := slices.Clone(all)
			slices.Sort(sorted)
			if n := len(slices.Compact(sorted)); n != len(all) {
				t.Errorf("%d different rows of %d", n, len(all))
			}
		})
	}
	t.Run("condition", func(t *testing.T) {
		all := p.readAll(Want{Table: "public.ints", Key: []string{"id"}, Limit: 2, Where: "id < 0 OR id = 300 -- and no more"})
		if fmt.Sprint(all) != "[ints {id=-30 v=v-3} ints {id=-20 v=v-2} ints {id=-10 v=v-1} ints {id=300 v=v30}]" {
			t.Errorf("got %q", all)
		}
	})
	t.Run("keys", func(t *testing.T) {
		page, got := p.read(Want{Table: "public.ints", Key: []string{"id"}, Keys: [][]string{{"300"}, {"7"}, {"-30"}}})
		slices.Sort(got)
		if fmt.Sprint(got) != "[ints {id=-30 v=v-3} ints {id=300 v=v30}]" || !page.Done || page.Err != nil {
			t.Errorf("got %q, %+v", got, page)
		}
		if page, got := p.read(Want{Table: "public.parts", Key: []string{"id", "region"}, Keys: [][]string{{"2", "us"}, {"3", "us"}}}); len(got) != 1 || page.Err != nil {
			t.Errorf("got %q, %+v", got, page)
		}
		if page, got := p.read(Want{Table: "public.ints", Key: []string{"id"}, Keys: [][]string{}}); len(got) != 0 || !page.Done || page.Err != nil {
			t.Errorf("got %q, %+v", got, page)
		}
	})
	t.Run("what cannot be read", func(t *testing.T) {
		for _, w := range []Want{
			{Table: "public.nothing", Key: []string{"id"}},
			{Table: "public.ints", Key: []string{"other"}},
			{Table: "public.ints"},
			{Table: "public.ints", Key: []string{"id"}, Where: "no such column"},
			{Table: "public.ints", Key: []string{"id"}, After: []string{"x"}},
			{Table: "public.ints", Key: []string{"id"}, After: []string{"1", "2"}},
			{Table: "public.ints", Key: []string{"id"}, Where: "nextval('s') > 0"},
		} {
			if page, _ := p.read(w); page.Err == nil || page.Done {
				t.Errorf("%+v gave %+v", w, page)
			}
		}
	})
	t.Run("read only", func(t *testing.T) {
		db.Exec(t, `CREATE SEQUENCE s`)
		if page, _ := p.read(Want{Table: "public.ints", Key: []string{"id"}, Where: "nextval('s') > 0"}); page.Err == nil || !strings.Contains(page.Err.Error(), "read-only") {
			t.Errorf("err %v", page.Err)
		}
		// Nor is it more than a condition.
		page, _ := p.read(Want{Table: "public.ints", Key: []string{"id"}, Where: "true); COMMIT; DELETE FROM ints; SELECT 1 AS id WHERE (true"})
		if n := db.Value(t, `SELECT count(*) FROM ints`); page.Err == nil || n != "34" {
			t.Errorf("%s rows are left, err %v", n, page.Err)
		}
	})
}

// A page of rows too large for it ends early, and the next goes on.
func TestLargeRows(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE TABLE large (id int PRIMARY KEY, v text);
		INSERT INTO large SELECT i, repeat('x', CASE WHEN i > 100 THEN 300000 ELSE 10 END) FROM generate_series(1, 120) i`)
	p := begin(t, config(t, db, "public.large"))
	sizes := []int{}
	w := Want{Table: "public.large", Key: []string{"id"}, Bytes: 1 << 20}
	for {
		page, got := p.read(w)
		if page.Err != nil {
			t.Fatal(page.Err)
		}
		sizes = append(sizes, len(got))
		if w.After = page.Last; page.Done {
			break
		}
	}
	total := 0
	for i, n := range sizes {
		if total += n; i > 0 && n > 4 {
			t.Errorf("page %d has %d rows of 300 kB in 1 MB", i, n)
		}
	}
	if total != 120 {
		t.Errorf("%d rows in pages of %v", total, sizes)
	}
}

// The stream leaves out what the publication filters, and so do pages (T33).
func TestPagesFollowThePublication(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE TABLE users (id int PRIMARY KEY, active bool NOT NULL, secret text); ALTER TABLE users REPLICA IDENTITY FULL;
		CREATE TABLE listed (id int PRIMARY KEY, secret text);
		INSERT INTO users VALUES (1, true, 's'), (2, false, 's'); INSERT INTO listed VALUES (1, 's')`)
	if db.Cluster.Major < 15 { // which has no other publications than of whole tables
		p := begin(t, config(t, db, "public.users", "public.listed"))
		if got := p.readAll(Want{Table: "public.users", Key: []string{"id"}}); fmt.Sprint(got) != "[users {id=1 active=t secret=s} users {id=2 active=f secret=s}]" {
			t.Errorf("got %q", got)
		}
		return
	}
	db.Exec(t, `CREATE PUBLICATION pgcio FOR TABLE users WHERE (active), listed (id)`)
	p := begin(t, config(t, db, "public.users", "public.listed"))
	if got := p.readAll(Want{Table: "public.users", Key: []string{"id"}}); fmt.Sprint(got) != "[users {id=1 active=t secret=s}]" {
		t.Errorf("got %q", got)
	}
	if got := p.readAll(Want{Table: "public.listed", Key: []string{"id"}}); fmt.Sprint(got) != "[listed {id=1}]" {
		t.Errorf("got %q", got)
	}
	db.Exec(t, `UPDATE users SET active = NOT active WHERE id = 2; INSERT INTO listed VALUES (2, 't')`)
	p.want("insert users {id=2 active=t secret=s}", "insert listed {id=2}")
}

// T38: generated columns are neither streamed nor read, or both: since 18 a
// publication may have them.
func TestGeneratedColumns(t *testing.T) {
	db := pgtest.NewDatabase(t)
	with, row := "", "made {id=%d}"
	if db.Cluster.Major >= 18 {
		with, row = " WITH (publish_generated_columns = stored)", "made {id=%d twice=%d}"
	}
	text := func(id int) string { return fmt.Sprintf(row, []any{id, 2 * id}[:strings.Count(row, "%")]...) }
	db.Exec(t, `CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO made VALUES (1);
		CREATE PUBLICATION pgcio FOR TABLE made`+with)
	p := begin(t, config(t, db, "public.made"))
	db.Exec(t, `INSERT INTO made VALUES (2)`)
	p.want("insert " + text(2))
	if got := p.readAll(Want{Table: "public.made", Key: []string{"id"}}); !slices.Equal(got, []string{text(1), text(2)}) {
		t.Errorf("read %q", got)
	}
}

// T37: rows that a policy hides are an error, never left out in silence.
func TestRowSecurity(t *testing.T) {
	db := pgtest.NewDatabase(t)
	role := "limited_" + db.Name
	db.Exec(t, usersTable+`INSERT INTO users VALUES (1); ALTER TABLE users ENABLE ROW LEVEL SECURITY;
		CREATE POLICY none ON users USING (id > 1); CREATE PUBLICATION pgcio FOR TABLE users;
		CREATE ROLE `+role+` LOGIN REPLICATION PASSWORD 'x'; GRANT SELECT ON users TO `+role)
	t.Cleanup(func() { db.Exec(t, `DROP OWNED BY `+role+`; DROP ROLE `+role) })
	cfg := config(t, db, "public.users")
	cfg.Manage = false
	cfg.URL = as(t, cfg.URL, role, "x")
	p := begin(t, cfg)
	if page, _ := p.read(Want{Table: "public.users", Key: []string{"id"}}); page.Err == nil || !strings.Contains(page.Err.Error(), "row-level security") {
		t.Errorf("err %v", page.Err)
	}
	p.stop()
	<-p.src.ended
}

func as(t *testing.T, address, user, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// The first page waits for transactions that are older than the asking.
func TestFirstPageWaits(t *testing.T) {
	cluster := pgtest.New(t, pgtest.Options{Settings: map[string]string{"max_prepared_transactions": "5"}})
	db, other := cluster.DB(), cluster.NewDatabase(t)
	db.Exec(t, usersTable)
	p := begin(t, config(t, db, "public.users"))
	ctx := testContext(t)
	open, elsewhere := db.Connect(t), other.Connect(t)
	if err := open.Exec(ctx, `BEGIN; INSERT INTO users VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Exec(ctx, `CREATE TABLE x (); BEGIN; SELECT pg_current_xact_id()`); err != nil {
		t.Fatal(err)
	}
	db.Exec(t, `BEGIN; INSERT INTO users VALUES (2); PREPARE TRANSACTION 'ready'`)
	p.src.Read(Want{Table: "public.users", Key: []string{"id"}})
	waitFor(t, "both to be named", func() bool {
		text := blockerList(p.src.Status().Blockers)
		return strings.Contains(text, fmt.Sprint("process ", open.PID())) && strings.Contains(text, `"ready"`)
	})
	// Pages that are not the first do not wait.
	if page, _ := p.read(Want{Table: "public.users", Key: []string{"id"}, After: []string{"0"}}); !page.Done {
		t.Errorf("page %+v", page)
	}
	db.Exec(t, `COMMIT PREPARED 'ready'`)
	if err := open.Exec(ctx, `COMMIT`); err != nil {
		t.Fatal(err)
	}
	n := len(p.pages)
	p.until(func() bool { return len(p.pages) > n })
	if got := p.all[len(p.all)-2:]; !strings.HasPrefix(got[0], "read users {id=1") || !strings.HasPrefix(got[1], "read users {id=2") {
		t.Errorf("got %q", p.all)
	}
	if b := p.src.Status().Blockers; len(b) != 0 {
		t.Errorf("still waits for %v", b)
	}
}

// A page costs little on an idle server, also where an open transaction keeps
// the log's end in memory: nobody writes then to bring the stream on.
func TestPagesOfAnIdleServer(t *testing.T) {
	db := pgtest.New(t).DB()
	db.Exec(t, usersTable+`INSERT INTO users SELECT generate_series(1, 100)`)
	p := begin(t, config(t, db, "public.users"))
	p.read(Want{Table: "public.users", Key: []string{"id"}})
	begun := time.Now()
	for i := range 20 {
		p.read(Want{Table: "public.users", Key: []string{"id"}, After: []string{fmt.Sprint(i)}, Limit: 1})
	}
	t.Logf("%s a page", time.Since(begun)/20)
	open := db.Connect(t)
	if err := open.Exec(testContext(t), `BEGIN; INSERT INTO users VALUES (1000)`); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	p.read(Want{Table: "public.users", Key: []string{"id"}, After: []string{"3"}})
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a page beside an open transaction took %s", took)
	} else {
		t.Logf("%s beside an open transaction", took)
	}
}

// M13: pages beside writers, taken by the rule "a read row is taken if its
// newest streamed change is visible in the page's snapshot", end in what the
// table holds.
func TestPagesBesideWriters(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, `CREATE TABLE rows (id int PRIMARY KEY, v text); INSERT INTO rows SELECT i, 'old' FROM generate_series(1, 2000) i`)
	cfg := config(t, db, "public.rows")
	cfg.BatchDelay = time.Millisecond
	p := begin(t, cfg)
	ctx := testContext(t)

	stop := make(chan struct{})
	var writers sync.WaitGroup
	for n := range 3 {
		s := db.Connect(t)
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 7))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := rnd.IntN(2500) + 1
				sql := fmt.Sprintf(`UPDATE rows SET v = '%d-%d' WHERE id BETWEEN %d AND %d`, n, i, id, id+rnd.IntN(3))
				switch rnd.IntN(6) {
				case 0:
					sql = fmt.Sprintf(`DELETE FROM rows WHERE id = %d`, id)
				case 1:
					sql = fmt.Sprintf(`INSERT INTO rows VALUES (%d, 'new') ON CONFLICT DO NOTHING`, id)
				case 2:
					sql = fmt.Sprintf(`SET synchronous_commit = off; BEGIN; SAVEPOINT s; %s; RELEASE s; COMMIT; RESET synchronous_commit`, sql)
				}
				if err := s.Exec(ctx, sql); err != nil && !strings.Contains(err.Error(), "deadlock") {
					t.Error(err)
					return
				}
			}
		})
	}
	type row struct {
		xid  uint64
		in   bool
		text string
	}
	mine := map[string]row{}
	var page *Page
	take := func() {
		b, err := p.src.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range b.Changes {
			image := c.New
			if c.Kind == Delete {
				image = c.Old
			}
			id, _ := image.Get(0)
			v, _ := image.Get(1)
			old, known := mine[string(id)]
			if c.Kind == Read && known && old.xid > 0 && !b.Read.Snapshot.Visible(old.xid) {
				continue
			}
			mine[string(id)] = row{max(old.xid, c.Tx.XID), c.Kind != Delete, string(v)}
		}
		if page = b.Read; page == nil && b.Through > 0 {
			p.src.Stored(b.Through)
		}
		p.src.Release(b)
	}
	// The table is read twice, so that rows which come and go meet pages.
	for range 2 {
		w := Want{Table: "public.rows", Key: []string{"id"}, Limit: 50}
		for {
			p.src.Read(w)
			for take(); page == nil; {
				take()
			}
			if page.Err != nil {
				t.Fatal(page.Err)
			}
			if page.Done {
				break
			}
			w.After = page.Last
		}
	}
	close(stop)
	writers.Wait()
	db.Exec(t, `INSERT INTO rows VALUES (100000, 'last')`)
	for mine["100000"].text != "last" {
		take()
	}
	var got, want []string
	for id, r := range mine {
		if r.in {
			got = append(got, id+" "+r.text)
		}
	}
	for _, r := range db.Query(t, `SELECT id, v FROM rows`) {
		want = append(want, r[0]+" "+r[1])
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// T58: every type, streamed and read; the bytes are the same.
func TestTypes(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, zoo)
	p := begin(t, config(t, db, "public.zoo"))
	// One line for each column: its type, and its value in each row.
	var lines []string
	p.look = func(c Change) {
		if lines == nil {
			for _, column := range c.Table.Columns {
				lines = append(lines, column.Name+" "+describeType(column.Type)+":")
			}
		}
		for i := range lines {
			text, state := c.New.Get(i)
			if state == Null {
				lines[i] += " null"
			} else {
				lines[i] += fmt.Sprintf(" %q", text)
			}
		}
	}
	db.Exec(t, zooRows)
	p.until(func() bool { return len(p.all) >= 4 })
	streamed := strings.Join(lines, "\n") + "\n"
	lines = nil
	p.readAll(Want{Table: "public.zoo", Key: []string{"id"}})
	if diff := cmp.Diff(streamed, strings.Join(lines, "\n")+"\n"); diff != "" {
		t.Errorf("streamed and read differ: %s", diff)
	}
	golden(t, "zoo.want", streamed)
}

func describeType(t *Type) string {
	kinds := []string{"text", "bool", "integer", "float", "numeric", "money", "timestamp", "timestamptz", "date", "json", "bytea", "char", "hstore", "array", "composite"}
	text := t.Name + " " + kinds[t.Kind]
	if t.Element != nil {
		text += " of " + describeType(t.Element)
		if t.Delimiter != ',' {
			text += " by " + string(t.Delimiter)
		}
	}
	var fields []string
	for _, f := range t.Fields {
		fields = append(fields, f.Name+" "+describeType(f.Type))
	}
	if fields != nil {
		text += " (" + strings.Join(fields, ", ") + ")"
	}
	return text
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// T57: a database without an encoding holds what is no UTF-8. Asked for UTF-8
// Postgres would end the stream at such a row each time.
func TestBytesOfNoEncoding(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.NewDatabase(t, "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
	db.Exec(t, usersTable)
	p := begin(t, config(t, db, "public.users"))
	db.Exec(t, `INSERT INTO users VALUES (1, 'ä', convert_from('\xe4', 'SQL_ASCII'))`)
	row := "users {id=1 email=ä bio=\xe4}"
	p.want("insert " + row)
	if got := p.readAll(Want{Table: "public.users", Key: []string{"id"}}); fmt.Sprint(got) != "["+row+"]" {
		t.Errorf("read %q", got)
	}
	if got := p.readAll(Want{Table: "public.users", Key: []string{"email"}, Keys: [][]string{{"ä"}}}); fmt.Sprint(got) != "["+row+"]" {
		t.Errorf("read by key %q", got)
	}
}

// T56, T57: whatever is set for the role and the database, the bytes are the
// same; and another encoding arrives as UTF-8.
func TestHostileSettings(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.NewDatabase(t, "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
	s := db.Connect(t) // before: its own statements are not to be cut short
	sets := []string{"datestyle = 'German'", "intervalstyle = 'iso_8601'", "timezone = 'Asia/Tokyo'", "bytea_output = 'escape'", "extra_float_digits = -5",
		"client_encoding = 'LATIN1'", "statement_timeout = 1", "standard_conforming_strings = off", "search_path = 'nowhere'", "default_transaction_isolation = 'serializable'",
		"row_security = off", "quote_all_identifiers = on", "idle_in_transaction_session_timeout = 1", "lock_timeout = 1", "client_min_messages = error"}
	if cluster.Major >= 14 {
		sets = append(sets, "idle_session_timeout = 300")
	}
	if cluster.Major >= 17 {
		sets = append(sets, "transaction_timeout = 300")
	}
	for _, set := range sets {
		cluster.DB().Exec(t, `ALTER DATABASE `+db.Name+` SET `+set)
	}
	exec := func(sql string) {
		t.Helper()
		if err := s.Exec(testContext(t), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE t (id text PRIMARY KEY, at timestamptz, i interval, b bytea, f float8, m money)`)
	cfg := config(t, db, "public.t")
	cfg.BatchChanges = 100
	p := begin(t, cfg)
	time.Sleep(400 * time.Millisecond) // longer than every hostile timeout
	exec(`INSERT INTO t VALUES (U&'\00e4\\''', '2026-01-02 03:04:05.6+00', '1 year 2 days 03:04:05', '\x00ff', 0.1::float8 + 0.2, 12.5)`)
	want := `{id=ä\' at=2026-01-02 03:04:05.6+00 i=1 year 2 days 03:04:05 b=\x00ff f=0.30000000000000004 m=$12.50}`
	p.want("insert t " + want)
	if got := p.readAll(Want{Table: "public.t", Key: []string{"id"}}); fmt.Sprint(got) != "[t "+want+"]" {
		t.Errorf("read %q", got)
	}
	if got := p.readAll(Want{Table: "public.t", Key: []string{"id"}, Keys: [][]string{{`ä\'`}}}); fmt.Sprint(got) != "[t "+want+"]" {
		t.Errorf("read by key %q", got)
	}
	// A walsender decodes a transaction in one of its own, for as long as we take.
	p.all = nil
	exec(`INSERT INTO t SELECT i, NULL, NULL, decode(repeat('ab', 2000), 'hex') FROM generate_series(1, 10000) i`)
	p.until(func() bool { return len(p.all) > 0 })
	pid := walsender(t, cluster.DB(), p)
	time.Sleep(time.Second)
	p.until(func() bool { return len(p.all) == 10000 })
	if now := walsender(t, cluster.DB(), p); now != pid {
		t.Errorf("the connection was lost: process %s, before %s", now, pid)
	}
}

// A page that was read and not handed on may show what a crash takes back: with
// synchronous_commit = off a commit is seen before it is on disk. It is read
// again beside the next connection.
func TestPagesDoNotOutliveTheServer(t *testing.T) {
	cluster := pgtest.New(t, pgtest.Options{Settings: map[string]string{"wal_writer_delay": "10s"}})
	db := cluster.DB()
	db.Exec(t, usersTable+`INSERT INTO users VALUES (1)`)
	cfg := config(t, db, "public.users")
	read := make(chan struct{}, 10)
	cfg.Fail = func(point string) {
		if point == "page-read" {
			read <- struct{}{}
		}
	}
	p := begin(t, cfg)
	waitFor(t, "a connection", func() bool { return p.src.Status().Connected })
	db.Exec(t, `SET synchronous_commit = off; INSERT INTO users VALUES (2)`)
	p.src.Read(Want{Table: "public.users", Key: []string{"id"}, After: []string{"0"}})
	<-read
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Restart(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if n := db.Value(t, `SELECT count(*) FROM users`); n != "1" {
		t.Fatalf("the crash left %s rows: it took nothing back", n)
	}
	db.Exec(t, `INSERT INTO users SELECT generate_series(10, 1000)`) // the log goes past where it ended before
	p.until(func() bool { return len(p.pages) > 0 })
	for _, c := range p.all {
		if strings.HasPrefix(c, "read users {id=2 ") {
			t.Error("a row that never was")
		}
	}
}

// T40: a table that changes between the look at it and the page is looked at
// again; no value is taken for one of the type that its column had.
func TestPagesOfATableThatChanges(t *testing.T) {
	db := pgtest.NewDatabase(t)
	db.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, v int, w int); INSERT INTO t VALUES (1, 2, 3)`)
	p := begin(t, config(t, db, "public.t"))
	w := Want{Table: "public.t", Key: []string{"id"}, After: []string{"0"}}
	kind := func(column string) (k TypeKind) {
		p.look = func(c Change) {
			if c.Kind == Read {
				k = c.Table.Columns[c.Table.Index(column)].Type.Kind
			}
		}
		if page, got := p.read(w); page.Err != nil || len(got) != 1 {
			t.Fatalf("got %q, %v", got, page.Err)
		}
		return k
	}
	if k := kind("v"); k != Integer {
		t.Fatalf("kind %d", k)
	}
	db.Exec(t, `ALTER TABLE t ALTER v TYPE text`)
	if k := kind("v"); k != Text {
		t.Errorf("a text was read as of kind %d", k)
	}
	db.Exec(t, `ALTER TABLE t RENAME w TO x`)
	if k := kind("x"); k != Integer {
		t.Errorf("kind %d", k)
	}
}

// T48, T50: a commit that waits for a standby is streamed before it can be seen. A
// page beside it has the row as it was, and says that it is too old for it.
func TestPagesBesideSynchronousReplication(t *testing.T) {
	db := pgtest.New(t, pgtest.Options{Settings: map[string]string{"synchronous_standby_names": "ghost", "synchronous_commit": "local"}}).DB()
	db.Exec(t, usersTable+`INSERT INTO users VALUES (1, 'old')`)
	p := begin(t, config(t, db, "public.users"))
	var xid uint64
	p.look = func(c Change) {
		if c.Kind == Update {
			xid = c.Tx.XID
		}
	}
	writer, ctx, done := db.Connect(t), testContext(t), make(chan error, 1)
	go func() { done <- writer.Exec(ctx, `SET synchronous_commit = on; UPDATE users SET email = 'new'`) }()
	p.want("update users {id=1 email=new bio=null}")
	w := Want{Table: "public.users", Key: []string{"id"}, After: []string{"0"}}
	if page, got := p.read(w); fmt.Sprint(got) != "[users {id=1 email=old bio=null}]" || page.Snapshot.Visible(xid) {
		t.Errorf("while it waits: got %q, visible %v", got, page.Snapshot.Visible(xid))
	}
	db.Exec(t, `ALTER SYSTEM SET synchronous_standby_names = ''`)
	db.Exec(t, `SELECT pg_reload_conf()`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if page, got := p.read(w); fmt.Sprint(got) != "[users {id=1 email=new bio=null}]" || !page.Snapshot.Visible(xid) {
		t.Errorf("afterwards: got %q, visible %v", got, page.Snapshot.Visible(xid))
	}
}
