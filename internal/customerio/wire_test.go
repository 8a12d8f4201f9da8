package customerio

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/internal/simulator/schema"
)

func TestWireForm(t *testing.T) {
	for name, c := range map[string]struct {
		op   Operation
		want string
	}{
		"identify": {
			Operation{Action: Identify, Person: Identifier{ID, "42"}, Timestamp: 1772013598, Attributes: []Attribute{
				{Name: "email", Value: []byte(`"a@b.c"`)}, {Name: "plan", Value: []byte(`"pro"`)}, {Name: "old", Value: []byte(`null`)},
			}},
			`{"type":"person","action":"identify","identifiers":{"id":"42"},"timestamp":1772013598,"attributes":{"email":"a@b.c","plan":"pro","old":null}}`,
		},
		"identify without attributes": {
			Operation{Action: Identify, Person: Identifier{Email, "A@b.c"}, Timestamp: 1},
			`{"type":"person","action":"identify","identifiers":{"email":"A@b.c"},"timestamp":1,"attributes":{}}`,
		},
		"update only": {
			Operation{Action: Identify, Person: Identifier{CioID, "a3000001"}, UpdateOnly: true, Timestamp: 1, Attributes: []Attribute{{Name: "tier", Value: []byte(`1.50`)}}},
			`{"type":"person","action":"identify","identifiers":{"cio_id":"a3000001"},"timestamp":1,"attributes":{"_update":true,"tier":1.50}}`,
		},
		"event": {
			Operation{Action: Track, Person: Identifier{ID, `4"2`}, Name: "Ordered\ttwice", ID: "0000000000ZWJAEW0H1E8B4K2J", Timestamp: 1772013598, Attributes: []Attribute{{Name: "total", Value: []byte(`29.99`)}}},
			`{"type":"person","action":"event","identifiers":{"id":"4\"2"},"name":"Ordered\ttwice","id":"0000000000ZWJAEW0H1E8B4K2J","timestamp":1772013598,"attributes":{"total":29.99}}`,
		},
		"object": {
			Operation{Kind: Object, Action: Identify, ObjectType: "1", ObjectID: `a"b`, Timestamp: 5, Attributes: []Attribute{{Name: "name", Value: []byte(`"Acme"`)}, {Name: "gone", Value: []byte("null")}}},
			`{"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"a\"b"},"attributes":{"name":"Acme","gone":null}}`,
		},
		"relationship": {
			Operation{Kind: Relationship, Action: AddRelationship, Person: Identifier{ID, "42"}, ObjectType: "1", ObjectID: "acme", Timestamp: 5, Attributes: []Attribute{{Name: "role", Value: []byte(`"admin"`)}}},
			`{"type":"person","action":"add_relationships","identifiers":{"id":"42"},"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"acme"},"relationship_attributes":{"role":"admin"}}]}`,
		},
		"device": {
			Operation{Kind: Device, Action: AddDevice, Person: Identifier{ID, "42"}, Token: "tok", Timestamp: 5, Attributes: []Attribute{
				{Name: FieldPlatform, Value: []byte(`"android"`)}, {Name: "app", Value: []byte(`"1.2"`)}, {Name: FieldPlatform, Value: []byte(`"ios"`)}, {Name: FieldLastUsed, Value: []byte("17")},
			}},
			`{"type":"person","action":"add_device","identifiers":{"id":"42"},"device":{"token":"tok","platform":"ios","last_used":17,"attributes":{"app":"1.2"}}}`,
		},
		"event without a time": {
			Operation{Action: Track, Person: Identifier{Phone, "+14155552671"}, Name: "n", ID: "0000000000ZWJAEW0H1E8B4K2J"},
			`{"type":"person","action":"event","identifiers":{"phone":"+14155552671"},"name":"n","id":"0000000000ZWJAEW0H1E8B4K2J","attributes":{}}`,
		},
	} {
		if got := string(c.op.AppendJSON(nil)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// TestWireIsJSON: whatever an operation holds, what is sent is JSON that says
// the same, and no longer than Size has promised.
func TestWireIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := anyOperation().Draw(t, "operation")
		wire := op.AppendJSON([]byte("before"))[len("before"):]
		if len(wire) > op.Size() {
			t.Fatalf("%d bytes, but Size is %d: %s", len(wire), op.Size(), wire)
		}
		// The bound is exact but for the timestamp and the longest words.
		if slack := op.Size() - len(wire); slack > 60 {
			t.Fatalf("Size is %d bytes too large: %s", slack, wire)
		}
		var got struct {
			Type, Action, Name, ID string
			Identifiers            map[string]string
			Timestamp              int64
			Attributes             map[string]any
		}
		if err := json.Unmarshal(wire, &got); err != nil {
			t.Fatalf("%v: %q", err, wire)
		}
		want := strings.ToValidUTF8(decoded(t, op.Person.Value), "\uFFFD")
		identifiers := map[string]string{op.Person.Type.String(): want}
		if op.Kind == Object {
			identifiers = map[string]string{"object_type_id": decoded(t, op.ObjectType), "object_id": decoded(t, op.ObjectID)}
		}
		if diff := cmp.Diff(identifiers, got.Identifiers); diff != "" {
			t.Fatalf("identifiers:\n%s", diff)
		}
		if got.Timestamp != op.Timestamp || got.ID != op.ID || got.Name != decoded(t, op.Name) {
			t.Fatalf("%s does not say %+v", wire, op)
		}
	})
}

// decoded is what encoding/json makes of a text and back.
func decoded(t *rapid.T, s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAppendStringSaysWhatEncodingJSONSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := hostile().Draw(t, "text")
		wire := AppendString(nil, s)
		if other := AppendString(nil, []byte(s)); string(other) != string(wire) {
			t.Fatalf("as bytes %q, as string %q", other, wire)
		}
		if len(wire) != stringSize(s) {
			t.Fatalf("%q is %d bytes, stringSize says %d", wire, len(wire), stringSize(s))
		}
		var got string
		if err := json.Unmarshal(wire, &got); err != nil {
			t.Fatalf("%q: %v", wire, err)
		}
		if want := decoded(t, s); got != want {
			t.Fatalf("%q became %q, encoding/json says %q", s, got, want)
		}
	})
}

// TestWireKeepsToTheSchema: what the mapper makes passes the schema of what
// pgcio sends.
func TestWireKeepsToTheSchema(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := drawBatch(t)
		if err := schema.Validate(body); err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
	})
}

// drawBatch is the body of a request of some sendable operations.
func drawBatch(t *rapid.T) []byte {
	var p Packer
	for range rapid.IntRange(1, 6).Draw(t, "operations") {
		op := sendable().Draw(t, "operation")
		if !p.Add(&op) {
			t.Fatal("it does not fit")
		}
	}
	return p.Body()
}

func TestCloneSharesNothing(t *testing.T) {
	op := Operation{Action: Identify, Person: Identifier{ID, "1"}, Attributes: []Attribute{{Name: "a", Value: []byte(`"x"`)}}}
	before := string(op.AppendJSON(nil))
	c := op.Clone()
	op.Attributes[0].Value[1] = 'y'
	op.Attributes = slices.Insert(op.Attributes, 0, Attribute{Name: "b", Value: []byte("1")})
	if got := string(c.AppendJSON(nil)); got != before {
		t.Errorf("the copy became %s, was %s", got, before)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	op := Operation{Action: Identify, Person: Identifier{ID, "42"}, Timestamp: 1772013598}
	for range 10 {
		op.Attributes = append(op.Attributes, Attribute{Name: "some_attribute", Value: []byte(`"some value"`)})
	}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = op.AppendJSON(buf[:0])
	}
}
