package state_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// with is an order with an attribute more.
func with(ask customerio.Ask, name, value string) customerio.Ask {
	ask.Operation.Attributes = append(slices.Clone(ask.Operation.Attributes), customerio.Attribute{Name: name, Value: []byte(value)})
	return ask
}

// fresh is what is remembered of an order's row by the transaction now being
// stored.
func (h *house) fresh(row string) (kept customerio.Kept, known bool) {
	h.t.Helper()
	_, open := h.store.Stored()
	if err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
		o := h.origin()
		tx.Begin(open.Commit)
		tx.From(&o)
		kept, known = tx.Row(orders, []byte(row))
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	return kept, known
}

// TestAnAmendedEventSaysWhatItsRowIsNow: what its row does not have any more is
// not sent.
func TestAnAmendedEventSaysWhatItsRowIsNow(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"))
		h.deliver()
		undated := order(1, id(1))
		undated.Operation.Timestamp = 0
		h.mixed([]customerio.Ask{with(order(1, id(1)), "coupon", `"SAVE10"`), with(undated, "total", "5")}, []bool{true, false})
		item := h.must("event id:1")[0]
		if got := string(item.Operation.AppendJSON(nil)); !strings.Contains(got, `{"order":1,"total":5}`) || item.Operation.Timestamp == order(1, id(1)).Operation.Timestamp {
			t.Errorf("sent %s", got)
		}
	})
}

// TestWhatIsRememberedOfAFreshRow: whether its event is queued, and its large
// values, also when its transaction is stored in parts, and after a restart.
func TestWhatIsRememberedOfAFreshRow(t *testing.T) {
	note := []customerio.Column{{Name: "note", Text: []byte("long")}}
	bubble(t, func(h *house) {
		one, two, three := order(1, id(1)), answer(orders, "2", customerio.Out), order(3, id(1))
		one.Keep, two.Keep = note, note
		three.Keep = []customerio.Column{{Name: "note", Text: []byte(strings.Repeat("x", 100_000))}}
		h.part([]customerio.Ask{one, two, three}, false)
		h.open()
		for row, want := range map[string]customerio.Kept{"1": {In: true, Fresh: true, Columns: note}, "2": {Fresh: true, Columns: note}, "3": {In: true, Fresh: true}} {
			if kept, known := h.fresh(row); !known || fmt.Sprint(kept) != fmt.Sprint(want) {
				t.Errorf("of row %s: %v, want %v", row, kept, want)
			}
		}
		if kept, known := h.fresh("4"); known || kept.Fresh {
			t.Errorf("of a row that was not inserted: %v", kept)
		}
		h.updates(nil, true)
		if _, known := h.fresh("1"); known {
			t.Error("it is remembered past its transaction")
		}
	})
}

// TestAnEventOfWhichTooLittleIsKnownIsRead: an update in the transaction of its
// insert that does not say all of it neither withdraws it nor leaves it as it was.
func TestAnEventOfWhichTooLittleIsKnownIsRead(t *testing.T) {
	unsure, partial := answer(orders, "1", customerio.Unsure), order(1, id(1))
	unsure.Missing, partial.Partial = true, true
	refused := answer(orders, "1", customerio.Refused)
	refused.Reason = "no"
	for _, first := range []customerio.Ask{order(1, id(1)), answer(orders, "1", customerio.Out), refused} {
		for _, second := range []customerio.Ask{unsure, partial} {
			bubble(t, func(h *house) {
				h.transaction(person(1, "plan", "a"))
				h.deliver()
				h.mixed([]customerio.Ask{first, second}, []bool{true, false})
				h.must()
				h.rows = func(int, []byte) *customerio.Ask {
					ask := with(order(1, id(1)), "note", `"read"`)
					return &ask
				}
				h.deliver()
				b := h.books(orders)
				if last := h.sent[len(h.sent)-1]; len(h.sent) != 2 || !strings.Contains(last, `"note":"read"`) {
					t.Errorf("first %d, then %d: sent %q", first.Answer, second.Answer, h.sent)
				}
				if b.Received != 2 || b.Delivered+b.Filtered != 2 || b.Delivered == 0 {
					t.Errorf("first %d, then %d: the books are %+v", first.Answer, second.Answer, b)
				}
			})
		}
	}
}

// TestARefusedInsertThatIsUndone in its own transaction is no event: nothing of
// it stays parked.
func TestARefusedInsertThatIsUndone(t *testing.T) {
	refused := answer(orders, "1", customerio.Refused)
	refused.Reason = "no"
	rekeyed := refused
	rekeyed.Row, rekeyed.PriorRow = []byte("2"), []byte("1")
	for _, later := range [][]customerio.Ask{
		{answer(orders, "1", customerio.Gone)},
		{answer(orders, "1", customerio.Out)},
		{refused, answer(orders, "1", customerio.Gone)},
		{rekeyed, answer(orders, "2", customerio.Gone)},
	} {
		bubble(t, func(h *house) {
			h.part([]customerio.Ask{refused}, false)
			h.updates(later, true)
			if b := h.books(orders); b.Parked != 0 || b.Filtered == 0 || b.Filtered+b.Ignored != uint64(1+len(later)) {
				t.Errorf("then %d: the books are %+v", later[0].Answer, b)
			}
			if asides := h.asides(); len(asides) != 0 {
				t.Errorf("then %d: parked %+v", later[0].Answer, asides)
			}
		})
	}
	bubble(t, func(h *house) { // another row had the key before
		h.transaction(refused)
		h.mixed([]customerio.Ask{answer(orders, "1", customerio.Out), answer(orders, "1", customerio.Gone)}, []bool{true, false})
		if b := h.books(orders); b.Parked != 1 || b.Filtered != 1 || b.Ignored != 1 {
			t.Errorf("the books are %+v", b)
		}
	})
}
