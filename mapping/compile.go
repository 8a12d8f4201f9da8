package mapping

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/strict"
)

// rule is a compiled mapping: its spec, checked against the catalog, "*"
// spelled out and its expressions compiled.
type rule struct {
	spec  *Spec
	info  Mapping
	table *cdc.Table // as the catalog had it

	key        []string
	person     []identifier
	where      *program // nil: every row is in
	event      source
	eventID    source
	timestamp  source
	token      source
	platform   source
	objectType source
	objectID   source
	attributes []attribute
	nameBytes  int // of all attributes' names: for a quick look at an operation's size
}

// source is a compiled Value.
type source struct {
	form    Form
	column  string
	kind    cdc.TypeKind // of the column, as the catalog had it
	program *program
	json    []byte
	text    string // of a literal that is a string or a number
}

type identifier struct {
	kind customerio.IdentifierType
	source
}

type attribute struct {
	Attribute
	source
	asString bool // an identifier: always a string
	quoted   bool // of a device: whatever it is, Customer.io takes a text
}

// Compile checks the specs against the tables of the catalog, by "schema.name",
// and compiles them. A spec with a problem is not among the mapper's mappings;
// whoever wants to run must have none.
func Compile(specs []Spec, tables map[string]*cdc.Table) (*Mapper, strict.Problems) {
	m := &Mapper{byTable: map[string][]int{}, plans: map[*cdc.Table]*tablePlan{}}
	var problems strict.Problems
	expanded := make([]Spec, 0, len(specs))
	for i := range specs {
		c := ruleCompiler{spec: specs[i], tables: tables}
		r := c.compile()
		problems = append(problems, c.problems...)
		if r == nil {
			continue
		}
		r.info.Index = len(m.rules)
		name := r.spec.FullTable()
		m.byTable[name] = append(m.byTable[name], len(m.rules))
		m.rules = append(m.rules, r)
		m.hints = append(m.hints, c.hints...)
		expanded = append(expanded, *r.spec)
	}
	// Parse has compared what is written out; what "*" adds is known only now.
	known := conflicts(specs, explicitNames)
	for _, p := range conflicts(expanded, explicitNames) {
		if !slices.Contains(known, p) {
			problems = append(problems, p)
		}
	}
	m.hints = append(m.hints, nameHints(m.rules)...)
	m.hints = append(m.hints, ownerHints(m.rules)...)
	problems.Sort()
	return m, problems
}

// ruleCompiler compiles one spec.
type ruleCompiler struct {
	spec     Spec
	tables   map[string]*cdc.Table
	table    *cdc.Table
	problems strict.Problems
	hints    []Hint
	reads    map[string]bool
}

func (c *ruleCompiler) fail(at strict.Place, suggestion, format string, args ...any) {
	if !c.spec.told[at.Key] {
		c.problems = append(c.problems, at.Problem(suggestion, format, args...))
	}
}

func (c *ruleCompiler) hint(format string, args ...any) {
	c.hints = append(c.hints, Hint{Mapping: c.spec.Name, Message: fmt.Sprintf(format, args...)})
}

func (c *ruleCompiler) compile() *rule {
	s := &c.spec
	c.table = c.tables[s.FullTable()]
	if s.Table == "" {
		return nil // Parse has said so
	}
	if c.table == nil {
		names := make([]string, 0, len(c.tables))
		for name, t := range c.tables {
			if t != nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		c.fail(s.place("table"), strict.DidYouMean(s.FullTable(), names), "there is no table %s", s.FullTable())
		return nil
	}
	c.reads = map[string]bool{}
	r := &rule{spec: s, table: c.table}
	c.keyOf(r)
	for _, id := range s.Person {
		r.person = append(r.person, identifier{kind: id.Type, source: c.source(id.Value)})
	}
	if s.Where != "" {
		r.where = c.program(s.Where, s.place("where"), true)
	}
	if s.Object == "event" {
		r.event = c.source(s.Event)
		r.eventID = c.source(s.EventID)
		r.timestamp = c.source(s.Timestamp)
		c.timeType(s.Timestamp, "timestamp", &r.timestamp)
	}
	switch s.Object {
	case "device":
		r.token, r.platform = c.source(s.Token), c.source(s.Platform)
		if s.LastUsed.Form != None {
			used := attribute{Attribute: Attribute{Name: customerio.FieldLastUsed, Value: s.LastUsed, As: AsUnix, SkipNulls: true, Always: true}, source: c.source(s.LastUsed)}
			c.timeType(s.LastUsed, "last_used", &used.source)
			r.attributes = append(r.attributes, used)
		}
	case "object", "relationship":
		r.objectType, r.objectID = c.source(s.ObjectType), c.source(s.ObjectID)
	}
	c.star()
	for _, a := range s.Attributes {
		r.attributes = append(r.attributes, c.attribute(a))
		r.nameBytes += len(a.Name)
	}
	if most := s.mostAttributes(); s.Star && len(s.Attributes) > most {
		c.fail(s.place("attributes"), `leave some out with except = ["…"]`, "%q and the lines beside it make %d attributes; Customer.io takes %d in one request", "*", len(s.Attributes), most)
	}
	if s.failed {
		return nil
	}
	c.ruleHints(r)
	if len(c.problems) > 0 {
		return nil
	}
	r.info = c.info(r)
	r.info.Digest = digest(r)
	return r
}

// keyOf settles what identifies a row.
func (c *ruleCompiler) keyOf(r *rule) {
	s := &c.spec
	for _, column := range s.Key {
		if c.table.Index(column) < 0 {
			c.noColumn(s.place("key"), column)
			return
		}
	}
	key, problem, advice := rowKey(s, c.table)
	if problem != "" {
		c.fail(s.place("key"), advice, "%s", problem)
		return
	}
	if len(s.Key) > 0 && !slices.Equal(key, s.Key) {
		c.hint("key = %s is not used: the primary key %s identifies a row of %s", tomlList(s.Key), words(key), c.table)
	}
	r.key = key
	for _, k := range key {
		if c.table.Index(k) < 0 {
			c.noColumn(s.place("event_id"), k)
			return
		}
		c.reads[k] = true
	}
}

// noColumn is what to say of a column that the stream of the table has not.
func noColumn(t *cdc.Table, column string) (message, advice string) {
	switch {
	case slices.Contains(t.Generated, column):
		return fmt.Sprintf("column %q of %s is generated, and Postgres does not send it", column, t),
			"map the columns that it is computed from, in an expr (or, from Postgres 18 on, if it is stored, let the publication send it: publish_generated_columns = stored)"
	case slices.Contains(t.Unpublished, column):
		return fmt.Sprintf("column %q of %s is not in the publication's column list, and Postgres does not send it", column, t),
			"add it to that list, or map another"
	}
	return fmt.Sprintf("%s has no column %q", t, column), strict.DidYouMean(column, tableColumns(t))
}

func (c *ruleCompiler) noColumn(at strict.Place, column string) {
	message, suggestion := noColumn(c.table, column)
	base := at.Key[strings.LastIndexByte(at.Key, '.')+1:]
	if base == "platform" && customerio.CheckPlatform(strings.ToLower(column)) == "" {
		suggestion = fmt.Sprintf("for a fixed value write { value = %q }", strings.ToLower(column))
	}
	if suggestion == "" && strings.ContainsAny(column, " ()=+'") {
		suggestion = "for an expression write { expr = … }, for a fixed value { value = … }"
	}
	if suggestion == "" && strings.Contains(at.Key, ".attributes.") && slices.Contains(allKeys(), base) {
		suggestion = fmt.Sprintf("if the setting %q is meant, move it above [mapping.attributes]", base)
	}
	c.fail(at, suggestion, "%s", message)
}

// source compiles a value.
func (c *ruleCompiler) source(v Value) source {
	s := source{form: v.Form, column: v.Column, json: v.JSON}
	switch v.Form {
	case FromColumn:
		i := c.table.Index(v.Column)
		if i < 0 {
			c.noColumn(v.at, v.Column)
			return s
		}
		s.kind = typeAt(c.table, i).Kind
		c.reads[v.Column] = true
	case FromExpr:
		s.program = c.program(v.Expr, v.at, false)
	case Literal:
		var text string
		if json.Unmarshal(v.JSON, &text) == nil {
			s.text = text
		} else {
			s.text = string(v.JSON)
		}
	}
	return s
}

// program compiles an expression and notes what it reads.
func (c *ruleCompiler) program(text string, at strict.Place, condition bool) *program {
	p, err := compileExpr(text, c.table, condition, c.spec.Object == "event")
	if err != nil {
		c.fail(at, err.advice, "%s", err.message)
		return nil
	}
	for _, column := range p.columns {
		c.reads[column] = true
	}
	return p
}

// timeType refuses a column that holds no time.
func (c *ruleCompiler) timeType(v Value, key string, s *source) {
	if s.form != FromColumn || c.table.Index(s.column) < 0 {
		return
	}
	switch s.kind {
	case cdc.Timestamp, cdc.Timestamptz, cdc.Date, cdc.Integer, cdc.Numeric, cdc.Float:
		return
	}
	c.fail(v.at, fmt.Sprintf("write %s = { expr = \"date(%s)\" } if it holds one", key, s.column),
		"column %q is %s, which is no time", s.column, typeName(c.table, s.column))
}

func typeName(t *cdc.Table, column string) string {
	if i := t.Index(column); i >= 0 {
		return typeAt(t, i).Name
	}
	return "unknown"
}

// typeAt is a column's type; one that nobody knows is text.
func typeAt(t *cdc.Table, i int) *cdc.Type {
	if typ := t.Columns[i].Type; typ != nil {
		return typ
	}
	return &textType
}

// star writes "*" out: a line for each column that has none.
func (c *ruleCompiler) star() {
	s := &c.spec
	for _, column := range s.Except {
		if c.table.Index(column) < 0 {
			c.noColumn(s.place("attributes").Under("except"), column)
		}
	}
	if !s.Star {
		return
	}
	s.Attributes = slices.Clone(s.Attributes)
	var left []string
	skipNulls := s.SkipNulls
	for i := range c.table.Columns {
		name := c.table.Columns[i].Name
		named := slices.ContainsFunc(s.Attributes, func(a Attribute) bool { return a.Name == name })
		addressed := s.Object == "person" && len(s.Person) > 0 && s.Person[0].Type.String() == name
		switch {
		case named || addressed || slices.Contains(s.Except, name):
		case !inStar(s.Object, name):
			left = append(left, name)
		default:
			s.Attributes = append(s.Attributes, Attribute{
				Name: name, SkipNulls: skipNulls,
				Value: Value{Form: FromColumn, Column: name, at: s.place("attributes").Under("*")},
			})
		}
	}
	if len(left) > 0 {
		c.hint(`"*" leaves out %s, whose names mean something to Customer.io; map them on purpose, or list them in except`, words(left))
	}
}

// attribute compiles one line.
func (c *ruleCompiler) attribute(a Attribute) attribute {
	out := attribute{Attribute: a, source: c.source(a.Value)}
	out.asString = c.spec.Object == "person" && isIdentifier(a.Name)
	if c.spec.Object == "device" {
		// Null, which no text is, is left out.
		out.quoted, out.SkipNulls = true, true
	}
	if a.Zone != nil && a.Form == FromExpr && a.As != AsUnix {
		c.fail(a.at, `read the text with date(…, "2006-01-02", "Europe/Berlin"), or write as = "unix"`, "zone has no effect on an expression")
	}
	if a.Form != FromColumn || c.table.Index(a.Column) < 0 {
		return out
	}
	if reason := asProblem(a.As, out.kind); reason != "" {
		c.fail(a.at, "", "as = %q does not fit column %q, which is %s: %s", a.As, a.Column, typeName(c.table, a.Column), reason)
	}
	switch {
	case a.Zone == nil:
	case !zoned(out.kind, a.As):
		c.fail(a.at, "", "zone is for timestamps without one, and column %q is %s", a.Column, typeName(c.table, a.Column))
	case (a.As == AsString || a.Hash != NoHash) && (out.kind == cdc.Timestamp || out.kind == cdc.Date):
		c.fail(a.at, "remove it", "zone has no effect on the text of column %q, which is what Postgres writes", a.Column)
	}
	return out
}

func zoned(kind cdc.TypeKind, as As) bool {
	switch kind {
	case cdc.Timestamp, cdc.Date, cdc.Array, cdc.Composite:
		return true
	case cdc.Text, cdc.Char:
		return as == AsUnix
	}
	return false
}

// info is what others need to know of the mapping.
func (c *ruleCompiler) info(r *rule) Mapping {
	s := r.spec
	columns := make([]string, 0, len(c.reads))
	for column := range c.reads {
		columns = append(columns, column)
	}
	slices.Sort(columns)
	info := Mapping{
		Name: s.Name, Was: s.Was, Workspace: s.Workspace, Table: s.FullTable(),
		Object: s.Object, Kind: s.Kind(), Behavior: s.Behavior,
		Backfill: s.Backfill, BackfillWhere: s.BackfillWhere,
		Key: r.key, Columns: columns, Paused: s.Paused, Oversize: s.Oversize,
		Where: s.Where,
	}
	for i := range r.attributes {
		if !customerio.IsField(r.attributes[i].Name) {
			info.Attributes = append(info.Attributes, r.attributes[i].Name)
		}
	}
	for _, p := range r.person {
		info.Identifiers = append(info.Identifiers, p.kind)
	}
	return info
}

func words(list []string) string {
	return "(" + strings.Join(list, ", ") + ")"
}

func tomlList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// sqlTable is the table's name, quoted where SQL wants it.
func sqlTable(t *cdc.Table) string { return sqlIdent(t.Schema) + "." + sqlIdent(t.Name) }

func sqlIdent(name string) string {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c == '_' || i > 0 && c >= '0' && c <= '9') {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	}
	return name
}
