package state_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// ordersOf are events from to to (that excluded) of one person.
func ordersOf(who, from, to int) (asks []customerio.Ask) {
	for n := from; n < to; n++ {
		asks = append(asks, order(n, id(who)))
	}
	return asks
}

// TestWhatIsStuckStopsNothingElse: more than is kept in memory waits for what does
// not come, and what waits for nothing leaves all the same.
func TestWhatIsStuckStopsNothingElse(t *testing.T) {
	state.KeepWaiting(t, 20, 20)
	stuck := map[string]func(h *house){
		"behind a mapping that is paused": func(h *house) {
			h.opts.Mappings[people].Paused = true
			h.open()
			h.transaction(person(1, "plan", "a"))
			h.transaction(ordersOf(1, 0, 100)...)
		},
		"behind one that is in flight for long": func(h *house) {
			h.transaction(append([]customerio.Ask{person(1, "plan", "a")}, ordersOf(1, 0, 100)...)...)
			h.must("identify id:1")
		},
		"behind many": func(h *house) {
			h.opts.Mappings[people].Paused = true
			h.open()
			for n := range 100 {
				h.transaction(person(10+n, "plan", "a"), order(n, id(10+n)))
			}
		},
		"of a transaction that is half stored": func(h *house) {
			h.transaction(order(5000, id(2)))
			h.refuse(h.must("event id:2")...)
			h.part(ordersOf(1, 0, 100), false)
			h.must()
			if _, err := h.store.Retry(h.t.Context(), "", nil); err != nil {
				h.t.Fatal(err)
			}
		},
	}
	for name, prepare := range stuck {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(h *house) {
				prepare(h)
				if !strings.Contains(name, "half stored") {
					h.must()
					h.transaction(order(5000, id(2)))
				}
				h.send(h.must("event id:2"))
				// All has been looked at: there is no reason to do so again.
				if items, next := h.draw(); len(items) != 0 || !next.IsZero() {
					t.Errorf("drew %d more, and is to try again at %s", len(items), next)
				}
				if n := h.store.Kept(); n > 20 {
					t.Errorf("%d entries are kept in memory", n)
				}
			})
		})
	}
}

// TestWhatIsForgottenLeaves when what it waits for is settled: in whatever order
// that comes, all of it, once, behind what it waits for, and with no reading that
// is in vain for ever.
func TestWhatIsForgottenLeaves(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {20, 3}, {1000, 3}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			state.KeepWaiting(t, size[0], size[1])
			bubble(t, func(h *house) {
				rng := rand.New(rand.NewPCG(1, 1))
				var asks []customerio.Ask
				for n := range 30 {
					asks = append(asks, person(n, "plan", "a"))
				}
				for n := range 600 {
					asks = append(asks, order(n, id(rng.IntN(30))))
				}
				h.part(asks, false)
				h.must()
				h.part(nil, true)
				flying, next := h.draw()
				time.Sleep(max(time.Until(next), 0))
				more, _ := h.draw()
				if flying = append(flying, more...); len(flying) != 30 {
					t.Fatalf("drew %d", len(flying))
				}
				rng.Shuffle(len(flying), func(i, j int) { flying[i], flying[j] = flying[j], flying[i] })
				events, draws := 0, 0
				for _, it := range flying {
					h.send([]*state.Item{it})
					for {
						draws++
						items, next := h.draw()
						if len(items) == 0 && next.IsZero() {
							break
						}
						for _, e := range items {
							if e.Operation.Person != it.Operation.Person {
								t.Fatalf("an event of %s leaves when %s has come", e.Operation.Person, it.Operation.Person)
							}
						}
						events += len(items)
						h.send(items)
						time.Sleep(max(time.Until(next), 0))
					}
				}
				if events != 600 || h.books(orders).Delivered != 600 || h.store.Kept() != 0 {
					t.Errorf("%d events have left, %d are still in memory, the books are %+v", events, h.store.Kept(), h.books(orders))
				}
				if draws > 30*4 {
					t.Errorf("%d draws for 30 people", draws)
				}
			})
		})
	}
}

// TestADrawLooksAtSoMany at once: others have the state in between, and are not
// kept waiting for the rest.
func TestADrawLooksAtSoMany(t *testing.T) {
	bubble(t, func(h *house) {
		h.opts.Mappings[people].Paused = true
		h.open()
		h.transaction(person(1, "plan", "a"))
		h.transaction(ordersOf(1, 0, 3*state.LooksAtOnce)...)
		h.transaction(order(1_000_000, id(2)))
		draws := 0
		for {
			draws++
			items, next := h.draw()
			if len(items) > 0 {
				break
			}
			if next != time.Now() {
				t.Fatalf("draw %d: nothing is drawn, and the next is at %s", draws, next)
			}
		}
		if draws != 4 {
			t.Errorf("found by draw %d", draws)
		}
		if items, next := h.draw(); len(items) != 0 || !next.IsZero() {
			t.Errorf("drew %d more, and is to try again at %s", len(items), next)
		}
	})
}

// TestReadingAgainTakesItsTime: the more a reading has looked at in vain, the
// later the next one begins.
func TestReadingAgainTakesItsTime(t *testing.T) {
	state.KeepWaiting(t, 1, 1)
	bubble(t, func(h *house) {
		h.opts.Mappings[profiles].Paused = true
		h.open()
		h.transaction(person(2, "plan", "a"))
		flying := h.must("identify id:2")
		h.transaction(profile(1, "tier", "x"))
		h.transaction(ordersOf(1, 0, 1)...)
		h.transaction(ordersOf(2, 1, 2)...)
		h.transaction(ordersOf(1, 2, 10_000)...)
		h.must()
		h.send(flying)
		items, next := h.draw()
		if wait := time.Until(next); len(items) != 0 || wait <= 0 || wait > time.Second {
			t.Fatalf("drew %d, the next in %s", len(items), wait)
		}
		time.Sleep(time.Until(next))
		h.send(h.must("event id:2"))
	})
}

// TestAFifthIsBackfilled while both wait, however little room there is, be it in
// number or in bytes.
func TestAFifthIsBackfilled(t *testing.T) {
	for room := 1; room <= 12; room++ {
		for _, bytes := range []bool{false, true} {
			bubble(t, func(h *house) {
				for i := range 60 {
					h.transaction(person(1000+i, "plan", "a"))
					h.read(person(i, "plan", "a"))
				}
				back, all := 0, 0
				for all < 60 {
					left := room
					fits := func(*customerio.Operation) bool { left--; return left >= 0 }
					most := room
					if bytes {
						most = customerio.MaxItems
					}
					items, _, err := h.store.Draw(0, most, fits)
					if err != nil || len(items) != room {
						t.Fatalf("drew %d: %v", len(items), err)
					}
					for _, it := range items {
						if all++; len(it.Operation.Person.Value) < 4 {
							back++
						}
					}
				}
				if back != all/5 {
					t.Errorf("room for %d: of %d drawn, %d are backfilled", room, all, back)
				}
			})
		}
	}
}

// TestALaneAloneHasAllTheRoom: what is backfilled waits for nothing live that is not
// there, and does not lead when that comes.
func TestALaneAloneHasAllTheRoom(t *testing.T) {
	bubble(t, func(h *house) {
		for i := range 40 {
			h.read(person(i, "plan", "a"))
		}
		if items, _ := h.drawUpTo(20); len(items) != 20 {
			t.Errorf("drew %d backfilled ones", len(items))
		}
		h.transaction(person(1000, "plan", "a"), person(1001, "plan", "a"))
		items, _ := h.drawUpTo(3)
		if len(items) != 3 || items[0].Operation.Person != id(1000) || items[1].Operation.Person != id(1001) {
			t.Errorf("drew %d, the live ones are not first", len(items))
		}
	})
}

// TestWhatFitsNowhereIsToldOf: it would wait for ever.
func TestWhatFitsNowhereIsToldOf(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		_, _, err := h.store.Draw(0, 1, func(*customerio.Operation) bool { return false })
		if err == nil || !strings.Contains(err.Error(), "identify of id:1: it fits into no request") {
			t.Errorf("drawing says %v", err)
		}
		h.send(h.must("identify id:1"))
	})
}
