package customerio

// Ask is what one row change asks of one thing through one mapping: the
// mapper's answer, and all that the outbox needs to act on it. The unit of the
// books is one Ask.
type Ask struct {
	// Mapping is the mapping's place among those in force.
	Mapping int
	// Row is the row's encoded key; nil where a change that is refused does not
	// tell it. PriorRow is set when the change altered the key: the row was known
	// by it until now.
	Row, PriorRow []byte

	Answer Answer
	// Reason says why for Refused; else it is empty.
	Reason string

	// Operation is what is asked for when Answer is In. An attribute whose
	// column was not sent is not among its attributes (law 11).
	Operation Operation
	// Missing tells that the row must be read again: what an attribute's
	// expression, an identifier or `where` reads was not sent.
	Missing bool
	// Partial tells that columns were not sent whose values stand where they
	// are (an unchanged large value): their attributes are not in Operation. A
	// row that was in already needs nothing more; one that arrives must be read.
	Partial bool
	// Left names what was left out of the operation, with the reason: values
	// past a limit, NaN and infinities.
	Left []Omission

	// EventKey is, for an event, 128 bits of SHA-256 over its event id: what
	// tells in the state whether the event is known.
	EventKey [16]byte
	// Keep is, for an event, what is to be kept of its row until the row's
	// transaction ends: large values that an update of the row may not bring.
	Keep []Column
}

// Column is a column that has a value, as text.
type Column struct {
	Name string
	Text []byte
}

// Answer is what a mapping says of a row after a change.
type Answer uint8

// The answers.
const (
	// Ignored: the behavior does nothing with the change.
	Ignored Answer = iota
	// In: the row is in, and Operation says what it asks.
	In
	// Out: the row exists, but `where` is false or its identifier is null.
	Out
	// Gone: the row was deleted.
	Gone
	// Unsure: whether the row is in cannot be told before it is read again.
	Unsure
	// Refused: the change cannot be mapped or breaks a limit; it is parked.
	Refused
	// Truncated: every row of the mapping's table is gone.
	Truncated
)

// Omission is a value that was left out of an operation.
type Omission struct {
	Name   string // the attribute
	Reason string // the limit's name and number, or "NaN is no JSON number"
}

// Kept is what the inventory remembers of a row, as the mapper may see it.
type Kept struct {
	In bool // the row was in; for an event's row: its event is queued
	// Fresh tells, for an event's row, that it was inserted in the transaction
	// now being stored: an update amends its event, a delete withdraws it. Of no
	// other row of an event is anything remembered.
	Fresh bool
	// Columns are values that are kept of the row: for a fresh one Ask.Keep.
	Columns []Column
}
