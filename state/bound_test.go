package state_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// park parks people, each with a plan and a city, and returns all entries.
func (h *house) park(from, to int) []state.Aside {
	h.t.Helper()
	for i := from; i <= to; i++ {
		h.transaction(person(i, "plan", "a", "city", "Bonn"))
		h.refuse(h.must("identify " + id(i).String())...)
	}
	return h.asides()
}

func (h *house) bounded(mapping int) bool {
	h.t.Helper()
	st, err := h.store.Status()
	if err != nil {
		h.t.Fatal(err)
	}
	return st.Mappings[mapping].Bounded
}

func (h *house) shown(a state.Aside) state.Aside {
	h.t.Helper()
	shown, err := h.store.Aside(a.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return shown
}

// TestWhatIsSetAsideIsBounded: past the bound an entry keeps key and reason
// alone, and a retry reads its row (M16).
func TestWhatIsSetAsideIsBounded(t *testing.T) {
	state.KeepAsides(t, 2)
	bubble(t, func(h *house) {
		h.park(1, 2)
		if h.bounded(people) {
			t.Error("the bound is passed with two entries")
		}
		asides := h.park(3, 4)
		if !h.bounded(people) {
			t.Error("the bound is not passed")
		}
		for i, a := range asides {
			a = h.shown(a)
			if kept := strings.Contains(a.Payload, "Bonn"); kept != (i < 2) || a.Refetch == kept || a.Reason != "no" || a.Changes != 1 || a.Thing != id(i+1).String() {
				t.Errorf("entry %d: %+v", i+1, a)
			}
		}
		h.open()
		if a := h.shown(asides[2]); !a.Refetch {
			t.Errorf("after a restart: %+v", a)
		}
		h.rows = func(_ int, row []byte) *customerio.Ask { // as the table has them now; the last is gone
			if string(row) == "4" {
				return nil
			}
			ask := set(people, string(row), customerio.Identifier{Type: customerio.ID, Value: string(row)}, "plan", "b", "city", "Bonn")
			return &ask
		}
		if n, err := h.store.Retry(h.t.Context(), "people", nil); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		if b := h.books(people); b.Waiting != 4 || b.Parked != 0 {
			t.Errorf("the books are %+v", b)
		}
		h.deliver()
		for who, want := range map[string]string{"id:1": `"a"`, "id:2": `"a"`, "id:3": `"b"`, "id:4": ""} {
			if got := h.value(who, "plan"); got != want {
				t.Errorf("the plan of %s is %s, want %s", who, got, want)
			}
		}
		if b := h.books(people); b.Received != 4 || b.Delivered != 3 || b.Filtered != 1 || h.bounded(people) {
			t.Errorf("the books are %+v", b)
		}
	})
}

// TestAnEntryWithoutItsValuesAndANewerChange: what the change does not say is
// read, so that nothing of the two is missing.
func TestAnEntryWithoutItsValuesAndANewerChange(t *testing.T) {
	state.KeepAsides(t, 0)
	bubble(t, func(h *house) {
		asides := h.park(1, 1)
		h.rows = func(int, []byte) *customerio.Ask {
			ask := person(1, "plan", "b", "city", "Bonn")
			return &ask
		}
		if a := h.shown(asides[0]); !a.Refetch {
			t.Fatalf("%+v", a)
		}
		partly := person(1, "plan", "b") // the city was not sent: it has not changed
		h.transaction(partly)
		if b := h.books(people); b.Parked != 0 || b.Waiting != 2 {
			t.Errorf("the books are %+v", b)
		}
		h.deliver()
		if h.value("id:1", "plan") != `"b"` || h.value("id:1", "city") != `"Bonn"` {
			t.Errorf("sent %q", h.sent)
		}
		if b := h.books(people); b.Received != 2 || b.Delivered != 2 {
			t.Errorf("the books are %+v", b)
		}
	})
}

// TestAnEntryWithoutItsValuesIsSettled: it is dropped, and one that waits for an identifier is
// read again when that is let go.
func TestAnEntryWithoutItsValuesIsSettled(t *testing.T) {
	state.KeepAsides(t, 0)
	bubble(t, func(h *house) {
		h.transaction(person(1, "email", "a@x.test"))
		h.deliver()
		h.transaction(person(2, "email", "a@x.test", "plan", "pro"), person(3, "plan", "x"))
		h.send(h.must("identify id:2", "identify id:3"))
		h.transaction(person(3, "plan", "y"))
		time.Sleep(time.Minute)
		h.refuse(h.must("identify id:3")...)
		asides := h.asides()
		if len(asides) != 2 || !h.shown(asides[0]).Refetch || !h.shown(asides[1]).Refetch {
			t.Fatalf("set aside: %+v", asides)
		}
		if n, err := h.store.Drop(h.t.Context(), "", []uint64{asides[1].ID}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		h.rows = func(_ int, row []byte) *customerio.Ask {
			if string(row) != "2" {
				t.Errorf("row %s is read", row)
			}
			ask := person(2, "email", "a@x.test", "plan", "pro")
			return &ask
		}
		h.transaction(person(1, "email", "b@x.test"))
		h.deliver()
		if p, _ := h.sim.State("").Person("email:a@x.test"); p.ID != "2" || p.Value("plan") != `"pro"` {
			t.Errorf("a@x.test is %+v", p)
		}
		if b := h.books(people); b.Received != 5 || b.Delivered != 4 || b.Discarded != 1 {
			t.Errorf("the books are %+v", b)
		}
	})
}

// TestARowThatCannotBeMappedKeepsNoColumnsPastTheBound, and is read again; an
// event's row keeps all of them.
func TestARowThatCannotBeMappedKeepsNoColumnsPastTheBound(t *testing.T) {
	state.KeepAsides(t, 1)
	bubble(t, func(h *house) {
		for _, mapping := range []int{people, orders} {
			for n := range 2 {
				if err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
					o := h.origin()
					o.Columns = func() []state.Column { return []state.Column{{Name: "bio", State: 2, Text: []byte("long")}} }
					h.end, h.xid = h.end+0x20, h.xid+1
					tx.From(&o)
					tx.Apply(&customerio.Ask{Mapping: mapping, Row: fmt.Append(nil, n), Answer: customerio.Refused, Reason: "too long"})
					tx.Through(h.end, state.Mark{})
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				h.balanced()
			}
		}
		if h.bounded(orders) || !h.bounded(people) {
			t.Error("the bound is for people")
		}
		if n, err := h.store.Retry(h.t.Context(), "", nil); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		h.balanced()
		for _, mapping := range []int{people, orders} {
			rows, err := h.store.Rereads(mapping, 10)
			if err != nil || len(rows) != 2 {
				t.Fatalf("%d rows wait: %v", len(rows), err)
			}
			for n, w := range rows {
				if bare := mapping == people && n == 1; w.Whole == bare || (len(w.Columns) == 0) != bare {
					t.Errorf("row %d of mapping %d waits with %v, whole %v", n, mapping, w.Columns, w.Whole)
				}
			}
		}
	})
}
