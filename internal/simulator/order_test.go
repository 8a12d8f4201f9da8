package simulator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test on virtual time with a simulator of its own.
func bubble(t *testing.T, set func(*Settings), test func(*testing.T, *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newClient(t, set)) })
}

func TestAcceptedIsNotApplied(t *testing.T) {
	bubble(t, func(s *Settings) { s.ReplyDelay, s.Lag = Duration(200*time.Millisecond), Duration(5*time.Second) },
		func(t *testing.T, c *client) {
			start := time.Now()
			c.must(identifyItem(`{"id":"1"}`, `{"n":1}`, 0))
			equal(t, "reply after", time.Since(start), 200*time.Millisecond)
			status, _ := c.do("GET", "/v1/customers/1/attributes?id_type=id", "")
			equal(t, "read before", status, 404)
			equal(t, "pending", c.State("").Counters.Pending, 1)
			if err := c.Settle(context.Background()); err != nil {
				t.Fatal(err)
			}
			equal(t, "applied after", time.Since(start), 5200*time.Millisecond)
			status, _ = c.do("GET", "/v1/customers/1/attributes?id_type=id", "")
			equal(t, "read after", status, 200)
			equal(t, "received", c.person("id:1").Attributes["n"].Timestamp, start.Unix())
		})
}

func TestSettingsChangeKeepsOrder(t *testing.T) {
	for _, jitter := range []time.Duration{0, time.Second} {
		bubble(t, func(s *Settings) { s.Lag = Duration(time.Hour) }, func(t *testing.T, c *client) {
			c.must(identifyItem(`{"id":"1"}`, `{"n":1}`, 0))
			if err := c.Configure("", func(s *Settings) { s.Lag, s.LagJitter = 0, Duration(jitter) }); err != nil {
				t.Fatal(err)
			}
			c.must(identifyItem(`{"id":"1"}`, `{"n":2}`, 0))
			equal(t, "pending", c.State("").Counters.Pending, 2)
			if err := c.Settle(context.Background()); err != nil {
				t.Fatal(err)
			}
			equal(t, "n", c.person("id:1").Value("n"), "2")
		})
	}
}

// TestJitterKeepsThePersonInOrder writes one person under every name there is
// while others overtake.
func TestJitterKeepsThePersonInOrder(t *testing.T) {
	bubble(t, func(s *Settings) { s.LagJitter = Duration(time.Minute) }, func(t *testing.T, c *client) {
		var others []string
		for i := range 20 {
			others = append(others, identifyItem(fmt.Sprintf(`{"id":"o%d"}`, i), `{"n":1}`, 0))
		}
		c.must(identifyItem(`{"id":"1"}`, `{"email":"a@b.c","n":1}`, 0))
		c.batch(others...)
		for n := 2; n < 40; n++ {
			c.must(identifyItem([]string{`{"id":"1"}`, `{"email":"A@b.c"}`}[n%2], fmt.Sprintf(`{"n":%d}`, n), 0))
		}
		overtook := false
		for range 120 {
			time.Sleep(time.Second)
			s := c.State("")
			p, ok := s.Person("id:1")
			for _, o := range s.People {
				overtook = overtook || o.ID != "1" && (!ok || p.Value("n") != "39")
			}
		}
		equal(t, "last", c.person("id:1").Value("n"), "39")
		equal(t, "stale or lost", len(c.State("").Drops), 0)
		equal(t, "others overtook", overtook, true)

		// By now the cio_id is known: the same person again.
		c.must(identifyItem(`{"cio_id":"`+c.person("id:1").CioID+`"}`, `{"id":"2"}`, 0))
		for n := range 20 {
			c.must(identifyItem(`{"email":"a@b.c"}`, fmt.Sprintf(`{"plan":"%d"}`, n), 0))
		}
		if err := c.Settle(context.Background()); err != nil {
			t.Fatal(err)
		}
		equal(t, "plan", c.person("id:2").Value("plan"), `"19"`)
	})
}

func TestRequestsUnansweredTogetherMayBeReordered(t *testing.T) {
	last := func(seed uint64, reorder bool) (values string) {
		synctest.Test(t, func(t *testing.T) {
			w, settings := DefaultWorkspace(), DefaultSettings()
			settings.ReplyDelay, settings.ReorderRequests = Duration(100*time.Millisecond), reorder
			w.Settings = &settings
			c := newClientOf(t, Options{Workspaces: []Workspace{w}, Seed: seed})
			for i := range 20 {
				id := fmt.Sprintf(`{"id":"%d"}`, i)
				var both sync.WaitGroup
				both.Go(func() { c.must(identifyItem(id, `{"n":1}`, 1)) })
				time.Sleep(time.Millisecond)
				both.Go(func() { c.must(identifyItem(id, `{"n":2}`, 1)) })
				both.Wait()
				c.must(identifyItem(id, `{"plan":1}`, 1)) // answered apart: never reordered
				c.must(identifyItem(id, `{"plan":2}`, 1))
				p := c.person(fmt.Sprintf("id:%d", i))
				values += p.Value("n")
				equal(t, "plan", p.Value("plan"), "2")
			}
		})
		return values
	}
	equal(t, "in order", last(1, false), strings.Repeat("2", 20))
	mixed := last(1, true)
	if !strings.Contains(mixed, "1") || !strings.Contains(mixed, "2") {
		t.Errorf("not reordered: %s", mixed)
	}
	equal(t, "seeded", last(1, true), mixed)
}

func TestItemsOfABatchMayBeReordered(t *testing.T) {
	send := func(reorder bool) string {
		c := newClient(t, func(s *Settings) { s.ReorderItems = reorder })
		for i := range 20 {
			id := fmt.Sprintf(`{"id":"%d"}`, i)
			c.batch(identifyItem(id, `{"n":1}`, 1), identifyItem(id, `{"n":2}`, 1))
		}
		return people(c.State(""))
	}
	if got := send(false); strings.Contains(got, "n=1") {
		t.Errorf("reordered: %s", got)
	}
	if got := send(true); !strings.Contains(got, "n=1") || !strings.Contains(got, "n=2") {
		t.Errorf("not reordered: %s", got)
	}
	equal(t, "seeded", send(true), send(true))
}

func TestAccepted(t *testing.T) {
	c := newClient(t)
	c.batch(identifyItem(`{"id":"1"}`, `{"email":"A@b.c"}`, 0), eventOf("2", `"name":"x"`))
	c.must(asks("add_device", `{"id":"1"}`, `"device":{"token":"t","platform":"ios"}`))
	var got []string
	for _, a := range c.Accepted("", "email:a@b.c", "token:t") {
		got = append(got, text(a.Seq, a.Request, a.Index, a.Action, a.Names()))
	}
	equal(t, "accepted", strings.Join(got, "; "), "1 1 0 identify [id:1 email:a@b.c]; 3 2 0 add_device [id:1 token:t]")
	equal(t, "all", len(c.Accepted("")), 3)
}

func TestIdleAndClose(t *testing.T) {
	bubble(t, func(s *Settings) { s.Lag = Duration(time.Second) }, func(t *testing.T, c *client) {
		start := time.Now()
		c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
		var done sync.WaitGroup
		done.Go(func() {
			time.Sleep(500 * time.Millisecond)
			c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
		})
		if err := c.Idle(context.Background(), 3*time.Second); err != nil {
			t.Fatal(err)
		}
		done.Wait()
		equal(t, "idle after", time.Since(start), 3500*time.Millisecond)
		c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := c.Settle(ctx); err == nil {
			t.Error("settled before its time")
		}
		c.Close()
		if _, err := c.http.Do(c.request("POST", "/api/v2/batch", `{"batch":[]}`)); err == nil {
			t.Error("answers after Close")
		}
	})
}

// TestOrderOfAll accepts random operations on few things under every name they
// have, with jitter, and looks when each is due: what shares a person, an
// object or a token with something earlier is not before it, and what shares
// nothing may be, even where relationships connect it.
func TestOrderOfAll(t *testing.T) {
	overtaken, pairs := 0, 0
	for seed := range uint64(30) {
		bubble(t, func(s *Settings) { s.LagJitter = Duration(time.Hour) }, func(t *testing.T, c *client) {
			w := c.workspaces[0]
			rng := rand.New(rand.NewPCG(seed, 5))
			w.createSegment("vips", "", false, time.Now())
			// Six people and three objects; the last two people are not there
			// until an identify among the operations makes them, which names
			// them both ways.
			const people, known, things = 6, 4, 3
			person := func(i int) []address {
				return []address{{kindID, fmt.Sprint(i)}, {kindEmail, fmt.Sprint(i, "@b.c")}}
			}
			both := func(i int) operation {
				return &identify{address: person(i)[0], claims: person(i)[1:]}
			}
			settle := func() {
				if err := c.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				c.State("") // what is due is applied when somebody looks
			}
			accept := func(op operation) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.accept([]indexed{{op, 0}}, 0, time.Now(), time.Now())
			}
			names := make([][]address, people+things)
			for i := range known {
				accept(both(i))
			}
			for i := range things {
				names[people+i] = []address{{kindObject, fmt.Sprint("1/", i)}}
				accept(&identifyObject{address: names[people+i][0]})
			}
			settle()
			for i := range people {
				if names[i] = person(i); i < known {
					names[i] = w.find(names[i][0]).names(nil)
				}
			}
			for i := range things {
				names[people+i] = w.objects[names[people+i][0]].names(nil)
			}

			// same leads a thing to the one it is merged with.
			same := make([]int, people+things)
			for i := range same {
				same[i] = i
			}
			type asked struct {
				about []int // things, and tokens below zero
				due   time.Time
			}
			var list []asked
			name := func(thing int) address { return names[thing][rng.IntN(len(names[thing]))] }
			ask := func(op operation, about ...int) {
				accept(op)
				var last *accepted
				for _, a := range w.queue.waits {
					if last == nil || a.seq > last.seq {
						last = a
					}
				}
				is := func(a int) int {
					if a < 0 {
						return a
					}
					return same[a]
				}
				for i, earlier := range list {
					shared := slices.ContainsFunc(about, func(a int) bool {
						return slices.ContainsFunc(earlier.about, func(b int) bool { return is(a) == is(b) })
					})
					switch {
					case shared && last.due.Before(earlier.due):
						t.Fatalf("seed %d: operation %d about %v is due before %d about %v", seed, len(list), about, i, earlier.about)
					case !shared:
						pairs++
						if last.due.Before(earlier.due) {
							overtaken++
						}
					}
				}
				list = append(list, asked{about, last.due})
			}
			for i := known; i < people; i++ {
				ask(both(i), i)
			}
			for range 60 {
				p, o := rng.IntN(people), people+rng.IntN(things)
				switch rng.IntN(12) {
				case 0:
					ask(&identify{address: name(p)}, p)
				case 1:
					ask(&identify{address: name(p), objects: []related{{address: name(o)}}}, p, o)
				case 2:
					ask(&identifyObject{address: name(o), people: []related{{address: name(p)}}}, p, o)
				case 3:
					ask(&relateTo{name(p), []related{{address: name(o)}}, rng.IntN(2) == 0}, p, o)
				case 4:
					ask(&relateTo{name(o), []related{{address: name(p)}}, rng.IntN(2) == 0}, p, o)
				case 5:
					ask(&deleteObject{name(o)}, o)
				case 6, 7:
					ask(&membership{1, name(p), rng.IntN(2) == 0}, p)
				case 8:
					token := 1 + rng.IntN(2)
					ask(&addDevice{address: name(p), token: fmt.Sprint(token), platform: "ios"}, p, -token)
				case 9:
					ask(&sendEvent{address: name(p), event: event{kind: "event", name: "x", data: "{}"}}, p)
				case 10:
					ask(&suppress{name(p)}, p)
				case 11:
					if q := rng.IntN(people); rng.IntN(6) == 0 && q != p {
						ask(&merge{name(p), name(q)}, p, q)
						from, to := same[q], same[p]
						for i := range same {
							if same[i] == from {
								same[i] = to
							}
						}
					}
				}
			}
			settle()
			w.check(t)
		})
	}
	// Each relationship, token and merge carries an order on; if they made one
	// of what they name, hardly anything would be left to overtake.
	if overtaken*20 < pairs {
		t.Errorf("%d of %d pairs that share nothing were overtaken", overtaken, pairs)
	}
	t.Logf("%d of %d", overtaken, pairs)
}

// TestWhatIsSharedDoesNotMakeOneOrder: two people with one object, or one
// token after the other, are still two: what comes later of either may
// overtake the other's.
func TestWhatIsSharedDoesNotMakeOneOrder(t *testing.T) {
	for name, shares := range map[string]func(who string) string{
		"identify":      func(who string) string { return asks("identify", who, oneRelationship(acme, `{}`)) },
		"relationships": func(who string) string { return relates(who, acme, `{}`) },
		"object":        func(who string) string { return ofObject("identify", acme, oneRelationship(who, `{}`)) },
		"token":         func(who string) string { return asks("add_device", who, `"device":{"token":"t","platform":"ios"}`) },
	} {
		overtook := 0
		for seed := range uint64(10) {
			synctest.Test(t, func(t *testing.T) {
				w, settings := DefaultWorkspace(), DefaultSettings()
				settings.LagJitter = Duration(time.Hour)
				w.Settings = &settings
				c := newClientOf(t, Options{Workspaces: []Workspace{w}, Seed: seed})
				c.must(shares(`{"id":"1"}`), shares(`{"id":"2"}`))
				for i := range 20 {
					c.must(eventOf("1", fmt.Sprintf(`"name":"x","attributes":{"n":%d}`, i)), eventOf("2", `"name":"x"`))
				}
				if err := c.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				ahead := 0
				for _, e := range c.State("").Events {
					if e.Person == "id:1" {
						ahead++
					} else if ahead--; ahead < 0 {
						overtook++
						break
					}
				}
			})
		}
		if overtook == 0 {
			t.Errorf("%s: nothing overtook", name)
		}
	}
}
