package state_test

import (
	"fmt"
	"testing"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// unkeyed are changes that do not tell their row's key, one a transaction, each
// with a column.
func (h *house) unkeyed(mapping int, insert bool, notes ...string) {
	h.t.Helper()
	for _, note := range notes {
		if err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
			o := h.origin()
			o.Insert = insert
			o.Columns = func() []state.Column { return []state.Column{{Name: "note", State: 2, Text: []byte(note)}} }
			h.end, h.xid = h.end+0x20, h.xid+1
			tx.From(&o)
			tx.Apply(&customerio.Ask{Mapping: mapping, Answer: customerio.Refused, Reason: "the key has gone"})
			tx.Through(h.end, state.Mark{})
			return nil
		}); err != nil {
			h.t.Fatal(err)
		}
		h.balanced()
	}
}

// waitingRows are the rows that wait to be read again.
func (h *house) waitingRows(mapping int) []*state.Waiting {
	h.t.Helper()
	rows, err := h.store.Rereads(mapping, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	return rows
}

// eachWaiting does something to every row that waits to be read.
func (h *house) eachWaiting(mapping int, do func(tx *state.Tx, w *state.Waiting)) {
	h.t.Helper()
	rows := h.waitingRows(mapping)
	if err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
		for _, row := range rows {
			w, ok := tx.WaitingRow(mapping, row.Row)
			if !ok {
				h.t.Errorf("row %q does not wait", row.Row)
			}
			do(tx, w)
		}
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	h.balanced()
}

// TestChangesThatDoNotTellTheirRow are an entry each, with what each brought.
func TestChangesThatDoNotTellTheirRow(t *testing.T) {
	for _, mapping := range []int{people, orders} {
		bubble(t, func(h *house) {
			h.unkeyed(mapping, true, "one", "two", "three")
			if mapping == orders { // of no event, as far as can be known
				h.unkeyed(mapping, false, "four")
			}
			asides := h.asides()
			if len(asides) != 3 {
				t.Fatalf("%+v", asides)
			}
			if n, err := h.store.Drop(h.t.Context(), "", []uint64{asides[0].ID}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if n, err := h.store.Retry(h.t.Context(), "", nil); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			h.open()
			for i, w := range h.waitingRows(mapping) {
				if want := []string{"two", "three"}[i]; !w.Unkeyed() || !w.Whole || len(w.Columns) != 1 || string(w.Columns[0].Text) != want {
					t.Errorf("%q waits with %v, want %s", w.Row, w.Columns, want)
				}
			}
			h.eachWaiting(mapping, func(tx *state.Tx, w *state.Waiting) {
				if string(w.Columns[0].Text) == "two" {
					tx.Keyed(w, []byte("2"))
				} else {
					tx.SetAside(w, "it cannot be told")
				}
			})
			rows := h.waitingRows(mapping)
			if len(rows) != 1 || string(rows[0].Row) != "2" || rows[0].Unkeyed() || rows[0].Whole != (mapping == orders) {
				t.Fatalf("%+v wait", rows)
			}
			if asides = h.asides(); len(asides) != 1 || asides[0].Reason != "it cannot be told" || asides[0].Changes != 1 {
				t.Errorf("parked is %+v", asides)
			}
			h.rows = func(_ int, row []byte) *customerio.Ask {
				ask := person(2, "plan", "b")
				if mapping == orders {
					ask = order(2, id(2))
				}
				return &ask
			}
			h.deliver()
			if b := h.books(mapping); b.Parked != 1 || b.Discarded != 1 || b.Delivered != 1 || b.Waiting != 0 {
				t.Errorf("the books are %+v", b)
			}
			if n, err := h.store.Retry(h.t.Context(), "", nil); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if rows = h.waitingRows(mapping); len(rows) != 1 || len(rows[0].Columns) != 1 {
				t.Errorf("%+v wait", rows)
			}
		})
	}
}

// TestAKeyThatIsFoundLateBringsNoOldValueBack: its row may have said more since,
// or wait for more.
func TestAKeyThatIsFoundLateBringsNoOldValueBack(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		h.unkeyed(people, false, "old", "older")
		missing := person(1, "plan", "b")
		missing.Missing = true
		h.updates([]customerio.Ask{missing}, true)
		xid := h.xid - 1
		if n, err := h.store.Retry(h.t.Context(), "", nil); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		h.eachWaiting(people, func(tx *state.Tx, w *state.Waiting) {
			if w.Unkeyed() {
				tx.Keyed(w, []byte("1"))
			}
		})
		rows := h.waitingRows(people)
		if len(rows) != 1 || len(rows[0].Columns) != 0 || rows[0].Seen(func(x uint64) bool { return x < xid }) || !rows[0].Seen(func(x uint64) bool { return x <= xid }) {
			t.Fatalf("%+v wait", rows)
		}
		h.rows = func(int, []byte) *customerio.Ask {
			ask := person(1, "plan", "b", "bio", "long")
			return &ask
		}
		h.deliver()
		if b := h.books(people); h.value("id:1", "plan") != `"b"` || b.Received != 4 || b.Waiting+b.Parked != 0 {
			t.Errorf("the plan is %s, the books are %+v", h.value("id:1", "plan"), b)
		}
	})
}

// TestChangesThatDoNotTellTheirRowAreBounded: past the bound they share an entry.
func TestChangesThatDoNotTellTheirRowAreBounded(t *testing.T) {
	state.KeepAsides(t, 2)
	bubble(t, func(h *house) {
		h.unkeyed(people, false, "1", "2", "3", "4", "5")
		asides := h.asides()
		if len(asides) != 3 || asides[2].Changes != 3 || !asides[2].Refetch {
			t.Fatalf("%+v", asides)
		}
		if n, err := h.store.Retry(h.t.Context(), "", nil); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		h.unkeyed(people, false, "6", "7", "8")
		h.eachWaiting(people, func(tx *state.Tx, w *state.Waiting) { tx.SetAside(w, fmt.Sprint(len(w.Columns))) })
		if b := h.books(people); b.Parked != 8 || b.Waiting != 0 {
			t.Errorf("the books are %+v: %+v", b, h.asides())
		}
	})
}
