package state_test

import (
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/state"
)

// delivered fails unless the delivered position is that of a change that waits
// (0: nothing does).
func (h *house) delivered(of lsn.LSN) {
	h.t.Helper()
	want, _ := h.store.Stored()
	if of != 0 {
		want = of
	}
	if got := h.status().Delivered; got != want {
		h.t.Errorf("delivered is %s, want %s", got, want)
	}
}

// commits is the commit LSN of the next transaction.
func (h *house) commits() lsn.LSN { return h.end + 0x10 }

// later stores another transaction, which is delivered: all that follows is newer.
func (h *house) later(n int) {
	h.t.Helper()
	h.transaction(order(n, id(9000+n)))
	for _, it := range h.take() {
		if it.Operation.Person == id(9000+n) {
			h.send([]*state.Item{it})
		} else {
			h.store.Abandon([]*state.Item{it})
		}
	}
}

// TestDeliveredIsNoFurtherThanTheOldest of what waits, wherever that has its place,
// and with a restart.
func TestDeliveredIsNoFurtherThanTheOldest(t *testing.T) {
	both := func(h *house, of lsn.LSN) {
		h.t.Helper()
		h.delivered(of)
		h.open()
		h.delivered(of)
	}
	t.Run("in flight", func(t *testing.T) {
		bubble(t, func(h *house) {
			first := h.commits()
			h.transaction(person(1, "plan", "a"))
			flying := h.must("identify id:1")
			h.later(1)
			h.delivered(first)
			h.send(flying)
			h.delivered(0)
		})
	})
	t.Run("a row read again", func(t *testing.T) {
		bubble(t, func(h *house) {
			first := h.commits()
			ask := person(1, "plan", "a")
			ask.Missing = true
			h.transaction(ask)
			h.later(1)
			both(h, first)
			if err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
				o := state.Origin{Time: time.Now(), Visible: func(uint64) bool { return true }}
				o.Reread, _ = tx.WaitingRow(people, []byte("1"))
				o.Commit = o.Reread.Commit()
				tx.From(&o)
				ask := person(1, "plan", "a")
				tx.Apply(&ask)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			h.later(2)
			both(h, first)
			h.deliver()
			h.delivered(0)
		})
	})
	t.Run("parked, and tried again", func(t *testing.T) {
		bubble(t, func(h *house) {
			first := h.commits()
			h.transaction(person(1, "plan", "a"))
			h.refuse(h.must("identify id:1")...)
			h.delivered(0)
			second := h.commits()
			h.transaction(person(2, "plan", "a"))
			h.delivered(second)
			if _, err := h.store.Retry(h.t.Context(), "", nil); err != nil {
				t.Fatal(err)
			}
			both(h, first) // behind the second
			h.deliver()
			h.delivered(0)
		})
	})
	t.Run("refused, and folded under a newer one", func(t *testing.T) {
		bubble(t, func(h *house) {
			first := h.commits()
			h.transaction(person(1, "plan", "a"))
			flying := h.must("identify id:1")
			h.transaction(person(2, "plan", "a"))
			h.transaction(person(1, "plan", "b"))
			h.refuse(flying...)
			both(h, first)
			h.deliver()
			h.delivered(0)
		})
	})
	t.Run("joined to what was read", func(t *testing.T) {
		bubble(t, func(h *house) {
			h.read(person(1, "plan", "a"))
			first := h.commits()
			h.transaction(person(2, "plan", "a"))
			h.transaction(person(1, "plan", "b")) // in front of the other, and newer
			both(h, first)
			h.deliver()
			h.delivered(0)
		})
	})
	t.Run("split", func(t *testing.T) {
		bubble(t, func(h *house) {
			h.transaction(person(1, "plan", "a"))
			h.deliver()
			time.Sleep(time.Minute)
			first := h.commits()
			h.transaction(person(1, "plan", "b"), profile(1, "tier", "x"))
			flying := h.must("identify id:1")
			h.transaction(person(2, "plan", "a"))
			h.refuse(flying...)
			both(h, first)
			for _, it := range h.take() {
				if len(it.Operation.Attributes) == 1 && it.Operation.Attributes[0].Name == "plan" {
					h.send([]*state.Item{it}) // also the second person
				} else {
					h.store.Abandon([]*state.Item{it})
				}
			}
			both(h, first)
			h.deliver()
			h.delivered(0)
		})
	})
	t.Run("waiting for its owner", func(t *testing.T) {
		bubble(t, func(h *house) {
			first := h.commits()
			h.transaction(order(1, id(1)))
			if b := h.books(orders); b.Waiting != 1 || len(h.take()) != 0 {
				t.Fatalf("it does not wait: %+v", b)
			}
			h.transaction(person(2, "plan", "a"))
			both(h, first)
		}, func(o *state.Options) { o.Mappings[people].Backfill = true })
	})
}

// TestDeliveredWithMoreThanIsLookedAtAtOnce stands still until all has been looked
// at, is never too far, whatever is moved meanwhile, and comes to the end.
func TestDeliveredWithMoreThanIsLookedAtAtOnce(t *testing.T) {
	state.WalkAtOnce(t, 3)
	bubble(t, func(h *house) {
		parked := h.commits()
		h.transaction(order(1, id(1)))
		h.refuse(h.must("event id:1")...)
		first := h.commits()
		for n := range 10 {
			h.transaction(order(10+n, id(10+n)))
		}
		for n := 0; h.status().Delivered != first; n++ {
			if d := h.status().Delivered; d > first || n > 10 {
				t.Fatalf("delivered is %s, want %s", d, first)
			}
		}
		h.status()
		h.status() // a walk is under way, and past some
		if _, err := h.store.Retry(h.t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if d := h.status().Delivered; d != parked {
				t.Fatalf("delivered is %s, want %s", d, parked)
			}
		}
		var again []*state.Item
		for _, it := range h.take() {
			if it.Operation.Person == id(1) {
				again = append(again, it)
				continue
			}
			h.settle(state.Settled{Item: it, Verdict: customerio.Verdict{Kind: customerio.Accepted}})
			if d := h.status().Delivered; d != parked {
				t.Fatalf("delivered is %s, want %s", d, parked)
			}
		}
		h.send(again)
		h.status() // ends the walk that was under way
		h.status()
		h.delivered(0)
	})
}
