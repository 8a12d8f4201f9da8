package customerio

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNamesOfThings: what a thing is called tells what an operation on it is
// about, and equal names are one thing.
func TestNamesOfThings(t *testing.T) {
	for name, op := range map[string]Operation{
		"object:1/acme":                     {Kind: Object, ObjectType: "1", ObjectID: "acme"},
		"object:12/a/b":                     {Kind: Object, ObjectType: "12", ObjectID: "a/b"},
		"relationship:id:42 1/acme":         {Kind: Relationship, Person: Identifier{ID, "42"}, ObjectType: "1", ObjectID: "acme"},
		"relationship:email:a@x.test 2/b c": {Kind: Relationship, Person: Identifier{Email, "a@x.test"}, ObjectType: "2", ObjectID: "b c"},
		"id:42":                             {Kind: Person, Person: Identifier{ID, "42"}},
	} {
		thing := op.Thing()
		if thing.String() != name {
			t.Errorf("%+v is called %q, want %q", op, thing, name)
		}
		again := Operation{Kind: op.Kind}
		again.Names(thing)
		if diff := cmp.Diff(op, again); diff != "" {
			t.Errorf("%s does not name what it was made of:\n%s", name, diff)
		}
		object, has := ObjectOf(thing)
		if has != (op.Kind == Relationship) || has && object != ObjectNamed(op.ObjectType, op.ObjectID) {
			t.Errorf("the object of %s is %s", name, object)
		}
	}
	device := Operation{Kind: Device, Person: Identifier{ID, "42"}, Token: "abc"}
	other := Operation{Kind: Device, Person: Identifier{ID, "43"}, Token: "abc"}
	if device.Thing() != other.Thing() || device.Thing().String() != "device:abc" {
		t.Errorf("one token is %s and %s", device.Thing(), other.Thing())
	}
	folded := Operation{Kind: Relationship, Person: Identifier{Email, " A@x.test"}, ObjectType: "2", ObjectID: "b c"}
	if folded.Thing().String() != "relationship:email:a@x.test 2/b c" {
		t.Errorf("an email is not folded in %s", folded.Thing())
	}
}
