package state_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// bubble runs fn on a house in virtual time.
func bubble(t *testing.T, fn func(*house), change ...func(*state.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(newHouse(t, change...)) })
}

func refused(reason string) customerio.Ask {
	return customerio.Ask{Mapping: people, Row: []byte("1"), Answer: customerio.Refused, Reason: reason}
}

// TestNothingOfAnOpenTransactionLeaves before all of it is stored (law 7), in
// one part or many, with a restart between them or without.
func TestNothingOfAnOpenTransactionLeaves(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(h *house) {
			for i := range 3 {
				h.part([]customerio.Ask{person(1, "plan", fmt.Sprint(i)), order(i, id(1)), person(2+i, "plan", "x")}, false)
				if restart {
					h.open()
				}
				h.must()
				time.Sleep(time.Hour)
				h.must()
			}
			h.part(nil, true)
			h.send(h.must("identify id:1", "identify id:2", "identify id:3", "identify id:4"))
			h.send(h.must("event id:1", "event id:1", "event id:1"))
			if v := h.value("id:1", "plan"); v != `"2"` {
				t.Errorf("plan %s", v)
			}
		})
	}
}

// TestOpenTransactionHoldsBackNothing that was there before it (law 7), even
// of the same person; and joins nothing of it.
func TestOpenTransactionHoldsBackNothing(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "before"), order(1, id(1)))
		h.part([]customerio.Ask{person(1, "plan", "inside"), order(2, id(1))}, false)
		h.send(h.must("identify id:1"))
		h.send(h.must("event id:1"))
		if v := h.value("id:1", "plan"); v != `"before"` {
			t.Errorf("plan %s", v)
		}
		time.Sleep(time.Minute)
		h.must()
		h.part([]customerio.Ask{person(1, "plan", "end")}, true)
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"end"` {
			t.Errorf("plan %s", v)
		}
		if n := len(h.sent); n != 4 {
			t.Errorf("%d operations: %q", n, h.sent)
		}
	})
}

// TestAbandonedTransactionCanBeStoredAgain: a commit that fails leaves a store
// that says so, and nothing of it is there when it is opened again.
func TestAbandonedTransactionCanBeStoredAgain(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		drawn := make(chan []*state.Item, 1)
		full := fmt.Errorf("disk full")
		h.opts.Memory.Commit = func() error {
			items, _ := h.draw() // the record is being changed: not now
			drawn <- items
			return full
		}
		o := h.origin()
		err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
			tx.From(&o)
			ask := person(1, "plan", "b")
			tx.Apply(&ask)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Fatalf("the commit says %v", err)
		}
		if items := <-drawn; len(items) > 0 {
			t.Errorf("left while it was being changed: %v", items)
		}
		h.opts.Memory.Commit = nil
		if _, _, err := h.store.Draw(0, 1, nil); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("drawing after that says %v", err)
		}
		if err := h.store.Update(h.t.Context(), func(*state.Tx) error { return nil }); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("another transaction says %v", err)
		}
		if err := h.store.Run(h.t.Context()); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("running says %v", err)
		}
		h.open()
		h.balanced()
		h.send(h.must("identify id:1"))
		if v := h.value("id:1", "plan"); v != `"a"` {
			t.Errorf("plan %s", v)
		}
		h.transaction(person(1, "plan", "b"))
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"b"` {
			t.Errorf("plan %s", v)
		}
	})
}

// TestSettlingKeepsTheNewer: a change that comes while a request is in flight
// stands beside it, and only the version that was sent is settled.
func TestSettlingKeepsTheNewer(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "old", "city", "Bonn"))
		flight := h.must("identify id:1")
		h.transaction(person(1, "plan", "new", "city", "Bonn"))
		h.transaction(person(1, "plan", "newest", "city", "Bonn"))
		h.must()
		h.send(flight)
		if b := h.books(people); b.Delivered != 1 || b.Waiting != 2 {
			t.Errorf("the books are %+v", b)
		}
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"newest"` {
			t.Errorf("plan %s", v)
		}
		if len(h.sent) != 2 || strings.Contains(h.sent[1], "Bonn") {
			t.Errorf("sent %q", h.sent)
		}
	})
}

// TestAbandonedStaysTheSame: an item that is given back keeps its timestamp and
// its place.
func TestAbandonedStaysTheSame(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"), order(1, id(1)))
		items := h.must("identify id:1")
		stamp := items[0].Operation.Timestamp
		h.store.Abandon(items)
		time.Sleep(10 * time.Second)
		items = h.must("identify id:1")
		if got := items[0].Operation.Timestamp; got != stamp {
			t.Errorf("stamped %d, then %d", stamp, got)
		}
		h.send(items)
		h.send(h.must("event id:1"))
	})
}

// TestSettlingNeedsAVerdict: one without fails, and nothing is settled.
func TestSettlingNeedsAVerdict(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"), person(2, "plan", "a"))
		items := h.must("identify id:1", "identify id:2")
		err := h.store.Settle(h.t.Context(), []state.Settled{{Item: items[0], Verdict: customerio.Verdict{Kind: customerio.Accepted}}, {Item: items[1]}})
		if err == nil || !strings.Contains(err.Error(), "identify of id:2: it has no verdict") {
			t.Errorf("settling says %v", err)
		}
		if b := h.books(people); b.Waiting != 2 || b.Delivered != 0 {
			t.Errorf("the books are %+v", b)
		}
		h.send(items)
	})
}

// TestRestartSendsTheSameAgain: what was in flight when the process died is
// sent again with its timestamp; what has joined it since has a later one.
func TestRestartSendsTheSameAgain(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		first := h.must("identify id:1")[0].Operation
		h.open()
		again := h.must("identify id:1")[0].Operation
		if string(again.AppendJSON(nil)) != string(first.AppendJSON(nil)) {
			t.Errorf("sent %s, then %s", first.AppendJSON(nil), again.AppendJSON(nil))
		}
		h.open() // within the same second
		h.transaction(person(1, "plan", "b"))
		joined := h.must("identify id:1")[0].Operation
		if joined.Timestamp <= first.Timestamp {
			t.Errorf("stamped %d, after %d may have been applied", joined.Timestamp, first.Timestamp)
		}
	})
}

// TestTriedAgainTakesNewsAtItsOwnTime: what joins a step that was set aside and
// waits again is later than what has left since.
func TestTriedAgainTakesNewsAtItsOwnTime(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver() // from here on both mappings fold
		time.Sleep(time.Minute)
		h.transaction(person(1, "plan", "b"))
		h.refuse(h.must("identify id:1")...)
		h.transaction(profile(1, "tier", "silver"))
		silver := h.must("identify id:1")
		h.send(silver)
		if n, err := h.store.Retry(h.t.Context(), "", nil); n != 1 || err != nil {
			t.Fatalf("retried %d: %v", n, err)
		}
		h.transaction(profile(1, "tier", "gold"))
		time.Sleep(2 * time.Second)
		h.settle(state.Settled{Item: h.must("identify id:1")[0], Verdict: customerio.Verdict{Kind: customerio.Accepted}})
		time.Sleep(2 * time.Second)
		gold := h.must("identify id:1")
		if was, is := silver[0].Operation.Timestamp, gold[0].Operation.Timestamp; is <= was {
			t.Errorf("gold is stamped %d, silver %d", is, was)
		}
	})
}

// TestDependantsFollowTheirPerson: an event leaves after what is queued of its
// person by whatever name, and before its address is given up.
func TestDependantsFollowTheirPerson(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "email", "A@x.test"), order(1, email("a@X.test")), order(2, id(1)), person(1, "email", "b@x.test"), person(2, "email", "a@x.test"))
		h.send(h.must("identify id:1"))
		h.send(h.must("event email:a@X.test", "event id:1"))
		h.send(h.must("identify id:1"))
		h.deliver()
		held := h.sim.State("")
		if n := len(held.EventsOf("id:1")); n != 2 {
			t.Errorf("person 1 has %d events", n)
		}
		if p, _ := held.Person("email:a@x.test"); p.ID != "2" {
			t.Errorf("a@x.test is person %q", p.ID)
		}
		if problem := mixedUp(held); problem != "" {
			t.Error(problem)
		}
	})
}

// TestEventsConflictWithNothingAmongThemselves: 1,000 of one person are one
// request.
func TestEventsConflictWithNothingAmongThemselves(t *testing.T) {
	bubble(t, func(h *house) {
		var asks []customerio.Ask
		for i := range 1000 {
			asks = append(asks, order(i, id(1)))
		}
		h.transaction(asks...)
		if items, _ := h.draw(); len(items) != 1000 {
			t.Errorf("%d left together", len(items))
		}
	})
}

// TestEventIsSentOnce, however often its row comes.
func TestEventIsSentOnce(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(order(1, id(1)))
		h.transaction(order(1, id(1))) // while it waits
		h.deliver()
		h.open()
		h.transaction(order(1, id(1))) // when it is known
		h.deliver()
		if len(h.sent) != 1 {
			t.Errorf("sent %q", h.sent)
		}
		if b := h.books(orders); b.Delivered != 1 || b.Ignored != 2 {
			t.Errorf("the books are %+v", b)
		}
		// Another row with its id is not the same event: it is not lost silently.
		other := order(1, id(1))
		other.Row = []byte("other")
		h.transaction(other)
		if asides := h.asides(); len(asides) != 1 || !strings.Contains(asides[0].Reason, "event_id") {
			t.Errorf("set aside: %+v", asides)
		}
	})
}

// TestParkedIsMergedWithANewerChange, and both wait again.
func TestParkedIsMergedWithANewerChange(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a", "city", "Bonn"), order(1, id(1)))
		h.refuse(h.must("identify id:1")...)
		if b := h.books(people); b.Parked != 1 || b.Waiting != 0 {
			t.Errorf("the books are %+v", b)
		}
		h.send(h.must("event id:1")) // what is parked holds up nobody
		h.transaction(person(1, "plan", "b"))
		if b := h.books(people); b.Parked != 0 || b.Waiting != 2 {
			t.Errorf("the books are %+v", b)
		}
		h.deliver()
		if h.value("id:1", "plan") != `"b"` || h.value("id:1", "city") != `"Bonn"` {
			t.Errorf("sent %q", h.sent)
		}
		if b := h.books(people); b.Delivered != 2 {
			t.Errorf("the books are %+v", b)
		}
		if asides := h.asides(); len(asides) != 0 {
			t.Errorf("set aside: %+v", asides)
		}
	})
}

// TestRefusedGoesAlongWithTheNewer that stands beside it.
func TestRefusedGoesAlongWithTheNewer(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a", "city", "Bonn"))
		flight := h.must("identify id:1")
		h.transaction(person(1, "plan", "b", "city", "Bonn"), order(1, id(1)))
		h.refuse(flight...)
		if b := h.books(people); b.Parked != 0 || b.Waiting != 2 {
			t.Errorf("the books are %+v", b)
		}
		h.send(h.must("identify id:1"))
		h.send(h.must("event id:1"))
		if h.value("id:1", "plan") != `"b"` || h.value("id:1", "city") != `"Bonn"` {
			t.Errorf("sent %q", h.sent)
		}
	})
}

// TestRefusedOfSeveralMappingsIsSplit before anything is parked (M2).
func TestRefusedOfSeveralMappingsIsSplit(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver() // from here on both mappings fold
		time.Sleep(time.Minute)
		h.transaction(person(1, "plan", strings.Repeat("x", 1001)), profile(1, "tier", "gold"))
		items := h.must("identify id:1")
		if n := len(items[0].Operation.Attributes); n != 2 {
			t.Fatalf("%d attributes", n)
		}
		h.send(items)
		if n := len(h.asides()); n != 0 {
			t.Errorf("%d parked before they were told apart", n)
		}
		h.deliver()
		if v := h.value("id:1", "tier"); v != `"gold"` {
			t.Errorf("tier %s", v)
		}
		asides := h.asides()
		if len(asides) != 1 || asides[0].Mapping != "people" || asides[0].Thing != "id:1" || !strings.Contains(asides[0].Reason, "1000 bytes") {
			t.Errorf("set aside: %+v", asides)
		}
		if b := h.books(profiles); b.Delivered != 1 {
			t.Errorf("the books are %+v", b)
		}
	})
}

// TestWhatIsParkedIsForgotten: its fingerprints do not say that it was sent, so
// that the same value is sent when it comes again (B7).
func TestWhatIsParkedIsForgotten(t *testing.T) {
	for name, aside := range map[string]func(*house){
		"parked": func(*house) {},
		"dropped": func(h *house) {
			if n, err := h.store.Drop(h.t.Context(), "", nil); n != 1 || err != nil {
				h.t.Fatal(n, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(h *house) {
				h.transaction(person(1, "plan", "a", "city", "Bonn"))
				h.deliver()
				time.Sleep(time.Minute)
				h.transaction(person(1, "plan", "b", "city", "Bonn"))
				h.refuse(h.must("identify id:1")...)
				aside(h)
				h.transaction(person(1, "plan", "b", "city", "Bonn"))
				h.deliver()
				if v := h.value("id:1", "plan"); v != `"b"` {
					t.Errorf("plan %s", v)
				}
				if last := h.sent[len(h.sent)-1]; strings.Contains(last, "Bonn") {
					t.Errorf("what did not differ was sent: %s", last)
				}
			})
		})
	}
}

func TestRetryAndDropOfWhatIsParked(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"), person(2, "plan", "a"), order(1, id(3)), person(4, "plan", "a"))
		h.refuse(h.must("identify id:1", "identify id:2", "event id:3", "identify id:4")...)
		asides := h.asides()
		if len(asides) != 4 || !slices.IsSortedFunc(asides, func(a, b state.Aside) int { return int(a.ID) - int(b.ID) }) {
			t.Fatalf("set aside: %+v", asides)
		}
		shown, err := h.store.Aside(asides[0].ID)
		if err != nil || shown.Thing != "id:1" || shown.Reason != "no" || !strings.Contains(shown.Payload, `"plan":"a"`) {
			t.Errorf("shown: %+v, %v", shown, err)
		}
		if n, err := h.store.Retry(h.t.Context(), "", []uint64{asides[0].ID}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := h.store.Drop(h.t.Context(), "", []uint64{asides[1].ID}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := h.store.Drop(h.t.Context(), "", []uint64{asides[1].ID}); err == nil {
			t.Error("dropped twice")
		}
		if n, err := h.store.Retry(h.t.Context(), "orders", nil); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		h.balanced()
		h.deliver()
		if b := h.books(people); b.Delivered != 1 || b.Discarded != 1 || b.Parked != 1 {
			t.Errorf("the books are %+v", b)
		}
		if b := h.books(orders); b.Delivered != 1 {
			t.Errorf("the books are %+v", b)
		}
		h.open()
		if asides := h.asides(); len(asides) != 1 || asides[0].Thing != "id:4" {
			t.Errorf("after a restart set aside: %+v", asides)
		}
	})
}

// TestRowThatCannotBeMappedIsParked, until a newer change of it can.
func TestRowThatCannotBeMappedIsParked(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(refused("the expression fails"))
		asides := h.asides()
		if len(asides) != 1 || asides[0].Reason != "the expression fails" {
			t.Fatalf("set aside: %+v", asides)
		}
		h.transaction(refused("it fails again"))
		if asides := h.asides(); len(asides) != 1 || asides[0].Changes != 2 {
			t.Fatalf("set aside: %+v", asides)
		}
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		if b := h.books(people); b.Delivered != 3 || b.Parked != 0 {
			t.Errorf("the books are %+v", b)
		}
	})
}

// TestHeldIdentifierIsParkedWithBothNamed, and tried again when it is let go.
func TestHeldIdentifierIsParkedWithBothNamed(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "email", "a@x.test"))
		h.deliver()
		h.transaction(person(2, "email", "A@x.test", "plan", "pro"))
		h.deliver()
		asides := h.asides()
		if len(asides) != 1 || !strings.Contains(asides[0].Reason, "email:a@x.test of id:2 is still held by id:1") {
			t.Fatalf("set aside: %+v", asides)
		}
		if len(h.sent) != 1 {
			t.Errorf("sent %q", h.sent)
		}
		time.Sleep(time.Minute)
		h.transaction(person(1, "email", "b@x.test"))
		h.deliver()
		if p, _ := h.sim.State("").Person("email:a@x.test"); p.ID != "2" || p.Value("plan") != `"pro"` {
			t.Errorf("a@x.test is %+v", p)
		}
	})
}

// TestTimestampsFollowTheCommits where these are of the past, and never pass
// now by more than a second where the database's clock is ahead.
func TestTimestampsFollowTheCommits(t *testing.T) {
	bubble(t, func(h *house) {
		at := func(when time.Time, plan string) {
			err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
				o := h.origin()
				o.Time = when
				tx.From(&o)
				ask := person(1, "plan", plan)
				tx.Apply(&ask)
				h.end, h.xid = h.end+0x20, h.xid+1
				tx.Through(h.end, state.Mark{})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		past := time.Now().Add(-time.Hour)
		at(past, "a")
		items := h.must("identify id:1")
		if got := items[0].Operation.Timestamp; got != past.Unix() {
			t.Errorf("stamped %d, committed %d", got, past.Unix())
		}
		h.send(items)
		time.Sleep(10 * time.Second)
		at(time.Now().Add(time.Hour), "b")
		items = h.must("identify id:1")
		if got := items[0].Operation.Timestamp; got != time.Now().Unix() {
			t.Errorf("stamped %d, it is %d", got, time.Now().Unix())
		}
		h.send(items)
		// Twenty more within a moment, each delivered before the next: each has a
		// second of its own, and waits for it.
		began := time.Now()
		for i := range 20 {
			at(time.Now(), fmt.Sprint("c", i))
			h.deliver()
		}
		if took := time.Since(began); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("20 identifies of one person within %s", took)
		}
	})
}

// TestOneIdentifyPerPersonPerSecond unless something waits on it.
func TestOneIdentifyPerPersonPerSecond(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		time.Sleep(300 * time.Millisecond)
		h.send(h.must("identify id:1"))
		accepted := time.Now()
		time.Sleep(200 * time.Millisecond)
		h.transaction(person(1, "plan", "b"), person(2, "plan", "b"))
		items, next := h.draw()
		if len(items) != 1 || items[0].Operation.Person != id(2) || next.Before(accepted.Add(time.Second-time.Millisecond)) || next.After(accepted.Add(time.Second+time.Millisecond)) {
			t.Fatalf("drew %d, next %s after the first was accepted", len(items), next.Sub(accepted))
		}
		h.send(items)
		// An event hurries it.
		h.transaction(order(1, id(1)))
		h.send(h.must("identify id:1"))
		h.send(h.must("event id:1"))
		if waited := time.Since(accepted); waited >= time.Second {
			t.Errorf("an event's person waited %s", waited)
		}
	})
}

// TestUpdatesDuringAnOutageMerge: 40 of each of 5 people are 10 operations.
func TestUpdatesDuringAnOutageMerge(t *testing.T) {
	bubble(t, func(h *house) {
		var flight []*state.Item
		for i := range 40 {
			for n := range 5 {
				h.transaction(person(n, "plan", fmt.Sprint(i)))
			}
			if i == 0 {
				flight, _ = h.draw()
			}
			time.Sleep(time.Second)
		}
		h.send(flight)
		h.deliver()
		if len(h.sent) > 10 {
			t.Errorf("%d operations", len(h.sent))
		}
		for n := range 5 {
			if v := h.value(id(n).String(), "plan"); v != `"39"` {
				t.Errorf("person %d has %s", n, v)
			}
		}
		if b := h.books(people); b.Delivered != 200 {
			t.Errorf("the books are %+v", b)
		}
	})
}

// TestWhatChangesNoAttributeSendsNothing, nor does what is passive alone.
func TestWhatChangesNoAttributeSendsNothing(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		for i := range 1000 {
			ask := person(1, "plan", "a", "seen", fmt.Sprint(i))
			ask.Operation.Attributes[1].Passive = true
			h.transaction(ask)
		}
		h.deliver()
		if len(h.sent) != 1 {
			t.Errorf("%d operations", len(h.sent))
		}
		if b := h.books(people); b.Unchanged != 1000 || b.Received != 1001 {
			t.Errorf("the books are %+v", b)
		}
		time.Sleep(time.Minute)
		ask := person(1, "plan", "b", "seen", "last")
		ask.Operation.Attributes[1].Passive = true
		h.transaction(ask)
		h.deliver()
		if v := h.value("id:1", "seen"); v != `"last"` {
			t.Errorf("seen %s is not sent along", v)
		}
	})
}

// TestThereAndBackAgain: a value that goes and comes back while an operation
// waits ends as it was (B7.1).
func TestThereAndBackAgain(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		time.Sleep(time.Minute)
		h.transaction(person(1, "plan", "b"))
		flight := h.must("identify id:1")
		h.transaction(person(1, "plan", "a"))
		h.send(flight)
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"a"` {
			t.Errorf("plan %s", v)
		}
	})
}

// TestMergingKeepsToTheLimits: what would be too large as one stays two (M2).
func TestMergingKeepsToTheLimits(t *testing.T) {
	many := func(prefix string, n int, value string) (attributes []any) {
		for i := range n {
			attributes = append(attributes, fmt.Sprintf("%s%d", prefix, i), value)
		}
		return attributes
	}
	for name, parts := range map[string][2][]any{
		"bytes":      {many("a", 20, strings.Repeat("x", 900)), many("b", 20, strings.Repeat("x", 900))},
		"attributes": {many("a", 200, "x"), many("b", 200, "x")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(h *house) {
				h.transaction(person(1, parts[0]...), person(1, parts[1]...))
				h.deliver()
				p, _ := h.sim.State("").Person("id:1")
				if len(h.sent) != 2 || len(h.asides()) != 0 || p.Value("b3") == "" || p.Value("a3") == "" {
					t.Errorf("%d operations, %d set aside", len(h.sent), len(h.asides()))
				}
			})
		})
	}
}

// TestUpdateOnlyIsSaidAgainWhenItsPersonIsCreated: before, it did nothing.
func TestUpdateOnlyIsSaidAgainWhenItsPersonIsCreated(t *testing.T) {
	bubble(t, func(h *house) {
		rows := map[int]customerio.Ask{profiles: profile(1, "tier", "gold"), contacts: set(contacts, "a", email("a@x.test"), "note", "hello")}
		h.rows = func(mapping int, _ []byte) *customerio.Ask {
			ask, ok := rows[mapping]
			if !ok {
				return nil
			}
			return &ask
		}
		h.transaction(rows[profiles], rows[contacts])
		h.deliver()
		if n := len(h.sim.State("").People); n != 0 {
			t.Errorf("%d people were created", n)
		}
		h.transaction(person(1, "email", "a@x.test"))
		h.deliver()
		if h.value("id:1", "tier") != `"gold"` || h.value("id:1", "note") != `"hello"` {
			t.Errorf("tier %s, note %s", h.value("id:1", "tier"), h.value("id:1", "note"))
		}
	})
}

// TestBackfillHasAFifth of the room beside a saturated live lane, which goes
// first, and all of it when nothing live waits (M11).
func TestBackfillHasAFifth(t *testing.T) {
	bubble(t, func(h *house) {
		var pages, live []customerio.Ask
		for i := range 300 {
			pages = append(pages, person(1000+i, "plan", "a"))
			live = append(live, person(i, "plan", "a"))
		}
		h.read(pages...)
		h.transaction(live...)
		for range 3 {
			items, _ := h.drawUpTo(100)
			backfilled := 0
			for _, it := range items {
				if len(it.Operation.Person.Value) == 4 {
					backfilled++
				}
			}
			if len(items) != 100 || backfilled != 20 {
				t.Errorf("%d of %d are backfilled", backfilled, len(items))
			}
			h.send(items)
		}
		for len(h.sent) < 360+15 { // the rest of the live ones
			items, _ := h.drawUpTo(75)
			h.send(items)
		}
		items, _ := h.drawUpTo(100)
		for _, it := range items {
			if len(it.Operation.Person.Value) != 4 {
				t.Errorf("%s is live", it.Operation.Person)
			}
		}
		if len(items) != 100 {
			t.Errorf("the idle live lane leaves %d of 100", len(items))
		}
	})
}

// TestWhatSomethingLiveWaitsForIsLive (M11).
func TestWhatSomethingLiveWaitsForIsLive(t *testing.T) {
	bubble(t, func(h *house) {
		var pages []customerio.Ask
		for i := range 5000 {
			pages = append(pages, person(i, "plan", "a"))
		}
		h.read(pages...)
		h.transaction(order(1, id(4999)))
		items, _ := h.drawUpTo(10)
		if !slices.ContainsFunc(items, func(it *state.Item) bool { return it.Operation.Person == id(4999) }) {
			t.Fatal("a live event waits for 5,000 people to be read")
		}
		h.send(items)
		items, _ = h.drawUpTo(10)
		if !slices.ContainsFunc(items, func(it *state.Item) bool { return it.Operation.Action == customerio.Track }) {
			t.Error("the event does not follow")
		}
	})
}

// TestPausedMappingStoresAndDoesNotSend.
func TestPausedMappingStoresAndDoesNotSend(t *testing.T) {
	bubble(t, func(h *house) {
		h.opts.Mappings[people].Paused = true
		h.open()
		h.transaction(person(1, "plan", "a"))
		h.must()
		h.opts.Mappings[people].Paused = false
		h.open()
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"a"` {
			t.Errorf("plan %s", v)
		}
	})
}

// TestSplitLetsGoWithWhatWritesTheAddress: of a refused step the part that gives
// up an address is the one that writes the new one, whichever part comes first.
func TestSplitLetsGoWithWhatWritesTheAddress(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "email", "a@x.test"))
		h.deliver()
		time.Sleep(time.Minute)
		h.transaction(profile(1, "tier", "gold"), person(1, "email", "b@x.test"))
		h.transaction(person(2, "email", "a@x.test"))
		whole, _ := h.draw()
		h.refuse(whole...)
		first, _ := h.draw()
		if len(first) == 0 || strings.Contains(string(first[0].Operation.AppendJSON(nil)), "b@x.test") {
			t.Fatalf("the first part is %v", first)
		}
		h.send(first)
		h.deliver()
		held := h.sim.State("")
		if problem := mixedUp(held); problem != "" {
			t.Error(problem)
		}
		for address, want := range map[string]string{"a@x.test": "2", "b@x.test": "1"} {
			if p, _ := held.Person("email:" + address); p.ID != want {
				t.Errorf("%s is person %q, want %s", address, p.ID, want)
			}
		}
	})
}

// TestUpdateOnlyStaysApart from what creates its person, until that is done.
func TestUpdateOnlyStaysApart(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(profile(1, "tier", "gold"), person(1, "plan", "a"), profile(1, "tier", "silver"))
		for i, updateOnly := range []bool{true, false, true} {
			items := h.must("identify id:1")
			if items[0].Operation.UpdateOnly != updateOnly {
				t.Fatalf("operation %d updates only: %t", i, items[0].Operation.UpdateOnly)
			}
			h.send(items)
			time.Sleep(2 * time.Second)
		}
	})
}
