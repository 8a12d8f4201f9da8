package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/strict"
)

// col describes a column for tests: name, type.
func col(name, typ string) cdc.TableColumn { return cdc.TableColumn{Name: name, Type: typeNamed(typ)} }

func typeNamed(name string) *cdc.Type {
	if e, ok := strings.CutPrefix(name, "_"); ok {
		return &cdc.Type{Name: name, Kind: cdc.Array, Element: typeNamed(e), Delimiter: ','}
	}
	kinds := map[string]cdc.TypeKind{
		"bool": cdc.Bool, "int2": cdc.Integer, "int4": cdc.Integer, "int8": cdc.Integer, "float4": cdc.Float, "float8": cdc.Float,
		"numeric": cdc.Numeric, "money": cdc.Money, "timestamp": cdc.Timestamp, "timestamptz": cdc.Timestamptz, "date": cdc.Date,
		"json": cdc.JSON, "jsonb": cdc.JSON, "bytea": cdc.Bytea, "bpchar": cdc.Char, "hstore": cdc.Hstore,
	}
	if name == "point2" {
		return &cdc.Type{Name: name, Kind: cdc.Composite, Fields: []cdc.TypeField{{Name: "x", Type: typeNamed("int4")}, {Name: "label", Type: typeNamed("text")}}}
	}
	return &cdc.Type{Name: name, Kind: kinds[name]}
}

// table makes a table with its first column as primary key and the default
// replica identity.
func table(name string, columns ...cdc.TableColumn) *cdc.Table {
	schema, base, _ := strings.Cut(name, ".")
	columns[0].Key = true
	key := []string{columns[0].Name}
	return &cdc.Table{
		OID: 1000, Schema: schema, Name: base, Columns: columns, PrimaryKey: key,
		Identity: cdc.IdentityDefault, IdentityColumns: key, UniqueColumns: key, Published: true, Kind: 'r',
	}
}

// users is the table most tests map.
func users() *cdc.Table {
	return table("public.users",
		col("id", "int8"), col("email", "text"), col("first_name", "text"), col("last_name", "text"), col("plan", "text"),
		col("age", "int4"), col("score", "numeric"), col("ratio", "float8"), col("active", "bool"),
		col("created_at", "timestamptz"), col("deleted_at", "timestamptz"), col("meta", "jsonb"), col("tags", "_text"), col("User Id", "uuid"))
}

func orders() *cdc.Table {
	return table("public.orders",
		col("id", "int8"), col("user_id", "int8"), col("total", "numeric"), col("status", "text"), col("paid_at", "timestamptz"), col("note", "text"))
}

func phones() *cdc.Table {
	return table("public.phones",
		col("id", "int8"), col("user_id", "int8"), col("token", "text"), col("os", "text"), col("used", "timestamptz"), col("beta", "bool"), col("build", "int4"), col("info", "jsonb"))
}

func seats() *cdc.Table {
	return table("public.seats",
		col("id", "int8"), col("user_id", "int8"), col("kind", "text"), col("account", "text"), col("role", "text"), col("note", "text"))
}

func tables(list ...*cdc.Table) map[string]*cdc.Table {
	m := map[string]*cdc.Table{}
	for _, t := range list {
		m[t.String()] = t
	}
	return m
}

// load parses and compiles a file that must have no problems.
func load(t testing.TB, source string, list ...*cdc.Table) *Mapper {
	t.Helper()
	doc := strict.Open("pgcio.toml", []byte(source))
	specs := Parse(doc.Root(), Environment{Workspaces: []string{"main"}})
	if err := doc.Problems().Err(); err != nil {
		t.Fatalf("parse:\n%v", err)
	}
	m, problems := Compile(specs, tables(list...))
	if err := problems.Err(); err != nil {
		t.Fatalf("compile:\n%v", err)
	}
	return m
}

// tuple builds a row: nil is null, missing is not sent, and a column that is
// not given is not sent either.
func tuple(t *cdc.Table, values map[string]any) cdc.Tuple {
	columns := make([]cdc.Column, len(t.Columns))
	for i, c := range t.Columns {
		v, given := values[c.Name]
		switch {
		case !given:
		case v == nil:
			columns[i].State = cdc.Null
		default:
			columns[i] = cdc.Column{State: cdc.Present, Text: []byte(fmt.Sprint(v))}
		}
	}
	return cdc.NewTuple(columns...)
}

// full is tuple with every column that is not given null.
func full(t *cdc.Table, values map[string]any) cdc.Tuple {
	all := map[string]any{}
	for _, c := range t.Columns {
		all[c.Name] = values[c.Name]
	}
	return tuple(t, all)
}

var someTx = &cdc.Transaction{Commit: 0x500, XID: 7001, Time: time.Unix(1_700_000_000, 0)}

func insert(t *cdc.Table, values map[string]any) *cdc.Change {
	return &cdc.Change{Kind: cdc.Insert, Table: t, New: full(t, values), Tx: someTx}
}

// remembered is a Rows of a map.
type remembered map[string]customerio.Kept

func (r remembered) Row(mapping int, key []byte) (customerio.Kept, bool) {
	k, ok := r[fmt.Sprintf("%d/%x", mapping, key)]
	return k, ok
}

func remember(mapping int, key []byte, k customerio.Kept) remembered {
	return remembered{fmt.Sprintf("%d/%x", mapping, key): k}
}

// show writes an ask as a line, for goldens.
func show(a customerio.Ask) string {
	var b strings.Builder
	answers := [...]string{"ignored", "in", "out", "gone", "unsure", "refused", "truncated"}
	key := "-"
	if a.Row != nil {
		texts, err := DecodeKey(a.Row)
		key = strings.Join(texts, ",")
		if err != nil {
			key = err.Error()
		}
	}
	fmt.Fprintf(&b, "%d %s %s", a.Mapping, key, answers[a.Answer])
	if a.PriorRow != nil {
		texts, _ := DecodeKey(a.PriorRow)
		fmt.Fprintf(&b, " was %s", strings.Join(texts, ","))
	}
	if a.Reason != "" {
		fmt.Fprintf(&b, " (%s)", a.Reason)
	}
	if a.Missing {
		b.WriteString(" missing")
	}
	if a.Partial {
		b.WriteString(" partial")
	}
	for _, c := range a.Keep {
		fmt.Fprintf(&b, " keep %s", c.Name)
	}
	for _, l := range a.Left {
		fmt.Fprintf(&b, " [%s: %s]", l.Name, l.Reason)
	}
	if a.Operation.Kind != 0 && a.Answer == customerio.In {
		b.WriteString("\n    ")
		b.Write(a.Operation.AppendJSON(nil))
	}
	return b.String()
}

func mapOne(t testing.TB, m *Mapper, c *cdc.Change, rows Rows) customerio.Ask {
	t.Helper()
	if rows == nil {
		rows = remembered{}
	}
	asks := m.Map(nil, c, rows)
	if len(asks) != 1 {
		t.Fatalf("%d asks, want 1", len(asks))
	}
	return asks[0]
}

const peopleFile = `
[[mapping]]
name     = "people"
table    = "public.users"
object   = "person"
behavior = "update_or_create"
person   = { id = "id" }
where    = "deleted_at == nil"
[mapping.attributes]
email      = "email"
full_name  = { expr = "trim((first_name ?? '') + ' ' + (last_name ?? ''))" }
plan       = { column = "plan", nulls = "skip" }
created_at = "created_at"
source     = { value = "app" }
email_hash = { column = "email", hash = "sha256" }
last_seen  = { column = "age", passive = true }
unsubscribed = { column = "active", send = "changed" }
`

// TestPerson maps a row by every line of the example people are taught with.
func TestPerson(t *testing.T) {
	u := users()
	m := load(t, peopleFile, u)
	a := mapOne(t, m, insert(u, map[string]any{"id": 42, "email": "a@b.c", "first_name": "Ada", "created_at": "2024-01-31 12:00:00.5+00", "active": "f", "age": 36}), nil)
	const want = `"identifiers":{"id":"42"},"attributes":{"email":"a@b.c","full_name":"Ada","created_at":1706702400,"source":"app",` +
		`"email_hash":"d648b243a3e817eaa3309e00e183483f2867baadf522099f0c2121770536b25a","last_seen":36,"unsubscribed":false}}`
	if got := show(a); !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	info := m.Mappings()[0]
	if !slices.Equal(info.Columns, []string{"active", "age", "created_at", "deleted_at", "email", "first_name", "id", "last_name", "plan"}) || !slices.Equal(info.Key, []string{"id"}) {
		t.Errorf("it reads %v, by %v", info.Columns, info.Key)
	}
}

func BenchmarkPerson(b *testing.B) {
	u := users()
	m := load(b, `
[[mapping]]
name = "people"
table = "users"
object = "person"
behavior = "update_or_create"
person = { id = "id" }
[mapping.attributes]
email = "email"
first_name = "first_name"
plan = "plan"
age = "age"
active = "active"
created_at = "created_at"
`, u)
	c := insert(u, map[string]any{"id": 42, "email": "a@b.c", "first_name": "Ada", "plan": "pro", "created_at": "2024-01-31 12:00:00.5+00", "active": "f", "age": 36})
	var asks []customerio.Ask
	rows := remembered{}
	b.ReportAllocs()
	for b.Loop() {
		asks = m.Map(asks[:0], c, rows)
	}
}

func BenchmarkExpressions(b *testing.B) {
	u := users()
	m := load(b, peopleFile, u)
	c := insert(u, map[string]any{"id": 42, "email": "a@b.c", "first_name": "Ada", "plan": "pro", "created_at": "2024-01-31 12:00:00.5+00", "active": "f", "age": 36})
	var asks []customerio.Ask
	rows := remembered{}
	b.ReportAllocs()
	for b.Loop() {
		asks = m.Map(asks[:0], c, rows)
	}
}

func BenchmarkEvent(b *testing.B) {
	o := orders()
	m := load(b, strings.NewReplacer("where", "#", "backfill", "#").Replace(orderEvents), o)
	c := insert(o, map[string]any{"id": 900, "user_id": 1, "total": "12.50", "status": "paid", "paid_at": "2024-01-31 12:00:00+00", "note": "n"})
	var asks []customerio.Ask
	rows := remembered{}
	b.ReportAllocs()
	for b.Loop() {
		asks = m.Map(asks[:0], c, rows)
	}
}

func BenchmarkKeys(b *testing.B) {
	u := users()
	m := load(b, plainPeople, u)
	batch := &cdc.Batch{Changes: []cdc.Change{*insert(u, map[string]any{"id": 42})}}
	b.ReportAllocs()
	for b.Loop() {
		m.Keys(batch, func(Touch) {})
	}
}
