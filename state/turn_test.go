package state_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// Who was turned away from those who may have an address waits for a turn among
// them: when its holder lets go, one has it, and the others are parked.
func TestOneOfManyHasAnAddressNext(t *testing.T) {
	bubble(t, func(h *house) {
		const shared = "none@x.test"
		h.transaction(person(1, "email", shared))
		h.deliver()
		time.Sleep(time.Minute)
		for i := 2; i <= 32; i++ {
			h.transaction(person(i, "email", shared))
		}
		h.deliver()
		if n := len(h.asides()); n != 31 {
			t.Fatalf("%d are parked, not 31", n)
		}
		h.transaction(person(1, "email", "own@x.test"))
		for i := 101; i <= 110; i++ {
			h.transaction(person(i, "email", shared))
		}
		first, _ := h.drawUpTo(1)
		h.send(first)
		next, _ := h.draw()
		leave := 0
		for _, it := range next {
			if it.Refuse == "" {
				leave++
			}
		}
		if leave > 1 {
			t.Errorf("%d operations of one request give an address to as many people", leave)
		}
		h.send(next)
		h.deliver()
		if err := h.sim.Settle(h.t.Context()); err != nil {
			t.Fatal(err)
		}
		if mixed := mixedUp(h.sim.State("")); mixed != "" {
			t.Error(mixed)
		}
		if n := len(h.asides()); n != 40 {
			t.Errorf("%d are parked, not 40: one has the address, and one its own", n)
		}
	})
}

// People who shared an address once need not wait for each other for ever.
func TestLinksEnd(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "email", "none@x.test"))
		h.deliver()
		for i := 2; i < 100; i++ {
			h.transaction(person(i, "email", "none@x.test"))
			h.deliver()
			h.transaction(person(i, "email", fmt.Sprint(i, "@x.test")))
			h.deliver()
			time.Sleep(time.Minute)
		}
		if n := h.store.Links(id(1)); n != 0 {
			t.Errorf("%d people are linked to one who alone has the address", n)
		}
	})
}

// A mapping that leaves the file takes along what waits of it, and nothing else.
func TestAMappingLeaves(t *testing.T) {
	bubble(t, func(h *house) {
		h.opts.Mappings = append(h.opts.Mappings, state.Mapping{Name: "scores", Kind: customerio.Person}, state.Mapping{Name: "clicks", Kind: customerio.Event})
		h.open()
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		time.Sleep(time.Minute)
		gone := order(2, id(1))
		gone.Mapping = 5
		missing := set(4, "10", id(2), "score", 1)
		missing.Missing = true
		h.transaction(person(1, "plan", "b"), set(4, "9", id(1), "score", 1), gone)
		h.updates([]customerio.Ask{missing}, true)
		h.opts.Mappings = h.opts.Mappings[:4]
		h.open()
		discarded, err := h.store.GiveUp(h.t.Context())
		if err != nil || discarded["scores"] != 2 || discarded["clicks"] != 1 || len(discarded) != 2 {
			t.Fatalf("discarded %v, %v", discarded, err)
		}
		h.transaction(person(1, "plan", "c"), order(1, id(1)))
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"c"` {
			t.Errorf("plan %s", v)
		}
		if v := h.value("id:1", "score"); v != "" {
			t.Errorf("score %s was sent", v)
		}
		if b := h.books(orders); b.Waiting != 0 || b.Delivered != 1 {
			t.Errorf("orders %+v", b)
		}
		if st, err := h.store.Status(); err != nil || st.Rereads != 0 {
			t.Errorf("%d rows wait to be read, %v", st.Rereads, err)
		}
		if discarded, err = h.store.GiveUp(h.t.Context()); err != nil || len(discarded) != 0 {
			t.Errorf("discarded once more: %v, %v", discarded, err)
		}
		// When the mapping is back, what its row says is news.
		h.opts.Mappings = append(h.opts.Mappings, state.Mapping{Name: "scores", Kind: customerio.Person})
		h.open()
		time.Sleep(time.Minute)
		h.updates([]customerio.Ask{set(4, "9", id(1), "score", 1)}, true)
		h.deliver()
		if v := h.value("id:1", "score"); v != "1" {
			t.Errorf("score %s", v)
		}
	})
}

// Who opts out of mail has opted out, though the row has to be read again for
// another value, and though the change brings the row back.
func TestOptOutsArrive(t *testing.T) {
	ask := func(out bool) customerio.Ask {
		a := person(1, "plan", "a", "unsubscribed", out)
		a.Operation.Attributes[1].OnChange = true
		return a
	}
	for name, change := range map[string]func(h *house){
		"alone": func(h *house) { h.updates([]customerio.Ask{ask(true)}, true) },
		"read again": func(h *house) {
			a := ask(true)
			a.Partial = true
			h.rows = func(int, []byte) *customerio.Ask { a := ask(true); return &a }
			h.updates([]customerio.Ask{a}, true)
		},
		"back": func(h *house) {
			h.transaction(ask(false))
			h.deliver()
			time.Sleep(time.Minute)
			h.updates([]customerio.Ask{answer(people, "1", customerio.Out)}, true)
			h.updates([]customerio.Ask{ask(true)}, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(h *house) {
				change(h)
				h.deliver()
				if v := h.value("id:1", "unsubscribed"); v != "true" {
					t.Errorf("unsubscribed %s", v)
				}
			})
		})
	}
}

// What was parked is not sent after what its row has said since.
func TestStaleValuesStayBehind(t *testing.T) {
	bubble(t, func(h *house) {
		wide := func(prefix string) (attrs []any) {
			for i := range 20 {
				attrs = append(attrs, fmt.Sprint(prefix, i), strings.Repeat("x", 900))
			}
			return attrs
		}
		h.transaction(person(1, "plan", "0"))
		h.deliver()
		time.Sleep(time.Minute)
		h.transaction(person(1, append([]any{"plan", "old"}, wide("a")...)...))
		h.refuse(h.must("identify id:1")...)
		// This does not fit beside what is parked, and leaves alone.
		h.transaction(person(1, append([]any{"plan", "new"}, wide("b")...)...))
		time.Sleep(time.Minute)
		h.deliver()
		time.Sleep(time.Minute)
		// This takes along what is parked.
		h.transaction(person(1, append([]any{"plan", "new", "city", "Bonn"}, wide("b")...)...))
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"new"` {
			t.Errorf("the row says new, Customer.io has %s", v)
		}
		if v := h.value("id:1", "a0"); v == "" {
			t.Error("what was parked and has not been said anew was not sent")
		}
	})
}

// A page that was asked for before the backfill began anew does not move it on.
func TestAPageOfTheBackfillBefore(t *testing.T) {
	bubble(t, func(h *house) {
		ctx := h.t.Context()
		accept := func(environment int64) {
			if err := h.store.AcceptWorkspace(ctx, 0, "us", environment); err != nil {
				t.Fatal(err)
			}
		}
		page := func(after []string, last string, asks ...customerio.Ask) {
			if err := h.store.Update(ctx, func(tx *state.Tx) error {
				o := state.Origin{Visible: func(uint64) bool { return true }}
				tx.From(&o)
				for i := range asks {
					tx.Apply(&asks[i])
				}
				return tx.Backfilled(people, after, len(asks), []string{last}, after != nil)
			}); err != nil {
				t.Fatal(err)
			}
		}
		accept(1)
		page(nil, "1", person(1, "plan", "a"))
		accept(2)
		page([]string{"1"}, "2", person(2, "plan", "a"))
		if b := h.store.Backfill(people); !b.Running || b.After != nil {
			t.Errorf("the backfill for another workspace is at %+v", b)
		}
	}, func(o *state.Options) { o.Mappings[people].Backfill = true })
}

// Two mappings that only update are not merged past the number of attributes that
// one request may have, `_update` among them.
func TestUpdatesWithinTheNumberOfAttributes(t *testing.T) {
	bubble(t, func(h *house) {
		h.opts.Mappings = append(h.opts.Mappings, state.Mapping{Name: "more", Kind: customerio.Person, UpdateOnly: true})
		h.open()
		for i, m := range []int{profiles, 4} {
			var attrs []any
			for n := range customerio.MaxAttributes / 2 {
				attrs = append(attrs, fmt.Sprint("a", i, ".", n), 1)
			}
			h.transaction(set(m, "1", id(1), attrs...))
		}
		items, _ := h.draw()
		for _, it := range items {
			if reason := it.Operation.Check(); reason != "" {
				t.Error(reason)
			}
		}
		h.send(items)
		h.deliver()
	})
}

// Devices that came and went leave nothing in the state.
func TestDevicesThatWentLeaveNothing(t *testing.T) {
	bubble(t, func(h *house) {
		size := func(round int) int64 {
			for n := range 200 {
				token := fmt.Sprint("t", round, ".", n)
				h.transaction(phone(token, token, id(1)))
				h.deliver()
				h.updates([]customerio.Ask{answer(devices, token, customerio.Gone)}, true)
			}
			if err := h.store.Rest(); err != nil {
				t.Fatal(err)
			}
			st, err := h.store.Status()
			if err != nil {
				t.Fatal(err)
			}
			return st.Size
		}
		first := size(1)
		if second := size(2); second > first+100 {
			t.Errorf("200 devices more that went: %d bytes, %d before", second, first)
		}
	}, withThings)
}

// What is said of a workspace is whole, also while it changes.
func TestWorkspaceWhileItChanges(t *testing.T) {
	h := newHouse(t)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer stop()
		for i := range 50 {
			if err := h.store.AcceptWorkspace(t.Context(), 0, []string{"us", "eu"}[i%2], int64(i+1)); err != nil {
				t.Error(err)
			}
		}
	}()
	for ctx.Err() == nil {
		if region, environment := h.store.Workspace(0); environment > 0 && region != []string{"us", "eu"}[(environment-1)%2] {
			t.Fatalf("workspace %d is in region %s", environment, region)
		}
	}
}

// Who gives an address up by a change that is refused, and by a newer one, has it
// until the newer one is accepted.
func TestAnAddressIsGivenUpByWhatIsSent(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "email", "a@x.test", "plan", "a"))
		h.deliver()
		time.Sleep(time.Minute)
		h.updates([]customerio.Ask{person(1, "email", "b@x.test", "plan", "a")}, true)
		flight := h.must("identify id:1")
		h.updates([]customerio.Ask{person(1, "email", "b@x.test", "plan", "b")}, true)
		// The newest address stands in a step of its own: the one before is half
		// stored, and so joins nothing.
		h.part([]customerio.Ask{person(1, "email", "c@x.test", "plan", "b")}, false)
		h.refuse(flight...)
		time.Sleep(time.Minute)
		items, _ := h.draw()
		h.send(items)
		h.part([]customerio.Ask{person(2, "email", "a@x.test")}, true)
		h.deliver()
		if err := h.sim.Settle(h.t.Context()); err != nil {
			t.Fatal(err)
		}
		if mixed := mixedUp(h.sim.State("")); mixed != "" {
			t.Error(mixed)
		}
		if v := h.value("id:1", "plan"); v != `"b"` {
			t.Errorf("plan %s", v)
		}
	})
}

// Nor does what is set aside of it stay: it could be let go of, and never leave.
func TestAMappingLeavesNothingSetAside(t *testing.T) {
	bubble(t, func(h *house) {
		h.opts.Mappings = append(h.opts.Mappings, state.Mapping{Name: "scores", Kind: customerio.Person})
		h.open()
		h.transaction(person(1, "email", "a@x.test"))
		h.deliver()
		time.Sleep(time.Minute)
		h.transaction(set(4, "9", id(2), "email", "a@x.test", "score", 1), person(2, "plan", "free"))
		h.deliver() // one step of both, parked: another has the address
		bad := set(4, "10", id(3), "score", 1)
		bad.Answer, bad.Reason = customerio.Refused, "it cannot be mapped"
		h.transaction(bad)
		if n := len(h.asides()); n != 2 {
			t.Fatalf("%d are set aside: %+v", n, h.asides())
		}
		h.opts.Mappings = h.opts.Mappings[:4]
		h.open()
		if discarded, err := h.store.GiveUp(h.t.Context()); err != nil || discarded["scores"] != 2 {
			t.Fatalf("discarded %v, %v", discarded, err)
		}
		for _, a := range h.asides() {
			if a.Mapping != "people" {
				t.Errorf("still set aside: %+v", a)
			}
		}
		h.transaction(person(1, "email", "b@x.test"))
		h.transaction(person(2, "plan", "pro"))
		h.deliver()
		if v := h.value("id:2", "plan"); v != `"pro"` {
			t.Errorf("plan %s, people %+v", v, h.books(people))
		}
		h.balanced()
	})
}

// A first page that was read before its workspace turned out to be another does not
// bring back what the stream has overtaken.
func TestAFirstPageOfTheBackfillBefore(t *testing.T) {
	bubble(t, func(h *house) {
		ctx := h.t.Context()
		if err := h.store.AcceptWorkspace(ctx, 0, "us", 1); err != nil {
			t.Fatal(err)
		}
		h.transaction(person(1, "plan", "new")) // which the snapshot does not see
		if err := h.store.AcceptWorkspace(ctx, 0, "us", 2); err != nil {
			t.Fatal(err)
		}
		if err := h.store.Update(ctx, func(tx *state.Tx) error {
			o := state.Origin{Visible: func(uint64) bool { return false }}
			tx.From(&o)
			ask := person(1, "plan", "old")
			tx.Apply(&ask)
			return tx.Backfilled(people, nil, 1, []string{"1"}, true)
		}); err != nil {
			t.Fatal(err)
		}
		h.deliver()
		if v := h.value("id:1", "plan"); v != `"new"` {
			t.Errorf("plan %s", v)
		}
	}, func(o *state.Options) { o.Mappings[people].Backfill = true })
}
