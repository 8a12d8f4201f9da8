package mapping

import (
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// TestEventName: it is measured and sent as Customer.io keeps it.
func TestEventName(t *testing.T) {
	o := orders()
	name := strings.Repeat("x", customerio.MaxEventName)
	for _, form := range []string{`" ` + name + `\n"`, `{ expr = "' ' + status + '  '" }`} {
		m := load(t, strings.Replace(orderEvents, `"order"`, form, 1), o)
		ask := mapOne(t, m, insert(o, map[string]any{"id": 1, "user_id": 1, "status": name}), nil)
		if ask.Answer != customerio.In || ask.Operation.Name != name {
			t.Errorf("%s: %s", form, show(ask))
		}
	}
}

// TestEventAtTheEpoch: it is not taken for one without a time, which would be
// new and could start campaigns.
func TestEventAtTheEpoch(t *testing.T) {
	o := orders()
	m := load(t, orderEvents, o)
	for text, want := range map[string]int64{"1970-01-01 00:00:00+00": 1, "1970-01-01 00:00:00.9+00": 1, "1969-12-31 23:59:59+00": -1} {
		ask := mapOne(t, m, insert(o, map[string]any{"id": 1, "user_id": 1, "status": "paid", "paid_at": text}), nil)
		if ask.Operation.Timestamp != want {
			t.Errorf("%s: %d, want %d", text, ask.Operation.Timestamp, want)
		}
	}
}

// TestAnUpdateOfAFreshRowIsWhole: what an update in the transaction of its insert
// does not bring is known from what was to be kept, so the event says what the
// row is then.
func TestAnUpdateOfAFreshRowIsWhole(t *testing.T) {
	o := orders()
	m := load(t, strings.Replace(orderEvents, "status != 'draft'", "len(note) > 3 && status != 'draft'", 1), o)
	rapid.Check(t, func(t *rapid.T) {
		draw := func() map[string]any {
			return map[string]any{
				"id": 1, "user_id": 1, "total": rapid.SampledFrom([]string{"1.50", strings.Repeat("9", 30)}).Draw(t, "total"), "paid_at": nil,
				"status": rapid.SampledFrom([]any{"draft", "paid", strings.Repeat("paid", 10)}).Draw(t, "status"),
				"note":   rapid.SampledFrom([]any{nil, "", "note", strings.Repeat("note", 10), strings.Repeat("note", 10_000)}).Draw(t, "note"),
			}
		}
		row := draw()
		ask := m.Map(nil, insert(o, row), remembered{})[0]
		for range 3 {
			next := maps.Clone(row)
			for name, value := range draw() {
				if rapid.Bool().Draw(t, name+" changes") {
					next[name] = value
				}
			}
			part := maps.Clone(next)
			for _, c := range ask.Keep {
				if next[c.Name] == row[c.Name] {
					delete(part, c.Name) // its value is stored out of line
				}
			}
			kept := customerio.Kept{In: ask.Answer == customerio.In, Fresh: true, Columns: ask.Keep}
			whole := m.Map(nil, &cdc.Change{Kind: cdc.Update, Table: o, New: tuple(o, next), Tx: someTx}, remember(0, ask.Row, customerio.Kept{Fresh: true}))[0]
			ask = m.Map(nil, &cdc.Change{Kind: cdc.Update, Table: o, New: tuple(o, part), Tx: someTx}, remember(0, ask.Row, kept))[0]
			if show(ask) != show(whole) {
				t.Fatalf("with %v: %s, want %s", part, show(ask), show(whole))
			}
			row = next
		}
	})
}
