package mapping

import (
	"strings"
	"testing"

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
