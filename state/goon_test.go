package state_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// goOn starts anew with mappings that are defined so, a letter each, and returns
// how many rows of the open transaction each of them has.
func (h *house) goOn(defined string) ([]uint64, error) {
	h.t.Helper()
	h.open()
	definitions := make([]state.Definition, len(defined))
	for i := range definitions {
		definitions[i][0] = defined[i]
	}
	mark, rows, err := h.store.GoOn(h.t.Context(), definitions)
	if err == nil {
		if _, open := h.store.Stored(); open != mark || mark.Commit != 0 && mark.Rows != slices.Min(rows) {
			h.t.Errorf("it goes on at %+v, stored is %+v, the mappings have %v", mark, open, rows)
		}
	}
	h.balanced()
	return rows, err
}

func (h *house) mustGoOn(defined string, want ...uint64) {
	h.t.Helper()
	rows, err := h.goOn(defined)
	if err != nil || !slices.Equal(rows, want) {
		h.t.Fatalf("%s: the mappings have %v of the open transaction, want %v: %v", defined, rows, want, err)
	}
}

// half stores a part of a transaction: a person who was delivered before and one
// who was not, what another mapping says of that one, and an event.
func (h *house) half() {
	h.t.Helper()
	h.mustGoOn("aaaa", 0, 0, 0, 0)
	h.transaction(person(1, "plan", "a", "city", "Bonn"))
	h.deliver()
	h.part([]customerio.Ask{person(1, "plan", "b", "city", "Bonn"), person(2, "plan", "b"), profile(2, "tier", "gold"), order(1, id(2))}, false)
}

// TestAChangedMappingHasNothingOfAHalfStoredTransaction that it asked as it was
// defined before; the others keep what they have (M7).
func TestAChangedMappingHasNothingOfAHalfStoredTransaction(t *testing.T) {
	bubble(t, func(h *house) {
		h.half()
		h.mustGoOn("aaaa", 4, 4, 4, 4)
		h.mustGoOn("baaa", 0, 4, 4, 4)
		if b := h.books(people); b.Discarded != 2 || b.Waiting != 0 {
			t.Errorf("the books are %+v", b)
		}
		if b, o := h.books(profiles), h.books(orders); b.Waiting != 1 || o.Waiting != 1 {
			t.Errorf("the books are %+v and %+v", b, o)
		}
		h.mustGoOn("baab", 0, 4, 4, 0)
		if b := h.books(orders); b.Discarded != 1 || b.Waiting != 0 {
			t.Errorf("the books are %+v", b)
		}
		h.mustGoOn("caab", 0, 4, 4, 0)
		// From the first row again: the second person is not in any more, the event is.
		h.part([]customerio.Ask{person(1, "plan", "b", "city", "Bonn"), order(1, id(1))}, true)
		h.deliver()
		if h.value("id:1", "plan") != `"b"` || h.value("id:2", "plan") != "" {
			t.Errorf("sent %q", h.sent)
		}
		if events := h.sim.State("").Events; len(events) != 1 || events[0].Person != "id:1" {
			t.Errorf("the events are %+v", events)
		}
		h.mustGoOn("dddd", 0, 0, 0, 0)
	})
}

// TestAMappingWhoseStepCreatedItsPersonCreatesItAgain, also with nothing else to say.
func TestAMappingWhoseStepCreatedItsPersonCreatesItAgain(t *testing.T) {
	bubble(t, func(h *house) {
		h.mustGoOn("aaaa", 0, 0, 0, 0)
		h.part([]customerio.Ask{person(1)}, false)
		h.mustGoOn("baaa", 0, 1, 1, 1)
		h.part([]customerio.Ask{person(1)}, true)
		h.deliver()
		if len(h.sent) != 1 {
			t.Errorf("sent %q", h.sent)
		}
	})
}

// TestTakingBackCutShort at every commit, and then gone on with as it was before
// or is now: what was taken back is not taken for stored.
func TestTakingBackCutShort(t *testing.T) {
	for _, then := range []string{"aaaa", "baab"} {
		for n, whole := 1, false; !whole; n++ {
			bubble(t, func(h *house) {
				h.half()
				commits, full := 0, errors.New("disk full")
				h.opts.Memory.Commit = func() error {
					if commits++; commits > n {
						return full
					}
					return nil
				}
				_, err := h.goOn("baab")
				whole = err == nil
				if !whole && !errors.Is(err, full) {
					t.Fatal(err)
				}
				h.opts.Memory.Commit = nil
				rows, err := h.goOn(then)
				if err != nil {
					t.Fatal(err)
				}
				discarded := h.books(people).Discarded + h.books(orders).Discarded
				if kept := rows[0] == 4 && rows[3] == 4; kept != (discarded == 0) || !kept && (rows[0] != 0 || rows[3] != 0 || discarded != 3) {
					t.Errorf("after %d commits and %s the mappings have %v, %d changes are given up", n, then, rows, discarded)
				}
				h.part([]customerio.Ask{person(1, "plan", "b", "city", "Bonn"), person(2, "plan", "b"), order(1, id(2))}, true)
				h.deliver()
				if h.value("id:1", "plan") != `"b"` || h.value("id:2", "plan") != `"b"` || len(h.sim.State("").Events) != 1 {
					t.Errorf("sent %q", h.sent)
				}
			})
		}
	}
}
