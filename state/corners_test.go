package state_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

func (h *house) status() state.Status {
	st, err := h.store.Status()
	if err != nil {
		h.t.Fatal(err)
	}
	return st
}

// A transaction half stored holds back nothing that was there before.
func TestAHalfStoredTransactionHoldsBackNothing(t *testing.T) {
	h := newHouse(t)
	var asks []customerio.Ask
	for j := range 5000 {
		asks = append(asks, person(j, "plan", "a"))
	}
	h.read(asks...)
	for i := 10_000; i < 120_000; i += 10_000 {
		asks = asks[:0]
		for j := i; j < i+10_000; j++ {
			asks = append(asks, person(j, "plan", "b"))
		}
		h.updates(asks, false)
	}
	sent := 0
	for {
		items, _, err := h.store.Draw(0, 1000, func(*customerio.Operation) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if len(items) == 0 {
			break
		}
		var settled []state.Settled
		for _, it := range items {
			settled = append(settled, state.Settled{Item: it, Verdict: customerio.Verdict{Kind: customerio.Accepted}})
		}
		if err := h.store.Settle(t.Context(), settled); err != nil {
			t.Fatal(err)
		}
		sent += len(items)
	}
	if sent != 5000 {
		t.Errorf("%d of 5000 left while a transaction was half stored", sent)
	}
}

// What a live step waits for is live, also where it could not join it.
func TestWhatALiveStepWaitsForIsLive(t *testing.T) {
	bubble(t, func(h *house) {
		var asks []customerio.Ask
		for j := 1; j <= 100; j++ {
			asks = append(asks, person(j, "plan", "a"))
		}
		h.read(asks...)
		h.updates([]customerio.Ask{person(100, "plan", "b")}, false)
		h.updates(nil, true)
		items, _ := h.drawUpTo(10)
		for _, it := range items {
			if it.Operation.Person == id(100) {
				return
			}
		}
		t.Error("what the live change of id:100 waits for is not among the first 10 of 100 backfilled")
	})
}

// What waits behind an event that its transaction withdraws is looked at again.
func TestWithdrawnEventLetsGo(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "email", "a@x.test"))
		h.deliver()
		h.part([]customerio.Ask{order(1, email("a@x.test"))}, false)
		h.read(person(1, "email", "b@x.test")) // as a refetch brings it
		time.Sleep(5 * time.Second)
		h.must()
		h.updates([]customerio.Ask{answer(orders, "1", customerio.Gone)}, true)
		h.must("identify id:1")
	})
}

// A retried step does not bring old values back.
func TestRetryBringsNoOldValueBack(t *testing.T) {
	bubble(t, func(h *house) {
		big := strings.Repeat("x", 900)
		many := func(prefix string) (attrs []any) {
			for i := range 20 {
				attrs = append(attrs, fmt.Sprint(prefix, i), big)
			}
			return attrs
		}
		h.transaction(person(1, "plan", "0"))
		h.deliver()
		time.Sleep(time.Minute)
		h.transaction(person(1, append([]any{"plan", "old"}, many("a")...)...))
		h.refuse(h.must("identify id:1")...)
		h.transaction(person(1, append([]any{"plan", "new"}, many("b")...)...)) // does not fit beside the parked one
		time.Sleep(time.Minute)
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"new"` {
			t.Fatalf("plan %s", v)
		}
		h.again = true
		if n, err := h.store.Retry(h.t.Context(), "", nil); n != 1 || err != nil {
			t.Fatalf("retried %d: %v", n, err)
		}
		ask := person(1, append([]any{"plan", "new", "city", "Bonn"}, many("b")...)...)
		h.transaction(ask)
		time.Sleep(time.Minute)
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"new"` {
			t.Errorf("the row says new, Customer.io has %s", v)
		}
	})
}

// The outbox weighs nothing when it is empty.
func TestEmptyOutboxWeighsNothing(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a", "bio", strings.Repeat("x", 500)))
		flight := h.must("identify id:1")
		h.transaction(person(1, "plan", "b", "bio", strings.Repeat("x", 500)))
		h.refuse(flight...)
		h.deliver()
		if w := h.status().Weight; w != 0 {
			t.Errorf("refused under a newer one: it weighs %d", w)
		}
	})
	bubble(t, func(h *house) {
		o := order(1, id(1))
		o.Operation.Attributes[0].Value = []byte(`"` + strings.Repeat("x", 1000) + `"`)
		h.mixed([]customerio.Ask{person(1, "plan", "a"), o, order(1, id(1))}, []bool{true, true, false})
		h.deliver()
		if w := h.status().Weight; w != 0 {
			t.Errorf("an event amended: it weighs %d", w)
		}
	})
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"), profile(1, "tier", "x"))
		h.deliver()
		time.Sleep(time.Minute)
		h.transaction(person(1, "plan", "b"), profile(1, "tier", "y"))
		flight := h.must("identify id:1")
		h.transaction(profile(1, "tier", "z"))
		h.refuse(flight...)
		h.deliver()
		if w := h.status().Weight; w != 0 {
			t.Errorf("split: it weighs %d", w)
		}
	})
}

// Delivered does not pass what waits.
func TestDeliveredStopsAtWhatWaits(t *testing.T) {
	bubble(t, func(h *house) {
		h.read(person(1, "plan", "a"))
		before := h.end
		h.transaction(person(1, "plan", "b"))
		if d := h.status().Delivered; d > before+0x10 {
			t.Errorf("joined a backfilled one: delivered is %s, past the change that waits (commit %s)", d, before+0x10)
		}
	})
	bubble(t, func(h *house) {
		before := h.end
		ask := person(1, "plan", "b")
		ask.Missing = true
		h.transaction(ask)
		if d := h.status().Delivered; d > before+0x10 {
			t.Errorf("a row that waits to be read: delivered is %s, past the change that waits (commit %s)", d, before+0x10)
		}
	})
}

// An event id that is not unique: another row of the same transaction
// neither amends nor withdraws the event of the first.
func TestAnotherRowDoesNotAmendAnEvent(t *testing.T) {
	dup := func(row, value string) customerio.Ask {
		o := order(1, id(1))
		o.Row = []byte(row)
		o.Operation.Attributes[0].Value = []byte(value)
		return o
	}
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		h.mixed([]customerio.Ask{dup("1", "1"), dup("2", "2"), answer(orders, "2", customerio.Gone)}, []bool{true, true, false})
		h.deliver()
		if b := h.books(orders); b.Delivered != 1 {
			t.Errorf("the first row's event is lost: %+v", b)
		}
	})
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		h.mixed([]customerio.Ask{dup("1", "1"), dup("2", "2"), dup("2", "3")}, []bool{true, true, false})
		h.deliver()
		if last := h.sent[len(h.sent)-1]; !strings.Contains(last, `"order":1`) {
			t.Errorf("the first row's event says what the second's row is: %s", last)
		}
	})
}

// A row is one event as it stands at the end of its transaction, also when
// it could not be mapped as it was inserted.
func TestRefusedInsertIsAmended(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		bad := answer(orders, "1", customerio.Refused)
		bad.EventKey, bad.Reason = customerio.EventKey("orders", "1"), "division by zero"
		h.mixed([]customerio.Ask{bad, order(1, id(1))}, []bool{true, false})
		h.deliver()
		if b := h.books(orders); b.Delivered == 0 || b.Parked != 0 {
			t.Errorf("%+v", b)
		}
	})
	bubble(t, func(h *house) { // in, refused, in again
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		bad := answer(orders, "1", customerio.Refused)
		bad.EventKey, bad.Reason = customerio.EventKey("orders", "1"), "division by zero"
		h.mixed([]customerio.Ask{order(1, id(1)), bad, order(1, id(1))}, []bool{true, false, false})
		h.deliver()
		if b := h.books(orders); b.Parked != 0 {
			t.Errorf("in, refused, in again: sent, and still parked: %+v", b)
		}
	})
}

// An event of a person whose only identify is parked is kept aside.
func TestEventOfAParkedPersonIsOrphaned(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"), order(1, id(1)))
		h.refuse(h.must("identify id:1")...)
		h.deliver()
		if b := h.books(orders); b.Orphaned != 1 {
			t.Errorf("the event of a person who is not there: %+v", b)
		}
	})
}

// A backfill beside one event that waits for its person leaves no marker for
// everybody.
func TestOneEventLeavesNoMarkersForAll(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(order(1, id(999_999)))
		var asks []customerio.Ask
		for j := 1; j <= 4000; j++ {
			asks = append(asks, person(j, "email", fmt.Sprint(j, "@x.test")))
		}
		h.read(asks...)
		n := 0
		for {
			more, err := h.store.Sweep(h.t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
			n++
		}
		if n > 100 {
			t.Errorf("%d transactions to sweep after a page of %d rows", n, len(asks))
		}
	}, func(o *state.Options) { o.Mappings[people].Backfill = true })
}

// Many people with one address are a matter of seconds.
func TestOneAddressOfMany(t *testing.T) {
	h := newHouse(t)
	start := time.Now()
	for i := 0; i < 4000; i += 250 {
		var asks []customerio.Ask
		for j := i; j < i+250; j++ {
			asks = append(asks, person(j, "email", "none@x.test"))
		}
		h.read(asks...)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("4,000 people with one address took %s", took)
	}
}

// However many want an address, it goes from one to the next as each lets go.
func TestAnAddressGoesRound(t *testing.T) {
	bubble(t, func(h *house) {
		const many = 45
		var asks []customerio.Ask
		for i := 1; i <= many; i++ {
			asks = append(asks, person(i, "email", "none@x.test"))
		}
		h.transaction(asks...)
		for left := many; ; left-- {
			for range 5 {
				h.deliver()
			}
			p, ok := h.sim.State("").Person("email:none@x.test")
			if !ok {
				t.Fatalf("nobody has it, and %d want it: %+v", left, h.asides())
			}
			if n := len(h.asides()); n != left-1 {
				t.Fatalf("%d are parked, %d want it", n, left)
			}
			if left == 1 {
				return
			}
			time.Sleep(5 * time.Second)
			h.transaction(set(people, p.ID, customerio.Identifier{Type: customerio.ID, Value: p.ID}, "email", p.ID+"@x.test"))
		}
	})
}

// Refused and folded under a newer one that it does not fit.
func TestRefusedDoesNotFitTheNewer(t *testing.T) {
	bubble(t, func(h *house) {
		big := strings.Repeat("x", 900)
		many := func(prefix string) (attrs []any) {
			for i := range 20 {
				attrs = append(attrs, fmt.Sprint(prefix, i), big)
			}
			return attrs
		}
		h.transaction(person(1, many("a")...))
		flight := h.must("identify id:1")
		h.transaction(person(1, many("b")...))
		h.refuse(flight...)
		items, _ := h.draw()
		for _, it := range items {
			if n := it.Operation.Size(); n > customerio.MaxItem {
				t.Errorf("%d bytes in one operation, the limit is %d", n, customerio.MaxItem)
			}
		}
	})
}

// Another workspace: what its rows have sent to it stays known, whatever
// rows of the same thing come later.
func TestAnotherWorkspaceIsEnteredOnce(t *testing.T) {
	bubble(t, func(h *house) {
		if err := h.store.AcceptWorkspace(h.t.Context(), 0, "us", 1); err != nil {
			t.Fatal(err)
		}
		h.transaction(person(1, "email", "a@x.test", "plan", "a"), profile(1, "tier", "x"))
		h.deliver()
		if err := h.store.AcceptWorkspace(h.t.Context(), 0, "us", 2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		h.transaction(person(1, "email", "a@x.test", "plan", "a"))
		h.deliver()
		h.transaction(profile(1, "tier", "x"))
		h.deliver()
		// a@x.test is person 1's, in the new workspace as well
		h.transaction(person(2, "email", "a@x.test", "plan", "a"))
		items, _ := h.draw()
		for _, it := range items {
			if it.Operation.Person == id(2) && it.Refuse == "" {
				t.Errorf("a@x.test is still person 1's, and sent for person 2")
			}
		}
	})
}

// Joined to a backfilled step while its transaction is half stored: what a
// read brought is there whatever becomes of that.
func TestAReadRowJoinsNothingHalfStored(t *testing.T) {
	bubble(t, func(h *house) {
		a := person(1, "plan", "a")
		h.updates([]customerio.Ask{a}, false)
		b := person(1, "city", "Bonn")
		b.Row = []byte("other")
		h.read(b)
		items, _ := h.draw()
		_ = items
		if d := h.status(); d.Workspaces[0].Entries != 2 {
			t.Errorf("%d entries: what was read waits for the end of a transaction it is no part of", d.Workspaces[0].Entries)
		}
	})
}

// A part of a transaction that moves no position lets nobody look again at
// all that waits for it.
func TestAPartLetsNobodyLookAgain(t *testing.T) {
	h := newHouse(t)
	for i := 0; i < 100_000; i += 10_000 {
		var asks []customerio.Ask
		for j := i; j < i+10_000; j++ {
			asks = append(asks, person(j, "plan", "b"))
		}
		h.updates(asks, false)
	}
	draw := func() (took time.Duration, more bool) {
		start := time.Now()
		items, next, err := h.store.Draw(0, 1000, func(*customerio.Operation) bool { return true })
		if err != nil || len(items) > 0 {
			t.Fatal(items, err)
		}
		return time.Since(start), !next.IsZero()
	}
	first, more := draw()
	for more {
		_, more = draw()
	}
	idle, _ := draw()
	h.updates([]customerio.Ask{person(200_000, "plan", "b")}, false)
	after, _ := draw()
	t.Logf("first %v, idle %v, after a part %v", first, idle, after)
	if after > 10*idle+10*time.Millisecond {
		t.Errorf("a draw after another part of the transaction takes %v, with the state's lock held", after)
	}
}

// An address that Customer.io may have, of a step whose reply a killed
// process never saw, is held: who takes it over is parked with both named.
func TestWhatMayHaveBeenAcceptedIsHeld(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(2, "email", "c@x.test"))
		h.post(h.must("identify id:2")) // applied; killed before the reply is entered
		h.open()
		h.transaction(person(2, "email", "bad@"))
		time.Sleep(5 * time.Second)
		h.refuse(h.must("identify id:2")...)
		h.transaction(person(1, "email", "c@x.test"))
		items := h.must("identify id:1")
		if items[0].Refuse == "" {
			t.Error("c@x.test is sent for id:1 while id:2 may still have it: Customer.io drops it and says 200")
		}
	})
}

// A row that was streamed, and then parked by a page, is not taken for gone by a
// read older than the stream's change.
func TestParkedByAPageRemembersTheStream(t *testing.T) {
	h := newHouse(t, func(o *state.Options) { o.Mappings[people].Backfill = true })
	refused := answer(people, "9", customerio.Refused)
	refused.Reason = "it cannot be sent"
	xid := h.xid
	h.transaction(refused)
	retry := func() {
		if n, err := h.store.Retry(t.Context(), "", nil); n != 1 || err != nil {
			t.Fatalf("%d entries wait again: %v", n, err)
		}
	}
	retry()
	err := h.store.Update(t.Context(), func(tx *state.Tx) error {
		tx.From(&state.Origin{Time: time.Now(), Visible: func(uint64) bool { return true }})
		page := refused
		tx.Apply(&page)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	retry()
	rows, err := h.store.Rereads(people, 10)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows wait to be read: %v", len(rows), err)
	}
	if rows[0].Seen(func(x uint64) bool { return x < xid }) {
		t.Error("a read that does not see the row's insert passes for its newest")
	}
}
