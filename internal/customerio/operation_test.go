package customerio

import (
	"encoding/json"
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// hostile draws text that a JSON writer may stumble over: quotes, controls,
// bytes that are no UTF-8, surrogates that were encoded as if they were
// characters, and ends of characters cut off.
func hostile() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{
			`"`, `\`, "\n", "\r", "\t", "\b", "\x00", "\x1f", "\x7f", "\u2028", "é", "漢", "😀", "\xff", "\xed\xa0\x80", "\xe6\xbc", "\xf0\x9f", "</script>", "&",
		}), 0, 12), func(parts []string) string { return strings.Join(parts, "") }),
	)
}

// jsonValue draws any JSON value.
func jsonValue() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		text := hostile().Draw(t, "text")
		var v any
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return []byte("null")
		case 1:
			v = rapid.Int64().Draw(t, "number")
		case 2:
			v = rapid.Bool().Draw(t, "bool")
		case 3:
			v = []any{text, nil, map[string]any{"k": text}}
		default:
			return AppendString(nil, text)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// anyOperation draws an operation of any content, within no limit.
func anyOperation() *rapid.Generator[Operation] {
	return rapid.Custom(func(t *rapid.T) Operation {
		op := Operation{
			Kind: Person, Action: Identify, UpdateOnly: rapid.Bool().Draw(t, "update only"),
			Person:    Identifier{rapid.SampledFrom([]IdentifierType{ID, Email, CioID, Phone}).Draw(t, "type"), hostile().Draw(t, "identifier")},
			Timestamp: rapid.Int64().Draw(t, "timestamp"),
		}
		if rapid.Bool().Draw(t, "event") {
			op.Kind, op.Action, op.UpdateOnly = Event, Track, false
			op.Name, op.ID = hostile().Draw(t, "name"), EventULID("m", hostile().Draw(t, "event id"))
		}
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case op.Kind == Event:
		case kind == 0:
			op.Kind, op.Action, op.UpdateOnly = Object, Identify, false
		case kind == 1:
			op.Kind, op.Action, op.UpdateOnly = Relationship, AddRelationship, false
		case kind == 2:
			op.Kind, op.Action, op.UpdateOnly = Device, AddDevice, false
			op.Token = hostile().Draw(t, "token")
		}
		if op.Kind != Person && op.Kind != Event {
			op.Timestamp = 0 // nowhere to be sent
		}
		if op.Kind == Object || op.Kind == Relationship {
			op.ObjectType, op.ObjectID = hostile().Draw(t, "object type"), hostile().Draw(t, "object id")
		}
		for range rapid.IntRange(0, 5).Draw(t, "attributes") {
			op.Attributes = append(op.Attributes, Attribute{Name: hostile().Draw(t, "attribute"), Value: jsonValue().Draw(t, "value")})
		}
		return op
	})
}

// sendable draws an operation as the mapper makes it: within the limits, its
// names one after the other, and with a timestamp.
func sendable() *rapid.Generator[Operation] {
	return rapid.Custom(func(t *rapid.T) Operation {
		id := Identifier{ID, rapid.StringMatching(`[!-~]{1,40}`).Draw(t, "id")}
		if rapid.Bool().Draw(t, "by email") {
			id = Identifier{Email, rapid.StringMatching(`[a-z]{1,20}@[a-z]{1,20}\.test`).Draw(t, "email")}
		}
		op := Operation{Kind: Person, Action: Identify, Person: id, UpdateOnly: rapid.Bool().Draw(t, "update only"), Timestamp: rapid.Int64Range(1, 4_000_000_000).Draw(t, "timestamp")}
		if rapid.Bool().Draw(t, "event") {
			op.Kind, op.Action, op.UpdateOnly = Event, Track, false
			op.Name, op.ID = rapid.StringMatching(`[!-~é漢]{1,30}`).Draw(t, "name"), EventULID("m", hostile().Draw(t, "event id"))
		} else if kind := rapid.IntRange(0, 5).Draw(t, "kind"); kind < 3 {
			op.Kind, op.Timestamp, op.UpdateOnly = []Kind{Object, Relationship, Device}[kind], 0, false
			op.Action = op.Kind.Action()
			if op.Kind == Device {
				op.Token = rapid.StringMatching(`[!-~]{1,40}`).Draw(t, "token")
				op.Attributes = append(op.Attributes, Attribute{Name: FieldPlatform, Value: []byte(`"ios"`)})
				if rapid.Bool().Draw(t, "was used") {
					op.Attributes = append(op.Attributes, Attribute{Name: FieldLastUsed, Value: []byte(`1772013598`)})
				}
			} else {
				op.ObjectType, op.ObjectID = rapid.StringMatching(`[1-9][0-9]{0,3}`).Draw(t, "object type"), rapid.StringMatching(`[!-~]{1,40}`).Draw(t, "object id")
			}
		} else if rapid.Bool().Draw(t, "has an email") {
			op.Attributes = append(op.Attributes, Attribute{Name: "email", Value: []byte(`"a@b.test"`)})
		}
		for i := range rapid.IntRange(0, 8).Draw(t, "attributes") {
			value := jsonValue().Draw(t, "value")
			if valueSize(value) > MaxValue {
				value = []byte("1")
			}
			if op.Kind == Device {
				value = []byte(`"text"`)
			}
			op.Attributes = append(op.Attributes, Attribute{Name: fmt.Sprintf("a%d %s", i, hostile().Draw(t, "attribute")), Value: value})
		}
		if reason := op.Check(); reason != "" {
			t.Fatal(reason)
		}
		return op
	})
}
