package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// shop is the little shop of the demo: people sign up, order, change their plan,
// install its app, join teams, and leave.
type shop struct {
	session *pgtest.Session
	rng     *rand.Rand
	users   int // ids go from 1 to users
	orders  int
	phones  int
	commits atomic.Int64
}

const shopSchema = `
CREATE TABLE users (
	id bigint PRIMARY KEY, email text NOT NULL, first_name text, last_name text, plan text NOT NULL DEFAULT 'free',
	created_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz
);
CREATE TABLE orders (
	id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, total numeric(10,2) NOT NULL, items jsonb NOT NULL,
	placed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE phones (
	id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, token text NOT NULL UNIQUE, platform text NOT NULL,
	app_version text, last_used_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE teams (id bigint PRIMARY KEY, name text NOT NULL, seats int NOT NULL);
CREATE TABLE members (
	user_id bigint NOT NULL REFERENCES users, team_id bigint NOT NULL REFERENCES teams, role text NOT NULL DEFAULT 'member',
	PRIMARY KEY (user_id, team_id)
);
INSERT INTO users
	SELECT n, 'person' || n || '@example.com', (ARRAY['Ada','Grace','Alan','Edsger','Barbara','Donald'])[1 + n % 6],
		(ARRAY['Lovelace','Hopper','Turing','Dijkstra','Liskov','Knuth'])[1 + n / 6 % 6], 'free', now() - n * interval '1 hour'
	FROM generate_series(1, 2000) n;
INSERT INTO orders
	SELECT n, 1 + n * 7 % 2000, 5 + n % 90, '["tea"]', now() - n * interval '20 minutes'
	FROM generate_series(1, 3000) n;
INSERT INTO phones SELECT n, 1 + n * 3 % 2000, 'token' || n, (ARRAY['ios','android'])[1 + n % 2], '1.0' FROM generate_series(1, 500) n;
INSERT INTO teams SELECT n, 'Team ' || n, 5 FROM generate_series(1, 40) n;
INSERT INTO members SELECT n, 1 + n % 40, 'member' FROM generate_series(1, 200) n;
ANALYZE users, orders, phones, teams, members`

// shopMappings is the part of the demo's configuration that anyone would write.
const shopMappings = `
[[mapping]]
name     = "people"
table    = "public.users"
object   = "person"
behavior = "update_or_create"
person   = { id = "id" }
where    = "deleted_at == nil"
[mapping.attributes]
email      = "email"
full_name  = { expr = "trim((first_name ?? '') + ' ' + (last_name ?? ''))" }
plan       = "plan"
created_at = "created_at"

[[mapping]]
name      = "orders"
table     = "public.orders"
object    = "event"
behavior  = "append"
person    = { id = "user_id" }
event     = "order_placed"
event_id  = "id"
timestamp = "placed_at"
backfill  = true
[mapping.attributes]
total = "total"
items = "items"

[[mapping]]
name      = "phones"
table     = "public.phones"
object    = "device"
behavior  = "update_or_create"
person    = { id = "user_id" }
token     = "token"
platform  = { column = "platform" }
last_used = "last_used_at"
[mapping.attributes]
app_version = "app_version"

[[mapping]]
name        = "teams"
table       = "public.teams"
object      = "object"
behavior    = "update_or_create"
object_type = "1"
object_id   = "id"
[mapping.attributes]
name  = "name"
seats = "seats"

[[mapping]]
name        = "members"
table       = "public.members"
object      = "relationship"
behavior    = "update_or_create"
person      = { id = "user_id" }
object_type = "1"
object_id   = "team_id"
[mapping.attributes]
role = "role"
`

func newShop(session *pgtest.Session) *shop {
	return &shop{session: session, rng: rand.New(rand.NewPCG(1, 2)), users: 2000, orders: 3000, phones: 500}
}

// open makes the shop's tables, with what happened before today.
func (s *shop) open(ctx context.Context) error {
	if err := s.session.Exec(ctx, shopSchema); err != nil {
		return fmt.Errorf("making the demo's tables: %w", err)
	}
	return nil
}

// trade does business until ctx ends: a few commits at a time, with pauses, as
// people do.
func (s *shop) trade(ctx context.Context) error {
	for ctx.Err() == nil {
		for range 1 + s.rng.IntN(5) {
			// A commit is finished even when time is up, so that the connection
			// stays whole.
			if err := s.session.Exec(context.WithoutCancel(ctx), s.commit()); err != nil {
				return fmt.Errorf("the demo's traffic: %w", err)
			}
			s.commits.Add(1)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(20+s.rng.IntN(80)) * time.Millisecond):
		}
	}
	return nil
}

// commit is one transaction of the shop.
func (s *shop) commit() string {
	anyone := 1 + s.rng.IntN(s.users)
	switch n := s.rng.IntN(13); {
	case n < 2: // a sign-up, with a first order
		s.users++
		return fmt.Sprintf(`INSERT INTO users (id, email, first_name, last_name) VALUES (%d, 'person%d@example.com', '%s', '%s');`,
			s.users, s.users, pick(s.rng, "Ada", "Grace", "Alan", "Edsger"), pick(s.rng, "Lovelace", "Hopper", "Turing", "Dijkstra")) +
			s.order(s.users)
	case n < 7:
		return s.order(anyone)
	case n < 9:
		return fmt.Sprintf(`UPDATE users SET plan = '%s' WHERE id = %d`, pick(s.rng, "free", "pro", "team"), anyone)
	case n < 10: // the app is installed, or opened
		if s.rng.IntN(2) == 0 {
			s.phones++
			return fmt.Sprintf(`INSERT INTO phones (id, user_id, token, platform, app_version) VALUES (%d, %d, 'token%d', '%s', '2.0')`,
				s.phones, anyone, s.phones, pick(s.rng, "ios", "android"))
		}
		return fmt.Sprintf(`UPDATE phones SET last_used_at = now(), app_version = '2.0' WHERE id = %d`, 1+s.rng.IntN(s.phones))
	case n < 11:
		return fmt.Sprintf(`INSERT INTO members (user_id, team_id) VALUES (%d, %d) ON CONFLICT (user_id, team_id) DO UPDATE SET role = 'admin'`, anyone, 1+s.rng.IntN(40))
	case n < 12:
		return fmt.Sprintf(`UPDATE teams SET seats = seats + 1 WHERE id = %d`, 1+s.rng.IntN(40))
	default:
		return fmt.Sprintf(`UPDATE users SET deleted_at = now() WHERE id = %d`, anyone)
	}
}

func (s *shop) order(user int) string {
	s.orders++
	items := make([]string, 1+s.rng.IntN(3))
	for i := range items {
		items[i] = `"` + pick(s.rng, "tea", "coffee", "cake", "cup") + `"`
	}
	return fmt.Sprintf(`INSERT INTO orders (id, user_id, total, items) VALUES (%d, %d, %d.%02d, '[%s]')`,
		s.orders, user, 3+s.rng.IntN(90), s.rng.IntN(100), strings.Join(items, ","))
}

func pick(rng *rand.Rand, words ...string) string { return words[rng.IntN(len(words))] }

func (s *shop) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return s.session.Close(ctx)
}
