package mapping

import (
	"math"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/strict"
)

// Spec is one [[mapping]] as the file says it, complete with defaults; the
// database has not been asked about it yet.
type Spec struct {
	failed    bool            // Parse has found problems: it may be incomplete
	told      map[string]bool // the keys that have them
	Name, Was string
	Workspace string
	Schema    string
	Table     string // without its schema
	Object    string
	Behavior  string

	Person    []Identifier // in the order of the file: the first that is not null
	Event     Value        // the event's name
	EventID   Value
	Timestamp Value // Form None: not set

	Token      Value // of a device
	Platform   Value
	LastUsed   Value // Form None: not set
	ObjectType Value // of an object, or the one a relationship leads to
	ObjectID   Value

	Where         string // an expression; "": every row is in
	Attributes    []Attribute
	SkipNulls     bool // nulls = "skip", unless an attribute says otherwise
	Star          bool // "*" = true
	Except        []string
	Oversize      string // "omit" or "park"
	Backfill      bool
	BackfillWhere string   // SQL
	Key           []string // of a table without a primary key
	Paused        bool

	at    strict.Place              // the mapping
	place func(string) strict.Place // one of its keys
}

// FullTable is the table's name with its schema.
func (s *Spec) FullTable() string { return s.Schema + "." + s.Table }

// kinds are the kinds of thing, by object.
var kinds = map[string]customerio.Kind{
	"person": customerio.Person, "event": customerio.Event, "device": customerio.Device,
	"object": customerio.Object, "relationship": customerio.Relationship,
}

// Kind is the kind of thing that the mapping makes of its rows.
func (s *Spec) Kind() customerio.Kind { return kinds[s.Object] }

// mostAttributes is how many attributes the mapping may have: `_update` is one
// that Customer.io counts too, and of an event nobody counts any.
func (s *Spec) mostAttributes() int {
	switch {
	case s.Object == "event":
		return math.MaxInt
	case s.Behavior == "update_only":
		return customerio.MaxAttributes - 1
	}
	return customerio.MaxAttributes
}

// Form says how a value is given.
type Form uint8

// The forms of a value.
const (
	None Form = iota
	FromColumn
	FromExpr
	Literal
)

// Value is where something comes from: a column, an expression, or the file
// itself.
type Value struct {
	Form   Form
	Column string
	Expr   string
	JSON   []byte // of a literal

	at strict.Place
}

// Identifier is one way in which a row names its person.
type Identifier struct {
	Type  customerio.IdentifierType
	Value Value
}

// Attribute is one line of [mapping.attributes].
type Attribute struct {
	Name string
	Value
	As        As
	Zone      *time.Location // of timestamps without one; nil: UTC
	SkipNulls bool
	Hash      Hash
	HashKey   []byte
	Passive   bool
	OnChange  bool // send = "changed"
	Always    bool // no line of the file: a field that every operation must carry
}

// As is the type an attribute is given: `as`.
type As uint8

// The types of `as`.
const (
	AsIs As = iota
	AsString
	AsNumber
	AsBool
	AsUnix
	AsJSON
)

// String is the word in the file.
func (a As) String() string { return [...]string{"", "string", "number", "bool", "unix", "json"}[a] }

// Hash is how an attribute is hashed.
type Hash uint8

// The hashes.
const (
	NoHash Hash = iota
	SHA256
	HMACSHA256
)
