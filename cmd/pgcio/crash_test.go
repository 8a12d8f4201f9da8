package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/status"
)

// passages are a daemon's named points, and at which passage of each it is killed.
type passages []struct {
	point string
	nth   []int
}

// The kills of a first start, of which something is left each time, and those of
// a daemon that streams.
var (
	killsOfStart = passages{
		{"publication-created", []int{1}},
		{"slot-created", []int{1}},
		{"page-read", []int{1}},
		{"before-commit", []int{1, 2, 3}},
		{"after-commit", []int{1, 2, 3}},
	}
	killsOfStream = passages{
		{"before-commit", nth(1, 2, 3, 5, 9)},
		{"after-commit", nth(1, 2, 3, 5, 9)},
		{"after-receive", nth(1, 8)},
		{"before-hand", nth(1, 2, 5)},
		{"after-hand", nth(1, 2, 5)},
		{"before-request", nth(1, 3)},
		{"after-request", nth(1, 2, 4)},
		{"before-settle", nth(1, 2, 4)},
		{"after-settle", nth(1, 2, 4)},
		{"before-status", nth(1, 2)},
		{"after-status", nth(1, 2)},
	}
)

// nth is the first two of some passages, and all where there is time.
func nth(all ...int) []int { return all[:size(2, len(all))] }

// at starts daemons that are killed there, one after the other.
func (ps passages) at(r *rig, meanwhile func(*process)) {
	r.t.Helper()
	for _, p := range ps {
		for _, n := range p.nth {
			d := r.start(fmt.Sprintf("%s=%s:%d", failpointEnv, p.point, n))
			meanwhile(d)
			if got := d.wait(slowly); got != -int(syscall.SIGKILL) {
				r.t.Fatalf("at %s:%d the daemon ended with %d", p.point, n, got)
			}
			r.offline() // the books balance
		}
	}
}

// kill -9 of the daemon between every two of its steps, again and again on one
// state while the application writes: nothing is lost, no event is doubled, and
// every change is counted once.
func TestKilledBetweenEveryTwoSteps(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, tradeSchema)
	r := newRig(t, db, tradeMappings)
	w := newTrade(t, db, 1)
	// The tables are empty until the first start is over, so that every row comes
	// by the stream and is counted once.
	killsOfStart.at(r, func(*process) {})
	d := r.start()
	d.caughtUp()
	d.kill()
	killsOfStream.at(r, func(d *process) { w.until(t, d.end, 2*time.Millisecond) })
	s := r.start().caughtUp()
	r.judge(s, false)
	t.Logf("%d users, %d orders; the books: %+v", w.users, w.orders, s.Mappings)
}

// flatSchema has what Customer.io must hold, and how many changes there are, as
// views: for tables that are only inserted into and updated, all rows at once.
const flatSchema = `
CREATE TABLE users (id bigint PRIMARY KEY, email text, plan text, n int NOT NULL, hidden bool NOT NULL DEFAULT false);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL, total int NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
CREATE VIEW want_people AS SELECT id, email, plan, n FROM users WHERE NOT hidden;
CREATE VIEW want_events AS SELECT id, user_id, total FROM orders;
CREATE VIEW changed AS SELECT 'people' AS mapping, coalesce(sum(n), 0)::bigint AS n FROM users UNION ALL SELECT 'orders', count(*) FROM orders;
`

// killedRig is a rig whose daemon has caught up with empty tables and been
// killed: what is committed now it meets at its next start.
func killedRig(t *testing.T) (*pgtest.DB, *rig) {
	t.Helper()
	db := pgtest.New(t).DB()
	db.Exec(t, flatSchema)
	r := newRig(t, db, tradeMappings)
	d := r.start()
	d.caughtUp()
	d.kill()
	return db, r
}

// kill -9 inside one large transaction, again and again: what was stored of it
// is not stored again, and nothing of it leaves before all of it is there.
func TestKilledInsideALargeTransaction(t *testing.T) {
	t.Parallel()
	db, r := killedRig(t)
	rows := size(100_000, 1_000_000)
	db.Exec(t, fmt.Sprintf(`INSERT INTO users SELECT i, NULL, 'free', 1, i %% 10 > 0 FROM generate_series(1, %[1]d) i;
		INSERT INTO orders SELECT i, i, i %% 100 FROM generate_series(1, %[1]d, 10) i;`, rows))
	total := int64(rows + (rows+9)/10)
	var before int64
	inside := 0
	// A kill may come before anything was stored since the last one: so many have
	// to be inside, however many it takes.
	wanted := size(2, 12)
	for i := 0; inside < wanted && i < 4*wanted; i++ {
		point := []string{"after-hand:2", "after-hand:2", "before-commit:5", "after-commit:4", "after-hand:3"}[i%5]
		d := r.start(failpointEnv + "=" + point)
		if got := d.wait(slowly); got != -int(syscall.SIGKILL) {
			t.Fatalf("at %s the daemon ended with %d", point, got)
		}
		s, _ := r.offline()
		now := received(s)
		if now < before || now > total {
			t.Fatalf("after %s %d of %d changes are stored, before %d were", point, now, total, before)
		}
		t.Logf("killed at %s: %d of %d changes are stored", point, now, total)
		if now == total {
			break
		}
		if now > before {
			inside++
		}
		before = now
		if sent := r.sim.State("").Counters.Operations; sent > 0 {
			t.Fatalf("%d operations have left while %d of %d changes are stored", sent, now, total)
		}
	}
	if inside < min(wanted, 2) {
		t.Errorf("only %d kills were inside the transaction", inside)
	}
	began := time.Now()
	r.judge(r.start().caughtUp(), false)
	t.Logf("the rest took %s", time.Since(began).Round(time.Millisecond))
}

// A mapping that is changed, or new, when the daemon goes on inside a large
// transaction has all of it as it is defined then, and nothing of it as it was
// defined before; what has not changed goes on from where it was.
func TestMappingsChangedInsideALargeTransaction(t *testing.T) {
	t.Parallel()
	db, r := killedRig(t)
	// Orders come first and last, users between them, and the first users again.
	rows := size(12_000, 200_000)
	db.Exec(t, fmt.Sprintf(`INSERT INTO orders SELECT i, i, i %% 100 FROM generate_series(1, %[1]d / 4) i;
		INSERT INTO users SELECT i, NULL, 'free', 1, i %% 10 > 0 FROM generate_series(1, %[1]d) i;
		UPDATE users SET plan = 'pro', n = 2 WHERE id <= 100;
		INSERT INTO orders SELECT i, i, i %% 100 FROM generate_series(%[1]d / 4 + 1, %[1]d) i`, rows))
	killed := func(what string) []int64 {
		t.Helper()
		d := r.start(failpointEnv + "=after-hand:2")
		if got := d.wait(slowly); got != -int(syscall.SIGKILL) {
			t.Fatalf("%s: the daemon ended with %d", what, got)
		}
		s, _ := r.offline()
		var had []int64
		for _, m := range s.Mappings {
			had = append(had, m.Changes.Received)
		}
		if sent := r.sim.State("").Counters.Operations; sent > 0 {
			t.Fatalf("%s: %d operations have left", what, sent)
		}
		t.Logf("%s: %v changes are stored", what, had)
		return had
	}
	had := killed("as it was")
	for had[0] < 100 { // the orders come first
		had = killed("as it was")
	}
	if had[0] >= int64(rows) {
		t.Fatalf("it was not killed among the users: %v", had)
	}
	// Other people, another attribute, and another event of the same rows.
	changed := strings.Replace(tradeMappings, `where    = "not hidden"`, `where    = "hidden"`, 1)
	changed = strings.Replace(changed, `plan  = "plan"`, `tier  = "plan"`, 1)
	_, events, _ := strings.Cut(changed, "[[mapping]]\nname     = \"orders\"")
	events = strings.Replace("[[mapping]]\nname     = \"sales\""+events, `"Ordered"`, `"Sold"`, 1)
	r.mappings = changed + strings.Replace(events, "backfill = true\n", "", 1)
	killed("changed")
	// And once more, the events too.
	r.mappings = strings.Replace(r.mappings, `total = "total"`, `sum = "total"`, 1)
	r.mappings = strings.Replace(r.mappings, `event_id = "id"`, "event_id = \"id\"\nwhere = \"total > 50\"", 1)
	killed("changed again")
	s := r.start().caughtUp()

	got := r.sim.State("")
	want := map[string]string{}
	for _, row := range db.Query(t, "SELECT id, to_json(plan), n FROM users WHERE hidden") {
		want[row[0]] = fmt.Sprint(row[1], "", row[2])
	}
	for _, p := range got.People {
		if p.Ghost {
			continue // made by an event of somebody who is not in
		}
		if have := fmt.Sprint(p.Value("tier"), p.Value("plan"), p.Value("n")); have != want[p.ID] {
			t.Fatalf("person %s has %q, want %q", p.ID, have, want[p.ID])
		}
		delete(want, p.ID)
	}
	if len(want) > 0 {
		t.Errorf("%d people are missing", len(want))
	}
	orders := map[string]string{}
	for _, row := range db.Query(t, "SELECT id, total, total > 50 FROM orders") {
		orders["Sold "+row[0]] = fmt.Sprintf(`{"order":%s,"total":%s}`, row[0], row[1])
		if row[2] == "t" {
			orders["Ordered "+row[0]] = fmt.Sprintf(`{"order":%s,"sum":%s}`, row[0], row[1])
		}
	}
	for _, e := range got.Events {
		var data map[string]json.Number
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		key := e.Name + " " + data["order"].String()
		have, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != orders[key] {
			t.Fatalf("%s has %s, want %q", key, have, orders[key])
		}
		delete(orders, key)
	}
	if len(orders) > 0 {
		t.Errorf("%d events are missing", len(orders))
	}
	if c := s.Mappings[2].Changes; c.Received != int64(rows) || c.Delivered != int64(rows) {
		t.Errorf("sales, which was not changed, had each row once: %+v", c)
	}
	if c := s.Mappings[0].Changes; c.Received <= int64(rows)+100 || c.Discarded == 0 {
		t.Errorf("people had some rows twice, and gave up what they asked first: %+v", c)
	}
}

// kill -9 at random points of a backfill while the application writes: it goes
// on from where it was, and in the end Customer.io holds what the tables hold.
func TestKilledDuringABackfill(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, tradeSchema)
	w := newTrade(t, db, 2)
	users, orders := size(40_000, 150_000), size(20_000, 100_000)
	// Without the triggers, which count changes of the stream.
	ctx := context.Background()
	fill := "SET session_replication_role = replica;" + w.insertUsers(users) + w.insertOrders(orders) + `
		INSERT INTO want_people SELECT id, email, plan, n FROM users WHERE NOT hidden;
		INSERT INTO want_events SELECT id, user_id, total, '3' FROM orders;
		RESET session_replication_role;`
	if err := w.session.Exec(ctx, fill); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, db, tradeMappings)
	if out, err := r.command("setup").CombinedOutput(); err != nil {
		t.Fatalf("pgcio setup: %v\n%s", err, out)
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	var before int64
	amid, running := 0, true
	for range size(6, 30) {
		k := killsOfBackfill[rng.IntN(len(killsOfBackfill))]
		if !running { // no page is read any more
			k = killsOfBackfill[len(killsOfBackfill)-1]
		}
		n := 1 + rng.IntN(k.upTo)
		if amid < 3 {
			n = 1 + rng.IntN(max(k.upTo/10, 1)) // some of the kills are early enough in any case
		}
		d := r.start(fmt.Sprintf("%s=%s:%d", failpointEnv, k.point, n))
		w.until(t, d.end, 5*time.Millisecond)
		if got := d.wait(slowly); got != -int(syscall.SIGKILL) {
			t.Fatalf("seed %d: at %s:%d the daemon ended with %d", seed, k.point, n, got)
		}
		s, _ := r.offline()
		var read int64
		running = false
		for _, m := range s.Mappings {
			read += m.Backfill.Rows
			running = running || m.State == status.MappingBackfilling
		}
		t.Logf("killed at %s:%d with %d rows read", k.point, n, read)
		if read < before {
			t.Errorf("seed %d: the backfill went back from %d rows to %d", seed, before, read)
		}
		before = read
		if running {
			amid++
		}
	}
	if amid < 3 {
		t.Errorf("seed %d: the backfill was under way at %d of the kills only", seed, amid)
	}
	s := r.start().caughtUp()
	r.judge(s, true)
	t.Logf("seed %d; the books: %+v", seed, s.Mappings)
}

// A row's event is the page's to bring, unless the stream has brought its insert:
// an update that comes before the page is read takes nothing away.
func TestAnUpdateBeforeThePageKeepsTheEvent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, flatSchema+"INSERT INTO orders SELECT i, i, i FROM generate_series(1, 20) i")
	r := newRig(t, db, strings.Replace(tradeMappings, `event    = "Ordered"`, "where = \"total > 0\"\nevent = \"Ordered\"", 1))
	if out, err := r.command("setup").CombinedOutput(); err != nil {
		t.Fatalf("pgcio setup: %v\n%s", err, out)
	}
	older := db.Connect(t)
	if err := older.Exec(t.Context(), "BEGIN; CREATE TABLE unrelated ()"); err != nil {
		t.Fatal(err)
	}
	d := r.start()
	d.until("it backfills", func(s status.Snapshot) bool { return s.State == status.Backfilling })
	db.Exec(t, "UPDATE orders SET total = total + 100 WHERE id <= 10")
	db.Exec(t, "DELETE FROM orders WHERE id = 20")                                                      // nobody has heard of it
	db.Exec(t, "INSERT INTO orders VALUES (21, 21, 21), (22, 22, 0), (23, 23, 23)")                     // 22 is no event
	db.Exec(t, "UPDATE orders SET total = 1 WHERE id = 22; UPDATE orders SET total = 99 WHERE id = 23") // and stays none
	db.Exec(t, "DELETE FROM orders WHERE id = 21")                                                      // it was one
	s := d.until("the changes are in", func(s status.Snapshot) bool { return received(s) == 17 })
	if m := s.Mappings[1]; m.State != status.MappingBackfilling || m.Backfill.Rows > 0 {
		t.Fatalf("the page was not held back: %+v", m)
	}
	if err := older.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	d.caughtUp()
	var got []int
	for _, e := range r.sim.State("").Events {
		var data struct{ Order, Total int }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		want := data.Order
		if want <= 10 {
			want += 100 // as it was read
		}
		if data.Total != want {
			t.Errorf("the total of order %d is %d, want %d", data.Order, data.Total, want)
		}
		got = append(got, data.Order)
	}
	slices.Sort(got)
	if want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 23}; !slices.Equal(got, want) {
		t.Errorf("events of orders %v, want %v", got, want)
	}
	d.stop()
}

// killsOfBackfill are the points of a backfill, and the last passage of each at
// which a random kill is.
var killsOfBackfill = []struct {
	point string
	upTo  int
}{
	{"page-read", 1}, {"page-read", 1},
	{"before-commit", 80},
	{"after-commit", 80},
	{"after-hand", 50},
	{"after-request", 60},
	{"before-settle", 40},
	{"after-settle", 40},
}
