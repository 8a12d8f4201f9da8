package mapping

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

const plainPeople = `
[[mapping]]
name = "people"
table = "users"
object = "person"
behavior = "update_or_create"
person = { id = "id" }
where = "deleted_at == nil"
[mapping.attributes]
email = "email"
plan = { column = "plan", nulls = "skip" }
full = { expr = "first_name + ' ' + last_name" }
score = "score"
meta = "meta"
`

const orderEvents = `
[[mapping]]
name = "orders"
table = "orders"
object = "event"
behavior = "append"
person = { id = "user_id" }
event = "order"
event_id = "id"
timestamp = "paid_at"
where = "status != 'draft'"
backfill = true
[mapping.attributes]
total = "total"
note = "note"
`

const phoneDevices = `
[[mapping]]
name = "devices"
table = "phones"
object = "device"
behavior = "update_or_create"
person = { id = "user_id" }
token = "token"
platform = { column = "os" }
last_used = "used"
[mapping.attributes]
beta = "beta"
build = "build"
info = "info"
seen = { column = "used", as = "number" }
fixed = { value = 7 }
flag = { expr = "beta" }
`

const starDevices = `
[[mapping]]
name = "star"
table = "phones"
object = "device"
behavior = "update_or_create"
person = { id = "user_id" }
token = "token"
platform = { value = "ios" }
[mapping.attributes]
"*" = true
except = ["id", "user_id", "token", "os"]
`

const accountObjects = `
[[mapping]]
name = "accounts"
table = "seats"
object = "object"
behavior = "update_or_create"
object_type = { column = "kind" }
object_id = "account"
[mapping.attributes]
note = "note"

[[mapping]]
name = "seats"
table = "seats"
object = "relationship"
behavior = "update_or_create"
person = { id = "user_id" }
object_type = "1"
object_id = "account"
[mapping.attributes]
role = "role"
`

// key1 is the encoded key of a row with one integer key.
func key1(n int) []byte { return EncodeKey(nil, KeyColumn{true, fmt.Append(nil, n)}) }

// row and the kinds below build changes for the table of TestMap.
type step struct {
	name string
	// The change: new and old, of which a missing column was not sent.
	kind     cdc.Kind
	new, old map[string]any
	keyOnly  bool
	rows     Rows
}

func (s step) change(t *cdc.Table) *cdc.Change {
	c := &cdc.Change{Kind: s.kind, Table: t, KeyOnly: s.keyOnly, Tx: someTx}
	if s.new != nil {
		c.New = tuple(t, s.new)
	}
	if s.old != nil {
		c.Old = tuple(t, s.old)
	}
	return c
}

func merged(base map[string]any, with ...any) map[string]any {
	m := maps.Clone(base)
	for i := 0; i < len(with); i += 2 {
		if with[i+1] == "absent" {
			delete(m, with[i].(string))
			continue
		}
		m[with[i].(string)] = with[i+1]
	}
	return m
}

// TestMap is what people and events answer to every kind of change.
func TestMap(t *testing.T) {
	u, o := users(), orders()
	m := load(t, plainPeople+orderEvents, u, o)
	ada := map[string]any{"id": 1, "email": "a@b.c", "first_name": "Ada", "last_name": "L", "plan": "pro", "deleted_at": nil, "score": "1.50", "meta": `{"a": 1}`}
	order := map[string]any{"id": 900, "user_id": 1, "total": "12.50", "status": "paid", "paid_at": "2024-01-31 12:00:00+00", "note": "n"}
	in := remember(0, key1(1), customerio.Kept{In: true})
	out := remember(0, key1(1), customerio.Kept{})
	fresh := remember(1, key1(900), customerio.Kept{In: true, Fresh: true})
	kept := remember(1, key1(900), customerio.Kept{In: true, Fresh: true, Columns: []customerio.Column{{Name: "note", Text: []byte("a note of some length")}}})
	long := strings.Repeat("x", 1001)

	people := []step{
		{name: "insert", kind: cdc.Insert, new: ada},
		{name: "read", kind: cdc.Read, new: ada},
		{name: "update", kind: cdc.Update, new: ada},
		{name: "where is false", kind: cdc.Update, new: merged(ada, "deleted_at", "2024-01-01 00:00:00+00")},
		{name: "identifier is null", kind: cdc.Update, new: merged(ada, "id", nil)},
		{name: "nulls", kind: cdc.Update, new: merged(ada, "email", nil, "plan", nil, "first_name", nil, "score", nil, "meta", "null")},
		{name: "a large value is unchanged", kind: cdc.Update, new: merged(ada, "email", "absent", "meta", "absent")},
		{name: "a large value is unchanged, old row complete", kind: cdc.Update, new: merged(ada, "email", "absent"), old: ada},
		{name: "a large value is unchanged, old row only a key", kind: cdc.Update, new: merged(ada, "email", "absent"), old: merged(ada, "id", 7, "email", nil), keyOnly: true},
		{name: "an expression's column is unchanged", kind: cdc.Update, new: merged(ada, "last_name", "absent")},
		{name: "where reads what was not sent, row was in", kind: cdc.Update, new: merged(ada, "deleted_at", "absent"), rows: in},
		{name: "where reads what was not sent, row was out", kind: cdc.Update, new: merged(ada, "deleted_at", "absent"), rows: out},
		{name: "where reads what was not sent, row unknown", kind: cdc.Update, new: merged(ada, "deleted_at", "absent")},
		{name: "where reads what was not sent, key changed", kind: cdc.Update, new: merged(ada, "deleted_at", "absent", "id", 2), old: map[string]any{"id": 1}, keyOnly: true, rows: in},
		{name: "key changed", kind: cdc.Update, new: merged(ada, "id", 2), old: map[string]any{"id": 1}, keyOnly: true},
		{name: "delete", kind: cdc.Delete, old: map[string]any{"id": 1, "email": nil}, keyOnly: true},
		{name: "delete without the key", kind: cdc.Delete, old: map[string]any{"email": "a@b.c"}},
		{name: "truncate", kind: cdc.Truncate},
		{name: "a number that JSON lacks", kind: cdc.Insert, new: merged(ada, "score", "NaN")},
		{name: "value too long", kind: cdc.Insert, new: merged(ada, "email", long)},
	}
	events := []step{
		{name: "insert", kind: cdc.Insert, new: order},
		{name: "where is false", kind: cdc.Insert, new: merged(order, "status", "draft")},
		{name: "where is null", kind: cdc.Insert, new: merged(order, "status", nil)},
		{name: "nobody's", kind: cdc.Insert, new: merged(order, "user_id", nil)},
		{name: "without a time", kind: cdc.Insert, new: merged(order, "paid_at", nil)},
		{name: "read", kind: cdc.Read, new: order},
		{name: "read without a time", kind: cdc.Read, new: merged(order, "paid_at", nil)},
		{name: "time is infinite", kind: cdc.Insert, new: merged(order, "paid_at", "infinity")},
		{name: "update", kind: cdc.Update, new: order},
		{name: "update in its own transaction", kind: cdc.Update, new: merged(order, "total", "20.00"), rows: fresh},
		{name: "update in its own transaction, large value unchanged", kind: cdc.Update, new: merged(order, "note", "absent"), rows: fresh},
		{name: "update in its own transaction, large value unchanged and kept", kind: cdc.Update, new: merged(order, "note", "absent"), rows: kept},
		{name: "update in its own transaction, large value replaced", kind: cdc.Update, new: merged(order, "note", nil), rows: kept},
		{name: "update in its own transaction, where was not sent", kind: cdc.Update, new: merged(order, "status", "absent"), rows: fresh},
		{name: "update in its own transaction, where was not sent, no event so far", kind: cdc.Update, new: merged(order, "status", "absent"), rows: remember(1, key1(900), customerio.Kept{Fresh: true})},
		{name: "insert with large values", kind: cdc.Insert, new: merged(order, "note", "a note of some length", "status", "as long as a large one")},
		{name: "update in its own transaction, where is false", kind: cdc.Update, new: merged(order, "status", "draft"), rows: fresh},
		{name: "update of its key in its own transaction", kind: cdc.Update, new: merged(order, "id", 901), old: map[string]any{"id": 900}, keyOnly: true, rows: fresh},
		{name: "delete", kind: cdc.Delete, old: map[string]any{"id": 900}, keyOnly: true},
		{name: "delete in its own transaction", kind: cdc.Delete, old: map[string]any{"id": 900}, keyOnly: true, rows: fresh},
		{name: "truncate", kind: cdc.Truncate},
		{name: "nulls are data too, and long values", kind: cdc.Insert, new: merged(order, "total", nil, "note", long)},
		{name: "too large as a whole", kind: cdc.Insert, new: merged(order, "note", strings.Repeat("y", 40_000))},
	}
	phone := map[string]any{"id": 1, "user_id": 42, "token": "tok", "os": "iOS", "used": "2024-01-31 12:00:00.9+00", "beta": "t", "build": 7, "info": `{"a": 1}`}
	devices := []step{
		{name: "insert", kind: cdc.Insert, new: phone},
		{name: "nulls", kind: cdc.Insert, new: merged(phone, "used", nil, "beta", nil, "build", nil, "info", nil)},
		{name: "update", kind: cdc.Update, new: merged(phone, "os", "ANDROID")},
		{name: "a large value is unchanged", kind: cdc.Update, new: merged(phone, "info", "absent")},
		{name: "nobody's", kind: cdc.Insert, new: merged(phone, "user_id", nil)},
		{name: "without a token", kind: cdc.Insert, new: merged(phone, "token", nil)},
		{name: "the token was not sent", kind: cdc.Update, new: merged(phone, "token", "absent")},
		{name: "the platform was not sent", kind: cdc.Update, new: merged(phone, "os", "absent")},
		{name: "another platform", kind: cdc.Insert, new: merged(phone, "os", "web")},
		{name: "without a platform", kind: cdc.Insert, new: merged(phone, "os", nil)},
		{name: "last used for ever", kind: cdc.Insert, new: merged(phone, "used", "infinity")},
		{name: "a token that is too long", kind: cdc.Insert, new: merged(phone, "token", strings.Repeat("t", 3001))},
		{name: "delete", kind: cdc.Delete, old: map[string]any{"id": 1}, keyOnly: true},
	}
	seat := map[string]any{"id": 1, "user_id": 42, "kind": 3, "account": "acme", "role": "admin", "note": "n"}
	things := []step{
		{name: "insert", kind: cdc.Insert, new: seat},
		{name: "nulls remove", kind: cdc.Insert, new: merged(seat, "role", nil)},
		{name: "a large value is unchanged", kind: cdc.Update, new: merged(seat, "note", "absent")},
		{name: "without a person", kind: cdc.Insert, new: merged(seat, "user_id", nil)},
		{name: "without an object", kind: cdc.Insert, new: merged(seat, "account", nil)},
		{name: "a type that is no number", kind: cdc.Insert, new: merged(seat, "kind", "company")},
		{name: "an id that is too long", kind: cdc.Insert, new: merged(seat, "account", strings.Repeat("a", 151))},
		{name: "a value that is too long", kind: cdc.Insert, new: merged(seat, "note", long)},
	}
	d, s := phones(), seats()
	starred := mapOne(t, load(t, starDevices, d), step{kind: cdc.Insert, new: merged(phone, "beta", nil)}.change(d), nil)
	if got, want := string(starred.Operation.AppendJSON(nil)), `{"type":"person","action":"add_device","identifiers":{"id":"42"},"device":{"token":"tok","platform":"ios","attributes":{"used":"1706702400","build":"7","info":"{\"a\":1}"}}}`; got != want {
		t.Errorf("all columns of a device are sent as\n%s, want\n%s", got, want)
	}
	m3 := load(t, phoneDevices, d)
	m4 := load(t, accountObjects, s)
	var b strings.Builder
	for i, steps := range [][]step{people, events, devices, things} {
		tbl := []*cdc.Table{u, o, d, s}[i]
		if i == 3 {
			for _, one := range steps {
				fmt.Fprintln(&b, one.name)
				for _, ask := range m4.Map(nil, one.change(tbl), one.rows) {
					text := show(ask)
					if len(text) > 400 {
						text = text[:400] + "…"
					}
					fmt.Fprintf(&b, "  %s\n", text)
				}
			}
			continue
		}
		m := []*Mapper{m, m, m3}[i]
		for _, s := range steps {
			ask := mapOne(t, m, s.change(tbl), s.rows)
			text := show(ask)
			if len(text) > 400 {
				text = text[:400] + "…"
			}
			fmt.Fprintf(&b, "%s\n  %s\n", s.name, text)
			if isEvent := i == 1 && ask.Answer != customerio.Ignored && ask.Answer != customerio.Truncated; isEvent && ask.EventKey == [16]byte{} {
				fmt.Fprintf(&b, "    without an event key\n")
			}
		}
	}
	golden(t, "testdata/map.txt", b.String())
}

// TestWhereOverAChangedAndAnUnsentColumn: the answer from before holds only
// where the change brought nothing that `where` reads.
func TestWhereOverAChangedAndAnUnsentColumn(t *testing.T) {
	u := users()
	m := load(t, strings.Replace(plainPeople, "deleted_at == nil", "active && len(plan) > 3", 1), u)
	row := map[string]any{}
	for _, name := range tableColumns(u) {
		row[name] = nil
	}
	row = merged(row, "id", 1, "active", "t", "plan", "large")
	for _, c := range []struct {
		absent []any
		rows   Rows
		want   customerio.Answer
	}{
		{nil, nil, customerio.In},
		{[]any{"plan", "absent"}, remember(0, key1(1), customerio.Kept{In: true}), customerio.Unsure},
		{[]any{"plan", "absent"}, remember(0, key1(1), customerio.Kept{}), customerio.Unsure},
		{[]any{"plan", "absent"}, nil, customerio.Unsure},
		{[]any{"plan", "absent", "active", "absent"}, remember(0, key1(1), customerio.Kept{In: true}), customerio.In},
		{[]any{"plan", "absent", "active", "absent"}, remember(0, key1(1), customerio.Kept{}), customerio.Out},
		{[]any{"plan", "absent", "active", "absent"}, nil, customerio.Unsure},
	} {
		s := step{kind: cdc.Update, new: merged(row, c.absent...)}
		if got := mapOne(t, m, s.change(u), c.rows); got.Answer != c.want || got.Missing != (c.absent != nil) {
			t.Errorf("without %v, remembered %v: %s", c.absent, c.rows, show(got))
		}
	}
}

// TestAbsentIsNotNull is law 11: taking columns out of a row never changes what
// the rest says, never turns into null, and is never silent.
func TestAbsentIsNotNull(t *testing.T) {
	u := users()
	m := load(t, plainPeople, u)
	names := tableColumns(u)
	rapid.Check(t, func(t *rapid.T) {
		values := randomRow(t, u)
		whole := m.Map(nil, &cdc.Change{Kind: cdc.Update, Table: u, New: tuple(u, values), Tx: someTx}, remembered{})[0]
		gone := rapid.SliceOfDistinct(rapid.SampledFrom(names[1:]), rapid.ID).Draw(t, "absent")
		part := maps.Clone(values)
		for _, name := range gone {
			delete(part, name)
		}
		rows := remember(0, whole.Row, customerio.Kept{In: true})
		got := m.Map(nil, &cdc.Change{Kind: cdc.Update, Table: u, New: tuple(u, part), Tx: someTx}, rows)[0]
		if slices.Contains(gone, "deleted_at") {
			if got.Answer != customerio.In && got.Answer != customerio.Refused || got.Answer == customerio.In && !got.Missing {
				t.Fatalf("where could not be judged, and the answer is %s", show(got))
			}
			return
		}
		if got.Answer != whole.Answer {
			t.Fatalf("%s, but with all columns %s", show(got), show(whole))
		}
		reads := map[string][]string{"email": {"email"}, "plan": {"plan"}, "full": {"first_name", "last_name"}, "score": {"score"}, "meta": {"meta"}}
		var want []string
		for _, a := range whole.Operation.Attributes {
			lost := false
			for _, column := range reads[a.Name] {
				lost = lost || slices.Contains(gone, column)
			}
			if !lost {
				want = append(want, a.Name+"="+string(a.Value))
			}
		}
		var have []string
		for _, a := range got.Operation.Attributes {
			have = append(have, a.Name+"="+string(a.Value))
		}
		if !slices.Equal(want, have) {
			t.Fatalf("without %v: %v, want %v", gone, have, want)
		}
		if len(want) < len(whole.Operation.Attributes) && !got.Missing && !got.Partial {
			t.Fatal("attributes are missing and the ask does not say so")
		}
	})
}

// randomRow draws a value or null for each column.
func randomRow(t *rapid.T, tbl *cdc.Table) map[string]any {
	row := map[string]any{}
	for _, c := range tbl.Columns {
		var texts []string
		for _, v := range zoo {
			if v.typ == c.Type.Name {
				texts = append(texts, v.text)
			}
		}
		g := rapid.OneOf(rapid.Just(any(nil)), rapid.Map(rapid.SampledFrom(append(texts, "1")), func(s string) any { return s }))
		row[c.Name] = g.Draw(t, c.Name)
	}
	if row["id"] == nil {
		row["id"] = 1
	}
	return row
}

// TestNeverPanics maps random tuples, of nonsense too, and looks at what comes
// out: JSON, within the limits, with an answer that hangs together.
func TestNeverPanics(t *testing.T) {
	u, o := users(), orders()
	m := load(t, peopleFile+strings.Replace(orderEvents, "[mapping.attributes]", "[mapping.attributes]\n\"*\" = true\nx = { expr = \"total * 2 > 10 ? note[0:3] : status\" }", 1), u, o)
	rapid.Check(t, func(t *rapid.T) {
		tbl := rapid.SampledFrom([]*cdc.Table{u, o}).Draw(t, "table")
		draw := func(name string) cdc.Tuple {
			columns := make([]cdc.Column, rapid.SampledFrom([]int{0, 1, len(tbl.Columns), len(tbl.Columns)}).Draw(t, name))
			for i := range columns {
				columns[i].State = rapid.SampledFrom([]cdc.State{cdc.Absent, cdc.Null, cdc.Present, cdc.Present}).Draw(t, "state")
				columns[i].Text = []byte(rapid.OneOf(rapid.SampledFrom([]string{"1", "t", "x", "", "{", "{1,2}", "2024-01-01", "1.5", strings.Repeat("z", 2000)}), rapid.String()).Draw(t, "text"))
			}
			return cdc.NewTuple(columns...)
		}
		c := &cdc.Change{Kind: rapid.SampledFrom([]cdc.Kind{cdc.Insert, cdc.Update, cdc.Delete, cdc.Truncate, cdc.Read}).Draw(t, "kind"),
			KeyOnly: rapid.Bool().Draw(t, "key only"), Table: tbl, New: draw("new"), Old: draw("old"), Tx: someTx}
		m.Keys(&cdc.Batch{Changes: []cdc.Change{*c}}, func(Touch) {})
		for _, a := range m.Map(nil, c, always{customerio.Kept{In: true, Fresh: rapid.Bool().Draw(t, "fresh")}}) {
			if (a.Answer == customerio.Refused) != (a.Reason != "") {
				t.Fatalf("a reason and an answer that do not go together: %s", show(a))
			}
			if a.Answer != customerio.In {
				continue
			}
			text := a.Operation.AppendJSON(nil)
			if !json.Valid(text) {
				t.Fatalf("not JSON: %s", text)
			}
			if reason := a.Operation.Check(); reason != "" {
				t.Fatalf("%s: %s", reason, text)
			}
			if a.Row == nil {
				t.Fatal("no row key")
			}
		}
	})
}

type always struct{ kept customerio.Kept }

func (a always) Row(int, []byte) (customerio.Kept, bool) { return a.kept, true }

// TestStable: the same row is the same operation, whatever was mapped before.
func TestStable(t *testing.T) {
	u := users()
	a, b := load(t, peopleFile, u), load(t, peopleFile, u)
	rapid.Check(t, func(t *rapid.T) {
		c := insert(u, randomRow(t, u))
		x, y := show(a.Map(nil, c, remembered{})[0]), show(b.Map(nil, c, remembered{})[0])
		b.Reset()
		if x != y {
			t.Fatalf("%s\n%s", x, y)
		}
	})
}

// TestArena: asks outlive the change and the asks after them, until Reset.
func TestArena(t *testing.T) {
	u := users()
	m := load(t, plainPeople, u)
	var asks []customerio.Ask
	var want []string
	for i := range 3000 {
		c := insert(u, map[string]any{"id": i, "email": fmt.Sprint(i, strings.Repeat("e", i%900)), "plan": "p"})
		asks = m.Map(asks, c, remembered{})
		want = append(want, show(asks[i]))
	}
	for i := range asks {
		if got := show(asks[i]); got != want[i] {
			t.Fatalf("ask %d changed: %s, was %s", i, got, want[i])
		}
	}
}

// TestLargeValueIsNotKept: law 12, a row's size is not held when it is done with.
func TestLargeValueIsNotKept(t *testing.T) {
	u := users()
	m := load(t, plainPeople, u)
	for range 2 {
		ask := mapOne(t, m, insert(u, map[string]any{"id": 1, "email": strings.Repeat("x", 20<<20), "plan": "pro"}), nil)
		if len(ask.Left) != 1 || show(ask) == "" {
			t.Fatal(show(ask))
		}
	}
	m.Reset()
	mapOne(t, m, insert(u, map[string]any{"id": 2, "plan": "pro"}), nil)
	if n := cap(m.arena.bytes); n > maxChunk {
		t.Errorf("%d bytes are kept", n)
	}
}
