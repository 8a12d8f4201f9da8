package customerio

// Kind is the kind of a Customer.io thing.
type Kind uint8

// The kinds of thing. They are stored: their numbers never change.
const (
	Person       Kind = 1
	Event        Kind = 2
	Device       Kind = 3
	Object       Kind = 4
	Relationship Kind = 5
)

// Action is what an operation asks Customer.io to do.
type Action uint8

// The actions. They are stored: their numbers never change.
const (
	Identify        Action = 1 // a person, or an object
	Track           Action = 2 // one event
	AddDevice       Action = 3
	AddRelationship Action = 4 // between one person and one object
)

// Operation is one thing to be asked of Customer.io, not yet in wire form.
type Operation struct {
	Kind   Kind
	Action Action
	// Person addresses the person the operation is about: of an object none.
	Person Identifier
	// ObjectType and ObjectID name the object that an operation is about, or that
	// a relationship leads to.
	ObjectType, ObjectID string
	// Token names a device.
	Token string
	// UpdateOnly: change the person if there is one, create none.
	UpdateOnly bool
	Attributes []Attribute

	// Name and ID are an event's: its name, and the ULID that makes sending it
	// twice harmless (law 6).
	Name string
	ID   string
	// Timestamp is in Unix seconds: for an event when it happened (0: when its
	// transaction committed); for an identify the outbox gives it (DESIGN §4,
	// Time).
	Timestamp int64
}

// Identifier is one way to name a person, or (the types from ObjectName on) what
// names another thing.
type Identifier struct {
	Type  IdentifierType
	Value string
}

// IdentifierType is a key of Customer.io's `identifiers` object.
type IdentifierType uint8

// The identifier types. They are stored: their numbers never change.
const (
	ID    IdentifierType = 1
	Email IdentifierType = 2
	CioID IdentifierType = 3
)

// The fields of a device that are not among its attributes. They travel as
// attributes whose names nobody can give one.
const (
	FieldPlatform = "\x00platform"
	FieldLastUsed = "\x00last_used" // Unix seconds
)

// Attribute is one attribute of an operation, or one key of an event's data.
type Attribute struct {
	Name string
	// Value is the JSON sent. `null` removes the attribute.
	Value []byte
	// Passive: sent along, never the reason to send.
	Passive bool
	// OnChange: only a streamed change of it, or a streamed insert of the row,
	// is a reason to send it (`send = "changed"`).
	OnChange bool
	// Always: carried by every operation that is sent, though it may be what it was.
	Always bool
}
