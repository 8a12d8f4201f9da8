package customerio

// Kind is the kind of a Customer.io thing.
type Kind uint8

// The kinds of thing. They are stored: their numbers never change.
const (
	Person Kind = 1
	Event  Kind = 2
)

// Action is what an operation asks Customer.io to do.
type Action uint8

// The actions. They are stored: their numbers never change.
const (
	Identify Action = 1
	Track    Action = 2 // one event
)

// Operation is one thing to be asked of Customer.io, not yet in wire form.
type Operation struct {
	Kind   Kind
	Action Action
	// Person addresses the person the operation is about.
	Person Identifier
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

// Identifier is one way to name a person.
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
}
