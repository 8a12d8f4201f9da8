package customerio

import "strings"

// The types by which things other than people are named. They are stored: their
// numbers never change.
const (
	ObjectName  IdentifierType = 5 // object type and id
	DeviceToken IdentifierType = 6
	Pair        IdentifierType = 7 // object and person
)

// nameSeparator parts the names that make up a thing's: none of them holds it.
const nameSeparator = "\x00"

// ObjectNamed is what names an object.
func ObjectNamed(objectType, id string) Identifier {
	return Identifier{Type: ObjectName, Value: objectType + nameSeparator + id}
}

// Action is what asks for a thing of the kind to be there.
func (k Kind) Action() Action {
	switch k {
	case Event:
		return Track
	case Device:
		return AddDevice
	case Relationship:
		return AddRelationship
	}
	return Identify
}

// Owned tells whether things of the kind belong to a person, beside whom they are
// nothing.
func (k Kind) Owned() bool { return k == Event || k == Device || k == Relationship }

// Thing is what names the thing that the operation is about, among all of its
// kind: two operations with the same are about the same.
func (op *Operation) Thing() Identifier {
	switch op.Kind {
	case Object:
		return ObjectNamed(op.ObjectType, op.ObjectID)
	case Device:
		return Identifier{Type: DeviceToken, Value: op.Token}
	case Relationship:
		person := Fold(op.Person)
		return Identifier{Type: Pair, Value: op.ObjectType + nameSeparator + op.ObjectID + nameSeparator + string(rune('0'+person.Type)) + person.Value}
	}
	return Fold(op.Person)
}

// Names sets what Thing was made of, as far as the name tells: a device's does
// not tell whose it is, and a person's spelling is lost.
func (op *Operation) Names(thing Identifier) {
	switch op.Kind {
	case Object:
		op.ObjectType, op.ObjectID, _ = strings.Cut(thing.Value, nameSeparator)
	case Device:
		op.Token = thing.Value
	case Relationship:
		object, person := pair(thing.Value)
		op.ObjectType, op.ObjectID, _ = strings.Cut(object, nameSeparator)
		if op.Person.Value == "" {
			op.Person = person
		}
	default:
		if op.Person.Value == "" {
			op.Person = thing
		}
	}
}

// ObjectOf is the object that a thing hangs on, beside its person; false: none.
func ObjectOf(thing Identifier) (Identifier, bool) {
	if thing.Type != Pair {
		return Identifier{}, false
	}
	object, _ := pair(thing.Value)
	return Identifier{Type: ObjectName, Value: object}, true
}

// pair splits a relationship's name.
func pair(value string) (object string, person Identifier) {
	first := strings.Index(value, nameSeparator)
	second := first + 1 + strings.Index(value[first+1:], nameSeparator)
	return value[:second], Identifier{Type: IdentifierType(value[second+1] - '0'), Value: value[second+2:]}
}

// String is the identifier as pgcio names it everywhere: "id:42", "object:1/acme".
func (id Identifier) String() string {
	switch id.Type {
	case ObjectName:
		return "object:" + strings.Replace(id.Value, nameSeparator, "/", 1)
	case Pair:
		object, person := pair(id.Value)
		return "relationship:" + person.String() + " " + strings.Replace(object, nameSeparator, "/", 1)
	}
	return id.Type.String() + ":" + id.Value
}
