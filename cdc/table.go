package cdc

import "slices"

// Table is a table as the catalog or a Relation message describes it. A table
// in the stream is described anew whenever it changes, so a *Table is a
// version: whoever resolves columns may keep the result by pointer.
type Table struct {
	OID     uint32
	Schema  string
	Name    string
	Columns []TableColumn

	Identity ReplicaIdentity
	// IdentityColumns are the columns an old row carries under the replica
	// identity: all of them under FULL.
	IdentityColumns []string

	// The fields below are filled by Catalog only.

	PrimaryKey []string // in index order; empty: none
	// Published tells that the publication has the table; RowFilter and
	// ColumnList are the publication's own (empty: none).
	Published  bool
	Member     uint32 // stands for the table's entry in the publication, another each time it is added, and for what ALTER PUBLICATION … SET has last made of that; 0: not published
	RowFilter  string
	ColumnList []string
	// UniqueColumns are the single columns that have a unique index of their
	// own, valid and not partial.
	UniqueColumns []string
	// Unpublished are the columns that the stream does not carry, and Columns
	// therefore has not: generated ones, those outside the column list.
	Unpublished []string
	Generated   []string // those of Unpublished that are generated
	Kind        byte     // pg_class.relkind: 'r' table, 'p' partitioned table
	Rows        int64    // the planner's estimate of the number of rows; -1 unknown

	persistence byte     // pg_class.relpersistence: 'u' unlogged
	uniqueIndex string   // one that could be the replica identity
	lazyKey     bool     // the primary key is deferrable, and so identifies no old row
	stray       string   // a partition whose old rows are not logged as the table says
	strayBare   bool     // it has no replica identity at all
	published   []string // the columns that pg_publication_tables names (15 and later)
}

// TableColumn is one column of a table.
type TableColumn struct {
	Name    string
	Type    *Type
	Key     bool // part of the replica identity, as the Relation message says
	NotNull bool // by the catalog only
}

// ReplicaIdentity is what identifies a table's old rows in the log
// (pg_class.relreplident).
type ReplicaIdentity byte

// The replica identities.
const (
	IdentityDefault ReplicaIdentity = 'd'
	IdentityNothing ReplicaIdentity = 'n'
	IdentityFull    ReplicaIdentity = 'f'
	IdentityIndex   ReplicaIdentity = 'i'
)

// only is the table with the columns named alone; all of them if none is.
func (t *Table) only(columns []string) *Table {
	if len(columns) == 0 {
		return t
	}
	some := *t
	some.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(c TableColumn) bool { return !slices.Contains(columns, c.Name) })
	return &some
}

// String is the table's name with its schema.
func (t *Table) String() string { return t.Schema + "." + t.Name }

// Index returns the place of the named column, or -1.
func (t *Table) Index(column string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == column {
			return i
		}
	}
	return -1
}

// Type is a column's type, with domains already replaced by their base type.
type Type struct {
	OID  uint32
	Name string // pg_type.typname of the base type: "int4", "timestamptz", "_text", "hstore"
	Kind TypeKind
	// Element is the element type of an array, and the base of nothing else.
	Element *Type
	// Delimiter separates the elements of an array (',' except for box).
	Delimiter byte
	// Fields are the attributes of a composite type.
	Fields []TypeField
}

// TypeField is an attribute of a composite type.
type TypeField struct {
	Name string
	Type *Type
}

// TypeKind groups the types that pgcio treats alike; the README lists what
// each becomes. Whatever pgcio does not know is Text.
type TypeKind uint8

// The kinds of type.
const (
	Text TypeKind = iota
	Bool
	Integer   // int2, int4, int8
	Float     // float4, float8
	Numeric   // numeric
	Money     // money
	Timestamp // timestamp without time zone
	Timestamptz
	Date
	JSON // json, jsonb
	Bytea
	Char // character(n), whose padding is trimmed
	Hstore
	Array
	Composite
)
