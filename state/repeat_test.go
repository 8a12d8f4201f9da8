package state_test

import (
	"maps"
	"testing"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// TestUpdateOnlyIsSaidAgainWhenItsAddressIsGiven: the row names an address that
// somebody comes to have who has long been there, or who takes it over.
func TestUpdateOnlyIsSaidAgainWhenItsAddressIsGiven(t *testing.T) {
	bubble(t, func(h *house) {
		contact := set(contacts, "a", email("a@x.test"), "note", "hello")
		h.rows = func(mapping int, _ []byte) *customerio.Ask { return &contact }
		h.transaction(person(1, "plan", "free"), person(2, "plan", "free"))
		h.deliver()
		h.transaction(contact)
		h.deliver()
		h.transaction(person(1, "plan", "free", "email", "a@x.test"))
		h.deliver()
		if v := h.value("id:1", "note"); v != `"hello"` {
			t.Errorf("the one who got the address: note %s", v)
		}
		h.transaction(person(1, "plan", "free", "email", "b@x.test"), person(2, "plan", "free", "email", "a@x.test"))
		h.deliver()
		if v := h.value("id:2", "note"); v != `"hello"` {
			t.Errorf("the one who took it over: note %s", v)
		}
		before := len(h.sent)
		h.transaction(person(2, "plan", "pro", "email", "a@x.test"))
		h.deliver()
		if len(h.sent) != before+1 {
			t.Errorf("a person who keeps the address: %q", h.sent[before:])
		}
	})
}

// TestWhatRestsIsNotInFlight: it is with the sink, but waits for its next try.
func TestWhatRestsIsNotInFlight(t *testing.T) {
	bubble(t, func(h *house) {
		flying := func() (changes uint64, steps int) {
			st, err := h.store.Status()
			if err != nil {
				t.Fatal(err)
			}
			return st.Mappings[people].InFlight, st.Workspaces[0].InFlight
		}
		h.transaction(person(1, "plan", "a"), person(2, "plan", "a"))
		items := h.must("identify id:1", "identify id:2")
		items[0].Rest(true)
		if changes, steps := flying(); changes != 1 || steps != 1 {
			t.Errorf("%d changes, %d steps are in flight beside one that rests", changes, steps)
		}
		items[0].Rest(false)
		if changes, steps := flying(); changes != 2 || steps != 2 {
			t.Errorf("%d changes, %d steps are in flight", changes, steps)
		}
		h.send(items)
	})
}

// TestRetryKeepsWhatALaterChangeBrought: a row is parked, gets another key by a
// change that must wait to be read, and then all that is parked is tried again.
func TestRetryKeepsWhatALaterChangeBrought(t *testing.T) {
	bubble(t, func(h *house) {
		store := func(ask customerio.Ask, columns ...state.Column) {
			t.Helper()
			if err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
				o := h.origin()
				o.Insert, o.Columns = ask.PriorRow == nil, func() []state.Column { return columns }
				h.end, h.xid = h.end+0x20, h.xid+1
				tx.From(&o)
				tx.Apply(&ask)
				tx.Through(h.end, state.Mark{})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			h.balanced()
		}
		text := func(name, value string) state.Column { return state.Column{Name: name, State: 2, Text: []byte(value)} }
		store(customerio.Ask{Row: []byte("1"), Answer: customerio.Refused, Reason: "too long"}, text("id", "1"), text("bio", "long"), text("plan", "a"))
		store(customerio.Ask{Row: []byte("2"), PriorRow: []byte("1"), Answer: customerio.Unsure}, text("id", "2"), state.Column{Name: "bio"}, text("plan", "b"))
		if n, err := h.store.Retry(h.t.Context(), "", nil); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		h.balanced()
		rows, err := h.store.Rereads(people, 10)
		if err != nil || len(rows) != 1 || string(rows[0].Row) != "2" {
			t.Fatalf("%d rows wait: %v", len(rows), err)
		}
		got := map[string]string{}
		for _, c := range rows[0].Columns {
			got[c.Name] = string(c.Text)
		}
		if want := map[string]string{"id": "2", "bio": "long", "plan": "b"}; !maps.Equal(got, want) {
			t.Errorf("the row waits with %v, want %v", got, want)
		}
	})
}
