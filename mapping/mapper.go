package mapping

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/expr-lang/expr/vm"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// Mapper turns row changes into asks. It does no I/O and knows no clock: what
// Map says depends on the change and on what Rows remembers, and on nothing
// else. It keeps buffers, so one goroutine at a time may use it.
type Mapper struct {
	rules   []*rule
	byTable map[string][]int
	hints   []Hint

	had      cdc.Mark // see Had
	hadRows  []uint64
	plans    map[*cdc.Table]*tablePlan
	last     *cdc.Table
	lastPlan *tablePlan

	arena   arena
	env     map[string]any // of expressions
	machine vm.VM
	text    []byte // of a value being put together
}

// Had says how many row messages each mapping has had of a transaction that is
// read once more. Those are not mapped again.
func (m *Mapper) Had(at cdc.Mark, rows []uint64) { m.had, m.hadRows = at, rows }

func (m *Mapper) hadOf(mapping int, c *cdc.Change) bool {
	return m.hadRows != nil && c.Ordinal <= m.hadRows[mapping] && c.Tx.Commit == m.had.Commit && c.Tx.XID == m.had.XID
}

// Mapping describes a mapping in force.
type Mapping struct {
	Index     int // its place: Ask.Mapping
	Name, Was string
	Workspace string
	Table     string // "schema.name"
	Object    string
	Kind      customerio.Kind
	Behavior  string

	Backfill      bool
	BackfillWhere string   // SQL
	Where         string   // the expression
	Key           []string // the columns that identify a row
	Columns       []string // all columns read, the key's too, sorted
	Attributes    []string // names of the attributes sent, in order
	Identifiers   []customerio.IdentifierType
	Paused        bool
	Oversize      string

	// Digest tells whether two mappings say the same of every row: it covers
	// the mapping as written and the columns it found.
	Digest [sha256.Size]byte
}

// Mappings are those in force, in the order of the file; Ask.Mapping counts in
// it.
func (m *Mapper) Mappings() []Mapping {
	out := make([]Mapping, len(m.rules))
	for i, r := range m.rules {
		out[i] = r.info
	}
	return out
}

// Tables are the tables that mappings read, each once, in the order of the file.
func (m *Mapper) Tables() []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range m.rules {
		if !seen[r.info.Table] {
			seen[r.info.Table] = true
			out = append(out, r.info.Table)
		}
	}
	return out
}

// Tables are the tables that specs name, each once: what Compile needs of the
// catalog.
func Tables(specs []Spec) []string {
	var out []string
	seen := map[string]bool{}
	for i := range specs {
		if name := specs[i].FullTable(); !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

// Hint is something that is no error but that an operator should know.
type Hint struct {
	Mapping string
	Message string
	Fix     string // one line; "": there is nothing to do but to know it
}

// Hints are what `check` should say of the mappings.
func (m *Mapper) Hints() []Hint { return m.hints }

// digest covers all that decides what the rule says of a row. Places in the
// file are unexported and so no part of it.
func digest(r *rule) [sha256.Size]byte {
	type column struct {
		Name string
		Kind cdc.TypeKind
	}
	var columns []column
	for _, name := range r.info.Columns {
		columns = append(columns, column{name, typeAt(r.table, r.table.Index(name)).Kind})
	}
	spec := *r.spec
	spec.Was, spec.Paused, spec.Backfill, spec.BackfillWhere = "", false, false, ""
	zones := make([]string, len(spec.Attributes))
	for i, a := range spec.Attributes {
		if a.Zone != nil {
			zones[i] = a.Zone.String()
		}
	}
	text, err := json.Marshal(struct {
		Spec    Spec
		Zones   []string
		Key     []string
		Columns []column
	}{spec, zones, r.key, columns})
	if err != nil {
		panic("mapping: a spec that is not JSON: " + err.Error()) // plain strings, bytes and bools
	}
	return sha256.Sum256(text)
}

// arena hands out memory in pieces of larger chunks, so that a row costs no
// allocation for its values. A full chunk is let go, and lives as long as what
// was cut from it.
type arena struct {
	bytes      []byte
	attributes []customerio.Attribute
}

const (
	chunkBytes      = 64 << 10
	maxChunk        = 1 << 20
	chunkAttributes = 1 << 10
	roomForRow      = 4 << 10 // a chunk with less left is let go before a row
)

// row makes room for a row's values and attributes. A chunk that one large value
// has stretched is not kept: it would hold the value's size for ever.
func (a *arena) row(attributes int) []customerio.Attribute {
	if cap(a.bytes)-len(a.bytes) < roomForRow || cap(a.bytes) > maxChunk {
		a.bytes = make([]byte, 0, chunkBytes)
	}
	if cap(a.attributes)-len(a.attributes) < attributes {
		a.attributes = make([]customerio.Attribute, 0, max(chunkAttributes, attributes))
	}
	n := len(a.attributes)
	return a.attributes[n : n : n+attributes]
}

// keep takes the attributes that row's slice has grown to out of the chunk.
func (a *arena) keep(attributes []customerio.Attribute) {
	a.attributes = a.attributes[:len(a.attributes)+len(attributes)]
}

// since is what was appended to the chunk from place n on.
func (a *arena) since(n int) []byte { return a.bytes[n:len(a.bytes):len(a.bytes)] }

// Reset lets the mapper use its memory again: call it when the asks of Map so
// far are done with, their keys and values copied or stored. It need not be
// called at all.
func (m *Mapper) Reset() {
	m.arena.bytes = m.arena.bytes[:0]
	clear(m.arena.attributes)
	m.arena.attributes = m.arena.attributes[:0]
}
