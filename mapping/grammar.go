package mapping

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/strict"
)

// Environment is what the grammar needs to know from the rest of the file.
type Environment struct {
	// Workspaces are the names of [workspace.*].
	Workspaces []string
	// Secret reads the file that a *_file key names. nil: such keys are taken
	// as they are and not read.
	Secret func(file string) (string, error)
}

// Parse reads [[mapping]] from the document's root. What is wrong is recorded in
// the document; the specs returned have those with such problems at their end, so
// that Compile can tell what does not fit the database all the same.
func Parse(root *strict.Table, env Environment) []Spec {
	var specs, failed []Spec
	names := map[string]string{}
	for _, t := range root.Tables("mapping") {
		g := grammar{Table: t, env: env, told: map[string]bool{}}
		spec := g.mapping()
		if first, taken := names[spec.Name]; taken && spec.Name != "" {
			g.fail("name", "a mapping's name is its identity in the state", "the mapping at %s has this name already", first)
		} else if spec.Name != "" {
			names[spec.Name] = position(spec.at)
		}
		t.Done()
		spec.failed, spec.told = g.failed, g.told
		if spec.failed {
			failed = append(failed, spec)
		} else {
			specs = append(specs, spec)
		}
	}
	was := map[string]bool{}
	for i := range specs {
		old := specs[i].Was
		if old == "" {
			continue
		}
		if at, taken := names[old]; taken {
			root.Add(specs[i].place("was").Problem("", "%q is the name of another mapping (%s)", old, at))
		} else if was[old] {
			root.Add(specs[i].place("was").Problem("", "two mappings cannot both have been %q", old))
		}
		was[old] = true
	}
	for _, p := range conflicts(specs, explicitNames) {
		root.Add(p)
	}
	return append(specs, failed...)
}

func position(p strict.Place) string {
	if p.Line > 0 {
		return fmt.Sprintf("line %d", p.Line)
	}
	return p.Key
}

// grammar reads one [[mapping]].
type grammar struct {
	*strict.Table
	env    Environment
	failed bool
	told   map[string]bool // keys with problems
	spec   Spec
	form   *form
}

// fail records a problem of a key.
func (g *grammar) fail(key, suggestion, format string, args ...any) {
	g.failAt(g.Place(key), suggestion, format, args...)
}

// failAt records a problem of a place.
func (g *grammar) failAt(at strict.Place, suggestion, format string, args ...any) {
	g.failed, g.told[at.Key] = true, true
	g.Add(at.Problem(suggestion, format, args...))
}

func (g *grammar) mapping() Spec {
	before := g.Count()
	s := &g.spec
	s.Name, _ = g.String("name")
	if s.Name != "" {
		g.Call(fmt.Sprintf("mapping %q", s.Name))
	}
	s.at = g.Here()
	s.place = g.Place
	for _, k := range allKeys() {
		g.Has(k) // known, whatever the object
	}
	g.name()
	attributes := g.attributes()
	g.object()
	if g.form != nil {
		g.keysOfOthers()
		g.required(attributes)
	}
	s.Was, _ = g.String("was")
	if s.Was != "" && s.Was == s.Name {
		g.fail("was", "remove it", "is the mapping's own name")
	}
	g.workspace()
	g.table()
	where, ok := g.String("where")
	s.Where = where
	switch {
	case ok && strings.TrimSpace(where) == "":
		g.fail("where", "remove it", "is empty")
	case ok:
		g.expression(g.Place("where"), where)
	}
	g.key()
	s.Paused, _ = g.Bool("paused")
	s.Oversize = "omit"
	if v, ok := g.Enum("oversize", "omit", "park"); ok {
		s.Oversize = v
	}
	skip := false
	if v, ok := g.Enum("nulls", "send", "skip"); ok {
		skip = v == "skip"
	}
	if s.Object == "device" && g.Has("nulls") && !skip {
		g.fail("nulls", "remove it", "%s", noNulls)
	}
	s.SkipNulls = skip
	s.BackfillWhere, _ = g.String("backfill_where")
	s.Backfill = s.Object != "event"
	if v, ok := g.Bool("backfill"); ok {
		s.Backfill = v
	}
	if g.form != nil {
		g.person()
		g.event()
		g.device()
		g.customObject()
	}
	g.readAttributes(attributes, skip)
	if s.BackfillWhere != "" && !s.Backfill && !g.failed {
		g.fail("backfill_where", "remove it, or write backfill = true", "has no effect without a backfill")
	}
	g.failed = g.failed || g.Count() > before
	return *s
}

func (g *grammar) name() {
	s := &g.spec
	switch {
	case !g.Has("name"):
		g.fail("name", "", "is required: it is the mapping's identity in the state")
	case s.Name == "":
		if v, _ := g.Any("name"); v == "" {
			g.fail("name", "", "is empty")
		}
	case len(s.Name) > 100:
		g.fail("name", "", "is %d bytes long; at most 100", len(s.Name))
	case strings.ContainsFunc(s.Name, unicode.IsControl):
		g.fail("name", "", "holds a control character")
	}
}

// object reads object and behavior, which must go together and be built.
func (g *grammar) object() {
	object, okObject := g.Enum("object", objects()...)
	behavior, okBehavior := g.String("behavior")
	if okBehavior && !slices.Contains(behaviors(), behavior) {
		g.fail("behavior", strict.DidYouMean(behavior, builtBehaviors()), "%q is not one of %s", behavior, strict.List(builtBehaviors()))
		okBehavior = false
	}
	if !g.Has("object") {
		g.fail("object", "", "is required: one of %s", strict.List(objects()))
	}
	if !okObject {
		if !g.Has("behavior") {
			g.fail("behavior", "", "is required")
		}
		return
	}
	f := formOf(object)
	if slices.Contains(unbuiltObjects, object) {
		g.fail("object", "", "object %q %s", object, unbuilt)
		return
	}
	g.spec.Object = object
	g.form = f
	switch {
	case !g.Has("behavior"):
		g.fail("behavior", "", "is required: for object %q one of %s", object, strict.List(f.built()))
	case !okBehavior:
	case !slices.Contains(f.behaviors, behavior):
		g.fail("behavior", "", "object %q has no behavior %q; those that exist are %s", object, behavior, combinations())
	case slices.Contains(unbuiltBehaviors[object], behavior):
		g.fail("behavior", "", "behavior %q of object %q %s", behavior, object, unbuilt)
	default:
		g.spec.Behavior = behavior
	}
}

// keysOfOthers refuses keys that exist and that this mapping cannot take.
func (g *grammar) keysOfOthers() {
	for _, key := range g.Keys() {
		switch {
		case !slices.Contains(allKeys(), key):
		case !g.form.takes(key):
			g.fail(key, "remove it", "is not a key of object %q; it is one of %s", g.form.object, strict.List(objectsWith(key)))
		case slices.Contains(unbuiltKeys, key):
			g.fail(key, "", "%q %s", key, unbuilt)
		}
	}
}

// required reports what is missing; a key that stands under [mapping.attributes]
// by mistake is pointed at.
func (g *grammar) required(attributes *strict.Table) {
	for _, key := range append([]string{"table"}, g.form.required...) {
		if g.Has(key) {
			continue
		}
		if attributes != nil && attributes.Has(key) && !alwaysSetting[key] {
			g.fail(key, fmt.Sprintf("move the one at line %d above [mapping.attributes]", attributes.Place(key).Line), "is required for object %q", g.form.object)
			continue
		}
		g.fail(key, "", "is required for object %q", g.form.object)
	}
}

// key reads the columns that identify a row.
func (g *grammar) key() {
	columns, ok := g.Strings("key")
	if !ok {
		return
	}
	if len(columns) == 0 {
		g.fail("key", "remove it where the table has a primary key", "names no column")
	}
	for i, column := range columns {
		switch {
		case column == "":
			g.fail("key", "", "holds an empty column's name")
		case slices.Contains(columns[:i], column):
			g.fail("key", "", "names %q twice", column)
		}
	}
	g.spec.Key = columns
}

// expression records what is wrong with an expression whatever its table is.
func (g *grammar) expression(at strict.Place, text string) {
	if _, _, err := parseExpr(text); err != nil {
		g.failAt(at, err.advice, "%s", err.message)
	}
}

func (g *grammar) workspace() {
	names := g.env.Workspaces
	name, ok := g.String("workspace")
	switch {
	case ok && !slices.Contains(names, name):
		g.fail("workspace", strict.DidYouMean(name, names), "there is no [workspace.%s]", name)
	case ok:
		g.spec.Workspace = name
	case g.Has("workspace"):
	case len(names) == 1:
		g.spec.Workspace = names[0]
	case len(names) > 1:
		g.fail("workspace", "", "is required, since there are several: %s", strict.List(names))
	}
}

// person reads person = { id = …, email = … }.
func (g *grammar) person() {
	if s, is := anyString(g.Table, "person"); is {
		g.fail("person", fmt.Sprintf("write person = { id = %q }", s), "must say which identifier the column holds")
		return
	}
	t := g.Table.Table("person")
	if t == nil {
		return
	}
	for _, key := range t.Keys() {
		var kind customerio.IdentifierType
		switch key {
		case "id":
			kind = customerio.ID
		case "email":
			kind = customerio.Email
		case "cio_id":
			kind = customerio.CioID
		default:
			if slices.Contains(unbuiltPersonKeys, key) {
				t.Has(key)
				t.Problem(key, "", "person = { %s = … } %s", key, unbuilt)
			}
			continue
		}
		g.spec.Person = append(g.spec.Person, Identifier{Type: kind, Value: g.value(t, key, FromColumn)})
	}
	for _, key := range append([]string{"id", "email", "cio_id"}, unbuiltPersonKeys...) {
		t.Has(key)
	}
	if len(t.Keys()) == 0 {
		g.fail("person", "write person = { id = … }, { email = … } or { cio_id = … }", "names nobody")
	}
	t.Done()
}

// event reads what only events have.
func (g *grammar) event() {
	if g.spec.Object != "event" {
		return
	}
	s := &g.spec
	s.Event = g.value(g.Table, "event", Literal)
	s.EventID = g.value(g.Table, "event_id", FromColumn)
	s.Timestamp = g.value(g.Table, "timestamp", FromColumn)
	if s.Event.Form == Literal {
		var name string
		if json.Unmarshal(s.Event.JSON, &name) != nil {
			g.fail("event", "", "must be a string")
		} else if reason := customerio.CheckEventName(strings.TrimSpace(name)); reason != "" {
			g.fail("event", "", "%s", reason)
		}
	}
	if s.EventID.Form == Literal {
		g.fail("event_id", "", "must differ from row to row: name a column or write an expression")
	}
	if s.Backfill && !g.Has("timestamp") {
		g.fail("backfill", "name the column with the event's time: timestamp = …", "of events needs timestamp: without one old events would count as new and start campaigns")
	}
}

// device reads what only devices have.
func (g *grammar) device() {
	if g.spec.Object != "device" {
		return
	}
	s := &g.spec
	s.Token = g.value(g.Table, "token", FromColumn)
	s.Platform = g.value(g.Table, "platform", FromColumn)
	s.LastUsed = g.value(g.Table, "last_used", FromColumn)
	if s.Token.Form == Literal {
		g.fail("token", "", "must differ from row to row: name a column or write an expression")
	}
	if at, ok := parseInt(s.LastUsed.JSON); s.LastUsed.Form == Literal && (!ok || at <= 0 || at > lastSecond) {
		g.fail("last_used", "name the column that holds it", "is no time in Unix seconds")
	}
	if s.Platform.Form != Literal {
		return
	}
	var platform string
	if json.Unmarshal(s.Platform.JSON, &platform) != nil {
		g.fail("platform", "", "must be a string")
	} else if reason := customerio.CheckPlatform(strings.ToLower(platform)); reason != "" {
		advice := strict.DidYouMean(platform, customerio.Platforms)
		g.fail("platform", advice, "%s", reason)
	}
}

// customObject reads what names an object.
func (g *grammar) customObject() {
	if g.spec.Object != "object" && g.spec.Object != "relationship" {
		return
	}
	s := &g.spec
	s.ObjectType = g.value(g.Table, "object_type", Literal)
	s.ObjectID = g.value(g.Table, "object_id", FromColumn)
	if s.ObjectType.Form != Literal {
		return
	}
	kind := strings.Trim(string(s.ObjectType.JSON), `"`)
	if reason := customerio.CheckObject(kind, "id"); reason != "" {
		g.fail("object_type", "write the number that Customer.io shows for it; if a column holds it, write { column = … }", "%s", reason)
	}
	s.ObjectType.JSON = customerio.AppendString(nil, kind)
}
