package mapping

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/strict"
)

// TestSettings maps one row with one setting changed at a time.
func TestSettings(t *testing.T) {
	u := users()
	row := map[string]any{"id": 42, "email": "  A@b.C ", "first_name": "Ada", "plan": strings.Repeat("p", 1200), "age": 36, "active": "t", "created_at": "2024-01-31 12:00:00+00", "tags": "{a,b}", "User Id": "u-1", "score": "9007199254740993",
		"meta": `{"a": {"b": 2}, "n": 12345678901234567890, "ms": 1700000000000}`}
	for _, c := range []struct{ name, mapping, want string }{
		{"an email is trimmed, a column of that name is left alone", `person = { email = "email" }
			[mapping.attributes]
			mail = "email"`, `"identifiers":{"email":"A@b.C"},"attributes":{"mail":"  A@b.C "}`},
		{"the first identifier that is not null", `person = { cio_id = "deleted_at", id = "id", email = "email" }`, `"identifiers":{"id":"42"}`},
		{"in the order of the file", `person = { email = "email", id = "id" }`, `"identifiers":{"email":"A@b.C"}`},
		{"an identifier is text", `person = { id = { expr = "id + 1" } }`, `"identifiers":{"id":"43"}`},
		{"an identifier of an expression that is null", `person = { id = { expr = "last_name + 'x'" } }`, `0 42 out`},
		{"an identifier that is too long", `person = { id = { expr = "repeat('x', 151)" } }`, `refused (id: the identifier is 151 bytes long`},
		{"an empty identifier", `person = { id = { expr = "''" } }`, `refused (id: the identifier is empty)`},
		{"identifiers among the attributes are strings", `person = { email = "email" }
			[mapping.attributes]
			id = "id"
			phone = { expr = "age" }`, `"attributes":{"id":"42","phone":"36"}`},
		{"oversize omits", `person = { id = "id" }
			[mapping.attributes]
			plan = "plan"
			age = "age"`, `[plan: the value is 1200 bytes long; Customer.io takes 1000 (attribute value limit)]
    {"type":"person","action":"identify","identifiers":{"id":"42"},"attributes":{"age":36}}`},
		{"oversize parks", `person = { id = "id" }
			oversize = "park"
			[mapping.attributes]
			plan = "plan"`, `refused (attribute "plan": the value is 1200 bytes long; Customer.io takes 1000 (attribute value limit))`},
		{"nulls are skipped, but where said otherwise", `person = { id = "id" }
			nulls = "skip"
			[mapping.attributes]
			last = "last_name"
			gone = { column = "deleted_at", nulls = "send" }
			null = { expr = "last_name + 'x'" }`, `"attributes":{"gone":null}`},
		{"values", `person = { id = "id" }
			[mapping.attributes]
			s = { value = "x" }
			i = { value = 5 }
			f = { value = 1.5 }
			b = { value = true }
			l = { value = [1, "a"] }
			t = { value = { k = "v" } }
			d = { value = 2024-01-31T12:00:00Z }
			day = { value = 2024-01-31 }
			noon = { value = 2024-01-31T12:00:00 }
			hour = { value = 12:00:00.5 }`, `"attributes":{"s":"x","i":5,"f":1.5,"b":true,"l":[1,"a"],"t":{"k":"v"},"d":1706702400,"day":1706659200,"noon":1706702400,"hour":"12:00:00.5"}`},
		{"expressions of every type", `person = { id = "id" }
			[mapping.attributes]
			i = { expr = "age * 2" }
			f = { expr = "age / 5" }
			b = { expr = "active and age > 30" }
			t = { expr = "created_at" }
			d = { expr = "created_at - date('2024-01-31')" }
			l = { expr = "tags | map(upper(#))" }
			m = { expr = "{'x': age, 'a': meta.a}" }
			n = { expr = "row['User Id'] + '!'" }
			big = { expr = "9007199254740993" }
			z = { expr = "created_at.In(timezone('Asia/Tokyo')).Format('2006-01-02 15:04')" }`,
			`"attributes":{"i":72,"f":7.2,"b":true,"t":1706702400,"d":43200,"l":["A","B"],"m":{"a":{"b":2},"x":36},"n":"u-1!","big":"9007199254740993","z":"2024-01-31 21:00"}`},
		{"as, of expressions too", `person = { id = "id" }
			[mapping.attributes]
			a = { column = "age", as = "string" }
			b = { column = "age", as = "bool" }
			c = { expr = "age + 0.5", as = "unix" }
			d = { expr = "meta.a", as = "string" }
			e = { expr = "'[1, 2]'", as = "json" }
			f = { column = "first_name", as = "number" }`, `[f: not a number]
    {"type":"person","action":"identify","identifiers":{"id":"42"},"attributes":{"a":"36","b":true,"c":36,"d":"{\"b\":2}","e":[1,2]}}`},
		{"text of digits is a number only as JSON writes it", `person = { id = "id" }
			[mapping.attributes]
			a = { expr = "'0012'", as = "unix" }
			b = { expr = "'-007'", as = "unix" }
			c = { expr = "'0012'", as = "number" }`, `[c: not a number]
    {"type":"person","action":"identify","identifiers":{"id":"42"},"attributes":{"a":12,"b":-7}}`},
		{"a large integer is a string, whatever it comes from", `person = { id = "id" }
			[mapping.attributes]
			a = "score"
			b = { expr = "score" }
			c = { expr = "score + 1" }
			d = { expr = "[score]" }
			e = { expr = "meta.n" }
			f = { column = "score", as = "number" }
			g = { expr = "meta.n", as = "number" }
			h = { expr = "meta.n.x" }
			i = { expr = "string(score)" }
			j = { expr = "score", as = "string" }
			phone = { expr = "score" }`,
			`"attributes":{"a":"9007199254740993","b":"9007199254740993","c":"9007199254740994","d":["9007199254740993"],"e":"12345678901234567890","f":9007199254740993,"g":12345678901234567890,"h":null,"i":"9007199254740993","j":"9007199254740993","phone":"9007199254740993"}`},
		{"milliseconds are no seconds", `person = { id = "id" }
			[mapping.attributes]
			a = { expr = "meta.ms", as = "unix" }
			b = { expr = "string(meta.ms)", as = "unix" }
			c = { expr = "meta.ms / 1000", as = "unix" }
			d = { expr = "253402300799", as = "unix" }
			e = { expr = "-253402300800", as = "unix" }`,
			`"attributes":{"c":1700000000,"d":253402300799}`},
		{"a path into a nested attribute", `person = { id = "id" }
			[mapping.attributes]
			"address.city" = "first_name"`, `"attributes":{"address.city":"Ada"}`},
		{"everything but", `person = { id = "id" }
			[mapping.attributes]
			first_name = { value = "F" }
			"*" = true
			except = ["plan", "User Id", "meta", "tags", "score", "ratio"]`,
			`"attributes":{"first_name":"F","email":"  A@b.C ","last_name":null,"age":36,"active":true,"created_at":1706702400,"deleted_at":null}`},
		{"an expression that fails", `person = { id = "id" }
			[mapping.attributes]
			x = { expr = "int(first_name)" }`, `refused ("int(first_name)" fails on this row: `},
		{"dividing by zero", `person = { id = "id" }
			where = "age / (age - 36) > 1"`, `refused ("age / (age - 36) > 1" fails on this row: division by zero)`},
		{"a null condition is false", `person = { id = "id" }
			where = "last_name == 'x'"`, `0 42 out`},
		{"not of a null condition too", `person = { id = "id" }
			where = "not (last_name == 'x')"`, `0 42 out`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, "[[mapping]]\nname = 'n'\ntable = 'public.users'\nobject = 'person'\nbehavior = 'update_or_create'\n"+c.mapping, u)
			if got := show(mapOne(t, m, insert(u, row), nil)); !strings.Contains(got, c.want) {
				t.Errorf("%s\nholds no\n%s", got, c.want)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	u := users()
	m := load(t, strings.Replace(peopleFile, "update_or_create", "update_only", 1), u)
	op := mapOne(t, m, insert(u, map[string]any{"id": 1}), nil).Operation
	if !op.UpdateOnly || op.Kind != customerio.Person || op.Action != customerio.Identify {
		t.Errorf("%+v", op)
	}
	for _, a := range op.Attributes {
		if a.Passive != (a.Name == "last_seen") || a.OnChange != (a.Name == "unsubscribed") {
			t.Errorf("%+v", a)
		}
	}
}

// TestTableChanges is T40: a table described anew is read by its names, and
// where a mapped column has gone or changed its kind the mapping says so.
func TestTableChanges(t *testing.T) {
	u := users()
	m := load(t, plainPeople, u)
	row := map[string]any{"id": 1, "email": "e"}
	changed := func(do func(*cdc.Table)) *cdc.Table {
		c := users()
		do(c)
		return c
	}
	for _, c := range []struct {
		name  string
		table *cdc.Table
		want  string
	}{
		{"columns in another order, and a new one", changed(func(t *cdc.Table) {
			slices.Reverse(t.Columns)
			t.Columns = append(t.Columns, col("new", "text"))
		}), `"email":"e"`},
		{"a wider integer", changed(func(t *cdc.Table) { t.Columns[0].Type = typeNamed("int4") }), `0 1 in`},
		{"an unmapped column has gone", changed(func(t *cdc.Table) { t.Columns = t.Columns[:13] }), `0 1 in`},
		{"a mapped column has gone", changed(func(t *cdc.Table) { t.Columns[1].Name = "mail" }), `refused (column "email" of public.users is not sent any more`},
		{"a column of an expression has gone", changed(func(t *cdc.Table) { t.Columns[2].Name = "x" }), `refused (column "first_name" of public.users is not sent any more`},
		{"the key has gone", changed(func(t *cdc.Table) { t.Columns[0].Name = "x" }), `0 - refused (column "id" of public.users is not sent any more`},
		{"another type", changed(func(t *cdc.Table) { t.Columns[1].Type = typeNamed("int4") }), `refused (column "email" of public.users is int4 in the log here, and text when`},
		{"another name", changed(func(t *cdc.Table) { t.Name = "people" }), `refused (table public.users is called public.people now`},
	} {
		if got := show(mapOne(t, m, insert(c.table, row), nil)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	keyless := changed(func(t *cdc.Table) { t.Columns[0].Key = false })
	if got := mapOne(t, m, &cdc.Change{Kind: cdc.Delete, Table: keyless, Old: full(keyless, row)}, nil); !strings.Contains(got.Reason, "no longer carries id") {
		t.Error(show(got))
	}
	if got := show(mapOne(t, m, &cdc.Change{Kind: cdc.Update, Table: keyless, New: full(keyless, row)}, nil)); !strings.HasPrefix(got, "0 1 refused (the replica identity of public.users no longer carries id") {
		t.Error(got)
	}
	other := orders()
	other.OID = 7
	if asks := m.Map(nil, insert(other, map[string]any{"id": 1}), remembered{}); asks != nil {
		t.Errorf("%d asks of a table that nobody maps", len(asks))
	}
}

func TestMappings(t *testing.T) {
	u, o := users(), orders()
	m := load(t, plainPeople+orderEvents, u, o)
	var b strings.Builder
	for _, info := range m.Mappings() {
		info.Digest = [32]byte{}
		fmt.Fprintf(&b, "%+v\n", info)
	}
	golden(t, "testdata/mappings.txt", b.String())
	if got := m.Tables(); !slices.Equal(got, []string{"public.users", "public.orders"}) {
		t.Error(got)
	}
	digest := func(source string, tables ...*cdc.Table) [32]byte {
		return load(t, source, tables...).Mappings()[0].Digest
	}
	same := digest(plainPeople, u)
	if digest(plainPeople, users()) != same || digest("\n"+plainPeople, u) != same || digest(strings.Replace(plainPeople, "[mapping.attributes]", "paused = true\n[mapping.attributes]", 1), u) != same {
		t.Error("the digest differs where the mapping does not")
	}
	if digest(strings.Replace(plainPeople, `"skip"`, `"send"`, 1), u) == same || digest(strings.Replace(plainPeople, "first_name +", "last_name +", 1), u) == same {
		t.Error("the digest does not tell mappings apart")
	}
}

func TestHints(t *testing.T) {
	u, o := users(), orders()
	o.PrimaryKey, o.UniqueColumns = []string{"id", "user_id"}, nil
	o.IdentityColumns = o.PrimaryKey
	var b strings.Builder
	for _, h := range load(t, peopleFile+strings.NewReplacer(`{ id = "user_id" }`, `{ email = "note" }`, `note = "note"`, `recipient = "note"`, `email `, `mail `).Replace(orderEvents), u, o).Hints() {
		fmt.Fprintf(&b, "%s: %s\n", h.Mapping, h.Message)
	}
	byMail := strings.Replace(orderEvents, `{ id = "user_id" }`, `{ email = "note" }`, 1)
	for _, h := range load(t, strings.Replace(plainPeople, `email = "email"`, "", 1)+byMail, users(), orders()).Hints() {
		fmt.Fprintf(&b, "%s: %s\n", h.Mapping, h.Message)
	}
	odd := table("public.odd", col("id", "int8"), col("_x", "text"), col("unsubscribed", "bool"), col("a.b", "text"), col("cio_id", "text"), col("fine", "text"))
	for _, h := range load(t, `
[[mapping]]
name = "odd"
table = "public.odd"
object = "person"
behavior = "update_or_create"
person = { id = "id" }
key = ["fine"]
[mapping.attributes]
"*" = true
`, odd).Hints() {
		fmt.Fprintf(&b, "%s: %s\n", h.Mapping, h.Message)
	}
	golden(t, "testdata/hints.txt", b.String())
}

// TestKeys: what Keys announces is what Map then asks for.
func TestKeys(t *testing.T) {
	u, o := users(), orders()
	o.OID = 1001
	m := load(t, plainPeople+orderEvents, u, o)
	batch := &cdc.Batch{Changes: []cdc.Change{
		*insert(u, map[string]any{"id": 1, "email": "e"}),
		*insert(o, map[string]any{"id": 900, "user_id": 1}),
		{Kind: cdc.Update, Table: u, New: full(u, map[string]any{"id": 3}), Old: tuple(u, map[string]any{"id": 2}), KeyOnly: true},
		{Kind: cdc.Delete, Table: u, Old: tuple(u, map[string]any{"id": 4}), KeyOnly: true},
		{Kind: cdc.Delete, Table: o, Old: tuple(o, map[string]any{"id": 900}), KeyOnly: true},
		{Kind: cdc.Truncate, Table: u},
	}}
	var got []string
	m.Keys(batch, func(touch Touch) {
		row, _ := DecodeKey(touch.Row)
		prior, _ := DecodeKey(touch.Prior)
		got = append(got, fmt.Sprintf("%d %v %v %s:%s %v", touch.Mapping, row, prior, touch.Person, touch.Name, touch.IsEvent && touch.EventKey == customerio.EventKey("orders", "900")))
	})
	want := []string{
		"0 [1] [] id:1 false", "1 [900] [] id:1 true", "0 [3] [2] id:3 false", "0 [4] [] identifier(0): false", "1 [900] [] identifier(0): false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzConfig: no file makes the reader panic, and what it takes without a
// problem compiles or is refused with problems.
func FuzzConfig(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.toml")
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	f.Add(peopleFile)
	f.Add(orderEvents)
	f.Fuzz(func(t *testing.T, source string) {
		doc := strict.Open("f", []byte(source))
		root := doc.Root()
		specs := Parse(root, Environment{Workspaces: []string{"main"}})
		root.Done()
		u := users()
		m, _ := Compile(specs, tables(append(oddTables(), u, orders())...))
		for range 2 {
			m.Map(nil, insert(u, map[string]any{"id": 1, "email": "e"}), remembered{})
		}
	})
}

// TestOffline reads a file without knowing its workspaces.
func TestOffline(t *testing.T) {
	doc := strict.Open("p", []byte(peopleFile))
	specs := Parse(doc.Root(), Environment{})
	if len(specs) != 1 || doc.Problems() != nil {
		t.Error(doc.Problems())
	}
	if got := Tables(specs); !slices.Equal(got, []string{"public.users"}) {
		t.Error(got)
	}
}

// TestExpressionErrors: what an expression says when it fails names no value of
// the row.
func TestExpressionErrors(t *testing.T) {
	u := users()
	for _, text := range []string{
		"int(first_name)", "float(first_name)", "date(first_name)", "fromJSON(first_name)", "meta.a > 1", "meta.a + 1", "duration(first_name)", "date(first_name, '2006')", "plan matches first_name",
		"repeat(first_name, 1000000)", "1..10000000 | sum()", "meta | map(#)", "age * 9223372036854775807 * 9", "fromBase64(first_name)", "timezone(first_name) == nil", "not meta.a", "meta.a and active", "meta.a ? 1 : 2",
		"upper(meta.b)", "join(meta)", "first_name[0:meta.a]", "keys(meta.a)", "first(meta.a)", "-meta.a", "mean(meta.a)", "len(meta.b)", "replace(first_name, '', repeat('x', 1000000))",
	} {
		m := load(t, fmt.Sprintf("[[mapping]]\nname='n'\ntable='users'\nobject='person'\nbehavior='update_only'\nperson={id='id'}\n[mapping.attributes]\nx={expr=%q}", text), u)
		got := mapOne(t, m, insert(u, map[string]any{"id": 1, "first_name": "Secret(", "plan": "p", "age": 7, "active": "t", "meta": `{"a": "Secret", "b": 5}`}), nil)
		if got.Answer != customerio.Refused && text != "first(meta.a)" || strings.Contains(got.Reason, "Secret") {
			t.Errorf("%s: %s", text, show(got))
		}
	}
}

func TestWorkspaces(t *testing.T) {
	u := users()
	mapping := func(name, setting string) string {
		return fmt.Sprintf("[[mapping]]\nname='%s'\ntable='users'\nobject='person'\nbehavior='update_only'\nperson={id='id'}\n%s\n[mapping.attributes]\n\"*\" = true\n", name, setting)
	}
	for _, c := range []struct {
		source     string
		workspaces []string
		want       string
	}{
		{mapping("a", ""), []string{"main"}, ""},
		{mapping("a", ""), []string{"us", "eu"}, `f:1: mapping "a".workspace: is required, since there are several: "us" or "eu"`},
		{mapping("a", "workspace='eus'"), []string{"us", "eu"}, `f:7: mapping "a".workspace: there is no [workspace.eus]; did you mean "us"?`},
		{mapping("a", "workspace='us'") + mapping("b", "workspace='eu'"), []string{"us", "eu"}, ""},
		{mapping("a", "workspace='us'") + mapping("b", "workspace='us'\nexcept=['email','first_name','last_name','plan','age','score','ratio','active','created_at','meta','tags','User Id']"), []string{"us", "eu"},
			`f:18: mapping "b".attributes.deleted_at: mapping "a" sets the attribute "deleted_at" of a person too; one mapping may`},
	} {
		doc := strict.Open("f", []byte(c.source))
		specs := Parse(doc.Root(), Environment{Workspaces: c.workspaces})
		_, more := Compile(specs, tables(u))
		if got := append(doc.Problems(), more...).Error(); got != c.want {
			t.Errorf("%v: %s\nwant %s", c.workspaces, got, c.want)
		}
	}
}

func TestSecrets(t *testing.T) {
	u := users()
	source := "[[mapping]]\nname='a'\ntable='users'\nobject='person'\nbehavior='update_only'\nperson={id='id'}\n[mapping.attributes]\nh = { column = 'email', hash = 'hmac-sha256', hash_key_file = 'key' }\n"
	read := func(file string) (string, error) {
		if file != "key" {
			return "", fmt.Errorf("open %s", file)
		}
		return "key", nil
	}
	doc := strict.Open("f", []byte(source))
	m, problems := Compile(Parse(doc.Root(), Environment{Secret: read}), tables(u))
	if len(doc.Problems())+len(problems) > 0 {
		t.Fatal(doc.Problems(), problems)
	}
	if got := string(mapOne(t, m, insert(u, map[string]any{"id": 1, "email": "a@b.c"}), nil).Operation.Attributes[0].Value); got != `"39ae49c50426b2bd08543508b376ed900cccf8729da709864ff1e0ef842c25b6"` {
		t.Error(got)
	}
	doc = strict.Open("f", []byte(strings.Replace(source, "'key'", "'other'", 1)))
	Parse(doc.Root(), Environment{Secret: read})
	if got := doc.Problems().Error(); got != `f:8: mapping "a".attributes.h.hash_key_file: open other` {
		t.Error(got)
	}
}

// TestAwkwardNames: columns named like functions and words of the language.
func TestAwkwardNames(t *testing.T) {
	tbl := table("public.odd", col("id", "int8"), col("type", "text"), col("date", "date"), col("count", "int4"), col("in", "text"), col("len", "int4"), col("now", "text"), col("first name", "text"), col("new", "text"))
	row := map[string]any{"id": 1, "type": "t", "date": "2024-01-31", "count": 3, "in": "i", "len": 4, "now": "n", "first name": "f", "new": "w"}
	for text, want := range map[string]string{
		`type + "!"`: `"t!"`, `date > date("2024-01-01")`: "true", `count + len`: "7", `len(type) + len`: "5", `row["in"] + row['first name']`: `"if"`,
		`now ?? "x"`: `"n"`, `new`: `"w"`, `let x = row.count; x + 1`: "4", `row["now"]`: `"n"`,
	} {
		m := load(t, fmt.Sprintf("[[mapping]]\nname='n'\ntable='odd'\nobject='person'\nbehavior='update_only'\nperson={id='id'}\n[mapping.attributes]\nx={expr=%q}", text), tbl)
		if got := mapOne(t, m, insert(tbl, row), nil); got.Answer != customerio.In || string(got.Operation.Attributes[0].Value) != want {
			t.Errorf("%s: %s, want %s", text, show(got), want)
		}
	}
	o := orders()
	m := load(t, strings.Replace(orderEvents, "status != 'draft'", "new.status != 'draft' and row.total > 1", 1), o)
	if got := mapOne(t, m, insert(o, map[string]any{"id": 1, "user_id": 2, "status": "paid", "total": "1.50"}), nil); got.Answer != customerio.In {
		t.Error(show(got))
	}
}

// TestMostAttributes: `_update` is one of those that Customer.io counts.
func TestMostAttributes(t *testing.T) {
	u := users()
	for _, c := range []struct {
		behavior string
		most     int
	}{{"update_or_create", 300}, {"update_only", 299}} {
		lines := "[[mapping]]\nname = 'n'\ntable = 'users'\nobject = 'person'\nbehavior = '" + c.behavior + "'\nperson = { id = 'id' }\n[mapping.attributes]\n"
		for i := range c.most {
			lines += fmt.Sprintf("a%d = 'age'\n", i)
		}
		ask := mapOne(t, load(t, lines, u), insert(u, map[string]any{"id": 1, "age": 2}), nil)
		if ask.Answer != customerio.In || len(ask.Operation.Attributes) != c.most || ask.Operation.Check() != "" {
			t.Errorf("%s with %d attributes: %s", c.behavior, c.most, ask.Reason)
		}
		doc := strict.Open("pgcio.toml", []byte(lines+"more = 'age'\n"))
		Parse(doc.Root(), Environment{Workspaces: []string{"main"}})
		if got := doc.Problems().Error(); !strings.Contains(got, fmt.Sprintf("has %d attributes; Customer.io takes %d", c.most+1, c.most)) {
			t.Errorf("%s with one more: %q", c.behavior, got)
		}
		star := table("public.users", col("id", "int8"))
		for i := range c.most + 1 {
			star.Columns = append(star.Columns, col(fmt.Sprintf("c%d", i), "int4"))
		}
		doc = strict.Open("pgcio.toml", []byte(strings.SplitAfter(lines, "[mapping.attributes]\n")[0]+"'*' = true\n"))
		_, problems := Compile(Parse(doc.Root(), Environment{Workspaces: []string{"main"}}), tables(star))
		if got := problems.Error(); !strings.Contains(got, fmt.Sprintf("make %d attributes; Customer.io takes %d", c.most+1, c.most)) {
			t.Errorf("%s with every column: %q", c.behavior, got)
		}
	}
}

// TestZoneWithoutEffect: a setting that changes nothing is refused.
func TestZoneWithoutEffect(t *testing.T) {
	tbl := table("public.t", col("id", "int8"), col("at", "timestamp"), col("day", "date"), col("text", "text"), col("list", "_timestamp"))
	for line, want := range map[string]string{
		`column = "at"`:                   "",
		`column = "day"`:                  "",
		`column = "list"`:                 "",
		`column = "list", as = "string"`:  "",
		`column = "text", as = "unix"`:    "",
		`expr = "text", as = "unix"`:      "",
		`column = "at", as = "string"`:    "zone has no effect on the text of column \"at\"",
		`column = "day", hash = "sha256"`: "zone has no effect on the text of column \"day\"",
		`column = "text"`:                 "zone is for timestamps without one",
		`expr = "at"`:                     "zone has no effect on an expression",
	} {
		doc := strict.Open("pgcio.toml", []byte("[[mapping]]\nname='n'\ntable='t'\nobject='person'\nbehavior='update_or_create'\nperson={id='id'}\n[mapping.attributes]\nx = { zone = \"Europe/Berlin\", "+line+" }"))
		specs := Parse(doc.Root(), Environment{Workspaces: []string{"main"}})
		if err := doc.Problems().Err(); err != nil {
			t.Fatal(err)
		}
		_, problems := Compile(specs, tables(tbl))
		if got := problems.Error(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// TestIdentifierHints: Customer.io ignores a change of an identifier, without a
// word, unless people are named by cio_id.
func TestIdentifierHints(t *testing.T) {
	u := users()
	for _, c := range []struct{ person, attributes, want string }{
		{`{ id = "id" }`, `email = "email"`, "Allow updates to email using ID"},
		{`{ id = "id", email = "email" }`, `email = "email"`, "Allow updates to email using ID"},
		{`{ email = "email" }`, `id = "id"`, "only for people named by cio_id"},
		{`{ id = "id" }`, `phone = "plan"`, "only for people named by cio_id"},
		{`{ id = "id" }`, `id = "id"`, ""},
		{`{ cio_id = "plan" }`, `email = "email"`, ""},
		{`{ id = "id" }`, `mail = "email"`, ""},
	} {
		hints := load(t, "[[mapping]]\nname='n'\ntable='users'\nobject='person'\nbehavior='update_or_create'\nperson="+c.person+"\n[mapping.attributes]\n"+c.attributes, u).Hints()
		if c.want == "" && len(hints) > 0 || c.want != "" && (len(hints) != 1 || !strings.Contains(hints[0].Message, c.want)) {
			t.Errorf("%s, %s: %v, want %q", c.person, c.attributes, hints, c.want)
		}
	}
}
