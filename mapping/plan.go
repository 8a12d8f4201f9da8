package mapping

import (
	"fmt"
	"slices"

	"github.com/pgcio/pgcio/cdc"
)

// tablePlan is what the rules need to read rows of one version of a table: a
// *cdc.Table is a version, so plans are kept by pointer.
type tablePlan struct {
	table *cdc.Table
	rules []rulePlan
}

// rulePlan is a rule bound to a table version.
type rulePlan struct {
	*rule
	index int
	// broken says why rows of this version cannot be mapped: a mapped column
	// has gone, or is of another kind (T40).
	broken string
	// keyless says why updates and deletes cannot be: old rows do not carry the
	// key (M12).
	keyless string

	key        []bound
	where      []bound // the program's columns, in its order
	person     []valuePlan
	event      valuePlan
	eventID    valuePlan
	timestamp  valuePlan
	token      valuePlan
	platform   valuePlan
	objectType valuePlan
	objectID   valuePlan
	attributes []attributePlan
	large      []largeColumn // of an event
}

// largeColumn is a column that the rule reads whose value may be stored out of
// line, and is then not sent unless it changes, if its text has so many bytes.
type largeColumn struct {
	index int
	least int
}

// bound is a column's place and type in a table version.
type bound struct {
	index int
	typ   *cdc.Type
}

// valuePlan is where a value is read: a column, or those of an expression in
// its program's order.
type valuePlan struct {
	bound
	reads []bound
}

type attributePlan struct {
	*attribute
	valuePlan
}

// maxPlans bounds the plans kept. A table version is described anew by every
// connection, so old ones pile up over months.
const maxPlans = 256

// plan returns the plan of a table version, making it if it is new.
func (m *Mapper) plan(t *cdc.Table) *tablePlan {
	if t == m.last {
		return m.lastPlan
	}
	p := m.plans[t]
	if p == nil {
		p = m.bind(t)
		if len(m.plans) >= maxPlans {
			clear(m.plans)
		}
		m.plans[t] = p
	}
	m.last, m.lastPlan = t, p
	return p
}

func (m *Mapper) bind(t *cdc.Table) *tablePlan {
	p := &tablePlan{table: t}
	name := t.String()
	indexes := m.byTable[name]
	renamed := ""
	if indexes == nil {
		for i, r := range m.rules {
			if t.OID != 0 && r.table.OID == t.OID {
				indexes = append(indexes, i)
				renamed = fmt.Sprintf("table %s is called %s now; change the mapping's table", r.info.Table, name)
			}
		}
	}
	p.rules = make([]rulePlan, len(indexes))
	for i, index := range indexes {
		b := binder{table: t, rule: m.rules[index], rulePlan: &p.rules[i]}
		b.rulePlan.rule, b.rulePlan.index = b.rule, index
		b.bind()
		if renamed != "" {
			b.rulePlan.broken = renamed
		}
	}
	return p
}

// keyAdvice is how old rows come to carry the rule's key again.
func keyAdvice(r *rule) string {
	if slices.Equal(r.key, r.table.PrimaryKey) {
		return fmt.Sprintf("run: ALTER TABLE %s REPLICA IDENTITY DEFAULT;", sqlTable(r.table))
	}
	return fmt.Sprintf("run: ALTER TABLE %s REPLICA IDENTITY FULL;", sqlTable(r.table))
}

// Troubles says, by mapping, why rows of a version of a table cannot be mapped
// any more as they were when the mapping was compiled; a mapping of the table
// whose rows can be has "". It may be called beside Map, by any goroutine.
func (m *Mapper) Troubles(t *cdc.Table) map[int]string {
	p := m.bind(t)
	out := make(map[int]string, len(p.rules))
	for i := range p.rules {
		r := &p.rules[i]
		out[r.index] = r.broken
		if r.broken == "" && r.lostKey() {
			out[r.index] = r.keyless
		}
	}
	return out
}

// lostKey tells whether old rows have ceased to carry the key: for events of a
// table that sends no old rows they never did.
func (r *rulePlan) lostKey() bool {
	return r.keyless != "" && within(r.rule.key, r.rule.table.IdentityColumns)
}

type binder struct {
	*rulePlan
	rule  *rule
	table *cdc.Table
}

func (b *binder) bind() {
	p, r := b.rulePlan, b.rule
	p.key = b.columns(r.key)
	for i := range p.key {
		c := p.key[i]
		if c.index >= 0 && p.keyless == "" && !b.table.Columns[c.index].Key {
			p.keyless = fmt.Sprintf("the replica identity of %s no longer carries %s, so an update or delete does not say which row it is of; %s",
				b.table, r.key[i], keyAdvice(r))
		}
	}
	for i := range r.person {
		p.person = append(p.person, b.value(&r.person[i].source))
	}
	if r.where != nil {
		p.where = b.columns(r.where.columns)
	}
	p.event = b.value(&r.event)
	p.eventID = b.value(&r.eventID)
	p.timestamp = b.value(&r.timestamp)
	p.token, p.platform = b.value(&r.token), b.value(&r.platform)
	p.objectType, p.objectID = b.value(&r.objectType), b.value(&r.objectID)
	p.attributes = make([]attributePlan, len(r.attributes))
	for i := range r.attributes {
		a := &r.attributes[i]
		p.attributes[i] = attributePlan{attribute: a, valuePlan: b.value(&a.source)}
	}
	if r.spec.Object == "event" {
		for _, name := range r.info.Columns {
			if i := b.table.Index(name); i >= 0 {
				if least := leastLarge(typeAt(b.table, i)); least > 0 {
					p.large = append(p.large, largeColumn{i, least})
				}
			}
		}
	}
}

// leastLarge is how long a value's text is at least where the value may be
// stored out of line; 0: it never is. Postgres moves none out whose stored form,
// its header included, has 24 bytes or fewer.
func leastLarge(t *cdc.Type) int {
	switch t.Kind {
	case cdc.Bool, cdc.Integer, cdc.Float, cdc.Money, cdc.Timestamp, cdc.Timestamptz, cdc.Date:
		return 0
	case cdc.Numeric, cdc.Bytea, cdc.Char:
		return 20
	}
	switch t.Name {
	case "uuid":
		return 0
	case "text", "varchar", "citext":
		return 20
	}
	return 1 // an array, a range or a document may be larger than its text
}

func (b *binder) value(s *source) valuePlan {
	v := valuePlan{bound: bound{index: -1}}
	switch s.form {
	case FromColumn:
		v.bound = b.column(s.column)
	case FromExpr:
		v.reads = b.columns(s.program.columns)
	}
	return v
}

func (b *binder) columns(names []string) []bound {
	out := make([]bound, len(names))
	for i, name := range names {
		out[i] = b.column(name)
	}
	return out
}

func (b *binder) column(name string) bound {
	i := b.table.Index(name)
	was := b.rule.table.Index(name)
	switch {
	case i < 0 && b.broken == "":
		b.broken = fmt.Sprintf("column %q of %s is not sent any more: it was dropped or renamed, or the publication's column list leaves it out; change the mapping, or bring it back", name, b.table)
	case i < 0:
	case !sameKind(typeAt(b.table, i), typeAt(b.rule.table, was)) && b.broken == "":
		b.broken = fmt.Sprintf("column %q of %s is %s in the log here, and %s when the mapping was loaded: restart pgcio, then `pgcio parked retry --mapping %s` reads its rows again",
			name, b.table, typeName(b.table, name), typeName(b.rule.table, name), b.rule.spec.Name)
	}
	if i < 0 {
		return bound{index: -1}
	}
	return bound{index: i, typ: typeAt(b.table, i)}
}

// sameKind tells whether values of two types are rendered alike.
func sameKind(a, b *cdc.Type) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || len(a.Fields) != len(b.Fields) {
		return false
	}
	if a.Kind == cdc.Array {
		return sameKind(a.Element, b.Element)
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name || !sameKind(a.Fields[i].Type, b.Fields[i].Type) {
			return false
		}
	}
	return true
}
