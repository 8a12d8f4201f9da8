package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/status"
)

// tradeSchema has two tables that are mapped, and what Customer.io must hold in
// the end, which triggers keep: pgcio does not see it.
const tradeSchema = `
CREATE TABLE users (id bigint PRIMARY KEY, email text, plan text, n int, hidden bool NOT NULL DEFAULT false, logins int NOT NULL DEFAULT 0);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL, total int NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE want_people (id bigint PRIMARY KEY, email text, plan text, n int);
CREATE TABLE want_events (id bigint PRIMARY KEY, user_id bigint, total int, xid xid8);
CREATE TABLE changed (mapping text PRIMARY KEY, n bigint);
INSERT INTO changed VALUES ('people', 0), ('orders', 0);

CREATE FUNCTION users_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE changed SET n = n + 1 WHERE mapping = 'people';
  IF TG_OP <> 'DELETE' AND NOT NEW.hidden THEN
    INSERT INTO want_people VALUES (NEW.id, NEW.email, NEW.plan, NEW.n)
      ON CONFLICT (id) DO UPDATE SET email = NEW.email, plan = NEW.plan, n = NEW.n;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER users_changed AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION users_changed();

CREATE FUNCTION orders_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE changed SET n = n + 1 WHERE mapping = 'orders';
  IF TG_OP = 'INSERT' THEN
    INSERT INTO want_events VALUES (NEW.id, NEW.user_id, NEW.total, pg_current_xact_id());
  ELSIF TG_OP = 'UPDATE' THEN
    UPDATE want_events SET total = NEW.total WHERE id = NEW.id AND xid = pg_current_xact_id();
  ELSE
    DELETE FROM want_events WHERE id = OLD.id AND xid = pg_current_xact_id();
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER orders_changed AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION orders_changed();
`

const tradeMappings = `
[[mapping]]
name     = "people"
table    = "public.users"
object   = "person"
behavior = "update_or_create"
person   = { id = "id" }
where    = "not hidden"
[mapping.attributes]
email = "email"
plan  = "plan"
n     = "n"

[[mapping]]
name     = "orders"
table    = "public.orders"
object   = "event"
behavior = "append"
person   = { id = "user_id" }
event    = "Ordered"
event_id = "id"
backfill = true
timestamp = "placed_at"
[mapping.attributes]
order = "id"
total = "total"
`

// trade is the application's writing, one transaction at a time.
type trade struct {
	session *pgtest.Session
	rng     *rand.Rand
	users   int
	orders  int
	bulk    int // how many rows its larger transactions change
}

func newTrade(t *testing.T, db *pgtest.DB, seed uint64) *trade {
	return &trade{session: db.Connect(t), rng: rand.New(rand.NewPCG(seed, 1)), bulk: 300}
}

// some is a condition that holds for a few rows.
func (w *trade) some(of int) string {
	return fmt.Sprintf("id BETWEEN %[1]d AND %[1]d + %d", 1+w.rng.IntN(max(of, 1)), w.rng.IntN(8))
}

// insertUsers is the SQL for some new users, some of whom nobody sees yet.
func (w *trade) insertUsers(n int) string {
	first := w.users + 1
	w.users += n
	return fmt.Sprintf(`INSERT INTO users SELECT i, 'user' || i || '@example.com', 'free', i, i %% 7 = 0 FROM generate_series(%d, %d) i;`, first, w.users)
}

// insertOrders is the SQL for some new orders.
func (w *trade) insertOrders(n int) string {
	first := w.orders + 1
	w.orders += n
	return fmt.Sprintf(`INSERT INTO orders SELECT i, 1 + i * 31 %% %d, i %% 1000 FROM generate_series(%d, %d) i;`, max(w.users, 1), first, w.orders)
}

// step commits a transaction, or rolls one back.
func (w *trade) step(ctx context.Context) error {
	var sql []string
	for range 1 + w.rng.IntN(3) {
		switch w.rng.IntN(12) {
		case 0, 1:
			sql = append(sql, w.insertUsers(1+w.rng.IntN(5)))
		case 2, 3:
			sql = append(sql, w.insertOrders(1+w.rng.IntN(5)))
		case 4:
			sql = append(sql, w.insertOrders(3), fmt.Sprintf("UPDATE orders SET total = total + 5000 WHERE id > %d;", w.orders-2),
				fmt.Sprintf("DELETE FROM orders WHERE id = %d;", w.orders))
		case 5:
			sql = append(sql, fmt.Sprintf("UPDATE users SET email = 'user' || id || '_%d@example.com' WHERE %s;", w.rng.IntN(1000), w.some(w.users)))
		case 6:
			sql = append(sql, fmt.Sprintf("UPDATE users SET plan = nullif('plan%d', 'plan0') WHERE %s;", w.rng.IntN(5), w.some(w.users)))
		case 7:
			sql = append(sql, fmt.Sprintf("UPDATE users SET n = n + 1 WHERE %s;", w.some(w.users)))
		case 8:
			sql = append(sql, fmt.Sprintf("UPDATE users SET logins = logins + 1 WHERE %s;", w.some(w.users)))
		case 9:
			sql = append(sql, fmt.Sprintf("DELETE FROM orders WHERE %s;", w.some(w.orders)), fmt.Sprintf("UPDATE orders SET total = 0 WHERE %s;", w.some(w.orders)))
		case 10:
			gone := w.some(w.users)
			sql = append(sql, fmt.Sprintf("DELETE FROM users WHERE %s;", gone))
			if w.rng.IntN(2) == 0 {
				sql = append(sql, fmt.Sprintf("INSERT INTO users SELECT id, email, 'again', n FROM want_people WHERE %s ON CONFLICT DO NOTHING;", gone))
			}
		case 11:
			switch w.rng.IntN(3) {
			case 0:
				sql = append(sql, fmt.Sprintf("UPDATE users SET n = n + 100 WHERE id <= %d;", w.bulk))
			case 1:
				sql = append(sql, fmt.Sprintf("SAVEPOINT s; UPDATE users SET n = -1, plan = 'never' WHERE id <= %d; ROLLBACK TO s;", w.bulk))
			case 2:
				// Alone, since what leaves is a row as its transaction left it.
				return w.session.Exec(ctx, fmt.Sprintf("UPDATE users SET hidden = NOT hidden WHERE %s", w.some(w.users)))
			}
		}
	}
	return w.session.Exec(ctx, "BEGIN;"+strings.Join(sql, "\n")+"COMMIT")
}

// until writes until stop is closed, with a pause after each transaction.
func (w *trade) until(t *testing.T, stop <-chan struct{}, pause time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), slowly)
	defer cancel()
	for {
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		if err := w.step(ctx); err != nil {
			t.Fatalf("a transaction of the application: %v", err)
		}
	}
}

// judge compares what Customer.io holds with what the tables ask for, and the
// books of a daemon that has caught up with how many changes there were.
// backfilled says that there were rows before pgcio: how many were read, and how
// those looked that changed before, is anyone's guess.
func (r *rig) judge(s status.Snapshot, backfilled bool) {
	r.t.Helper()
	got := r.sim.State("")
	r.judgePeople(got, backfilled)
	r.judgeEvents(got, backfilled)
	for _, f := range got.FailedAttributeChanges {
		r.t.Errorf("an attribute could not be written: %+v", f)
	}
	for drop, n := range got.Drops {
		// What is sent again for safety is dropped by its id or its timestamp.
		if drop != simulator.DropDuplicateEvent && drop != simulator.DropTie && drop != simulator.DropStaleAttribute {
			r.t.Errorf("%d writes were dropped: %s", n, drop)
		}
	}
	if n := got.Notices[simulator.NoticeEventIDReused]; n > 0 {
		r.t.Errorf("%d events came again under their id with other content", n)
	}
	want := map[string]int64{}
	for _, row := range r.db.Query(r.t, "SELECT mapping, n FROM changed") {
		want[row[0]] = atoi(r.t, row[1])
	}
	for _, m := range s.Mappings {
		c := m.Changes
		if c.Waiting+c.InFlight+c.Orphaned+c.Held+c.Parked+c.Discarded > 0 {
			r.t.Errorf("%s is not done: %+v", m.Name, c)
		}
		if c.Received != want[m.Name] && (!backfilled || c.Received < want[m.Name]) {
			r.t.Errorf("%s received %d changes, there were %d", m.Name, c.Received, want[m.Name])
		}
		if events := int64(len(got.Events)); m.Name == "orders" && c.Delivered != events {
			r.t.Errorf("%s delivered %d changes, Customer.io has %d events", m.Name, c.Delivered, events)
		}
	}
}

func (r *rig) judgePeople(got simulator.State, backfilled bool) {
	r.t.Helper()
	there := "true"
	if backfilled {
		there = "EXISTS (SELECT FROM users u WHERE u.id = w.id AND NOT hidden)"
	}
	rows := r.db.Query(r.t, `SELECT id, coalesce(to_json(email)::text, ''), coalesce(to_json(plan)::text, ''), coalesce(to_json(n)::text, '') FROM want_people w WHERE `+there)
	people := make(map[string]simulator.Person, len(got.People))
	for _, p := range got.People {
		if !p.Ghost { // made by an event of somebody whose row is hidden
			people[p.ID] = p
		}
	}
	wrong := 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= 10 {
			r.t.Errorf(format, args...)
		}
	}
	if len(people) != len(rows) && !backfilled {
		complain("Customer.io has %d people, the tables have %d", len(people), len(rows))
	}
	for _, row := range rows {
		p, ok := people[row[0]]
		have := []string{row[0], "", p.Value("plan"), p.Value("n")}
		if p.Email != "" {
			have[1] = `"` + p.Email + `"`
		}
		if fmt.Sprint(have) != fmt.Sprint(row) {
			complain("person (there: %v) is %v, the row is %v", ok, have, row)
		}
	}
	if wrong > 10 {
		r.t.Errorf("and %d more", wrong-10)
	}
}

func (r *rig) judgeEvents(got simulator.State, backfilled bool) {
	r.t.Helper()
	want := map[string]string{}
	loose := map[string]bool{} // was there before, and may have changed before it was read
	sql := "SELECT id, user_id, total, '' FROM want_events"
	if backfilled {
		sql = "SELECT w.id, w.user_id, w.total, CASE WHEN w.xid = '3' THEN CASE WHEN o.id IS NULL THEN 'gone' ELSE 'old' END ELSE '' END FROM want_events w LEFT JOIN orders o USING (id)"
	}
	for _, row := range r.db.Query(r.t, sql) {
		loose[row[0]] = row[3] != ""
		if row[3] != "gone" {
			want[row[0]] = fmt.Sprintf("id:%s %s", row[1], row[2])
		}
	}
	wrong := 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= 10 {
			r.t.Errorf(format, args...)
		}
	}
	seen := map[string]string{} // order to event id
	for _, e := range got.Events {
		var data struct{ Order, Total json.Number }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			r.t.Fatal(err)
		}
		order := data.Order.String()
		if other, twice := seen[order]; twice {
			complain("order %s is there twice, as %s and %s", order, other, e.ID)
		}
		seen[order] = e.ID
		if have := fmt.Sprintf("%s %s", e.Person, data.Total); have != want[order] && !loose[order] {
			complain("the event of order %s is %q, want %q", order, have, want[order])
		}
	}
	for order := range want {
		if seen[order] == "" {
			complain("order %s has no event", order)
		}
	}
	if wrong > 10 {
		r.t.Errorf("and %d more", wrong-10)
	}
}

func atoi(t *testing.T, text string) int64 {
	t.Helper()
	var n int64
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatalf("%q is no number: %v", text, err)
	}
	return n
}
