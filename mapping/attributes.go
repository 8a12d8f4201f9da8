package mapping

import (
	"slices"
	"strings"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/strict"
)

// alwaysSetting are settings that nobody would name an attribute: below
// [mapping.attributes] they are a mistake. Whoever does want an attribute of
// that name writes { column = … }; see misplaced.
var alwaysSetting = map[string]bool{
	"where": true, "when": true, "suppress_when": true, "behavior": true, "event_id": true,
	"timestamp": true, "event": true, "workspace": true, "key": true,
	"nulls": true, "oversize": true, "backfill": true, "backfill_where": true, "was": true, "paused": true,
	"delete_limit": true, "min_interval": true, "keep": true, "object_type": true, "object_id": true,
	"on_delete": true, "on_leave": true, "on_key_change": true, "on_truncate": true, "on_remove": true,
}

// attributes opens [mapping.attributes].
func (g *grammar) attributes() *strict.Table { return g.Table.Table("attributes") }

// readAttributes reads [mapping.attributes]: each line a column's name or a table.
func (g *grammar) readAttributes(t *strict.Table, skip bool) {
	s := &g.spec
	except, listed := g.Strings("except")
	for _, name := range t.Keys() {
		v, _ := t.Any(name)
		_, isTable := v.(map[string]any)
		_, isString := v.(string)
		_, isList := v.([]any)
		switch {
		case name == "*":
			s.Star, _ = t.Bool("*")
		case name == "except" && isList:
			except, listed = t.Strings("except")
		case g.misplaced(name, v):
			g.failAt(t.Place(name), "move it above [mapping.attributes]", "%q is a setting of the mapping", name)
		case !isString && !isTable:
			g.failAt(t.Place(name), "for a value that is the same in every row write { value = … }",
				"must be a column's name or a table, but is %s", strict.Describe(v))
		default:
			g.attribute(t, name, skip)
		}
	}
	if !s.Star && listed {
		g.fail("except", `write "*" = true too, or remove it`, `has no effect without "*" = true`)
	}
	s.Except = except
	if most := s.mostAttributes(); len(s.Attributes) > most {
		g.fail("attributes", "", "has %d attributes; Customer.io takes %d in one request", len(s.Attributes), most)
	}
}

// valueSettings are settings that may hold a table, { expr = … } and the like,
// or that look as if they might.
var valueSettings = []string{"where", "when", "suppress_when", "event", "event_id", "timestamp", "object_type", "object_id"}

// misplaced tells a mapping's setting that stands among the attributes from an
// attribute of the same name, which is a column's name or a table. A setting
// that stands above as well cannot have been meant a second time.
func (g *grammar) misplaced(name string, v any) bool {
	switch v := v.(type) {
	case string:
		return alwaysSetting[name] || name == "last_used" && g.ofDevice(name)
	case map[string]any:
		if name == "last_used" {
			return g.ofDevice(name)
		}
		if slices.Contains(valueSettings, name) {
			return g.form != nil && g.form.takes(name) && !g.Has(name)
		}
		if name != "person" {
			return false
		}
		for _, k := range []string{"id", "email", "cio_id", "of"} {
			if _, is := v[k]; is {
				return true
			}
		}
		return false
	}
	return slices.Contains(allKeys(), name)
}

// noNulls is why null is never sent of a device.
const noNulls = "of a device cannot be sent: its attributes are text at Customer.io, and null is left out"

// ofDevice tells whether a setting of devices stands in the wrong place.
func (g *grammar) ofDevice(name string) bool {
	return g.form != nil && g.form.object == "device" && !g.Has(name)
}

// attribute reads one line.
func (g *grammar) attribute(t *strict.Table, name string, skip bool) {
	a := Attribute{Name: name, SkipNulls: skip}
	at := t.Place(name)
	if reason := customerio.CheckAttributeName(name); reason != "" {
		g.failAt(at, "", "%s", reason)
	}
	if why := reserved(g.spec.Object, name); why != "" {
		g.failAt(at, "choose another name", "the attribute's name is reserved: %s", why)
	}
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		g.failAt(at, "", "a path into a nested attribute has an empty part")
	}
	said := false
	if text, is := anyString(t, name); is {
		if text == "" {
			g.failAt(at, "", "is empty; a column's name is expected")
			return
		}
		a.Value = Value{Form: FromColumn, Column: text, at: at}
	} else {
		inner := t.Table(name)
		a.Value = g.valueOf(inner)
		said = g.options(inner, &a)
		if a.Form != None {
			inner.Done()
		}
	}
	if g.spec.Object == "person" && recipientsChange(name) && !said {
		g.failAt(at, `write { column = …, send = "changed" } (or "always")`, "recipients change %s too, so it must say when it is sent", name)
	}
	if a.Form != None {
		g.spec.Attributes = append(g.spec.Attributes, a)
	}
}

// options reads what may stand beside an attribute's value, and tells whether
// `send` was among it.
func (g *grammar) options(t *strict.Table, a *Attribute) (said bool) {
	if v, ok := t.Enum("as", "string", "number", "bool", "unix", "json"); ok {
		for as := AsString; as <= AsJSON; as++ {
			if as.String() == v {
				a.As = as
			}
		}
	}
	if v, ok := t.String("zone"); ok {
		zone, err := time.LoadLocation(v)
		if err != nil || v == "" || v == "Local" {
			g.failAt(t.Place("zone"), `write one like "Europe/Berlin"`, "%q is not the name of a time zone", v)
		} else {
			a.Zone = zone
		}
	}
	if v, ok := t.Enum("nulls", "send", "skip"); ok {
		a.SkipNulls = v == "skip"
		if g.spec.Object == "device" && !a.SkipNulls {
			g.failAt(t.Place("nulls"), "remove it", "%s", noNulls)
		}
	}
	if v, ok := t.Enum("send", "always", "changed"); ok {
		a.OnChange = v == "changed"
		said = true
	}
	a.Passive, _ = t.Bool("passive")
	g.hash(t, a)
	if a.Form == Literal {
		for _, k := range []string{"as", "zone", "nulls", "hash"} {
			if t.Has(k) {
				g.failAt(t.Place(k), "remove it", "has no effect on a value that the file gives")
			}
		}
	}
	if a.Passive && a.OnChange {
		g.failAt(t.Place("passive"), "", `an attribute is passive or has send = "changed", not both`)
	}
	if a.Hash != NoHash && a.As != AsIs && a.As != AsString {
		g.failAt(t.Place("as"), "remove it", "a hash is a string")
	}
	return said || t.Has("send")
}

func (g *grammar) hash(t *strict.Table, a *Attribute) {
	v, ok := t.Enum("hash", "sha256", "hmac-sha256")
	key, hasKey := t.String("hash_key")
	file, hasFile := t.String("hash_key_file")
	switch {
	case hasKey && hasFile:
		g.failAt(t.Place("hash_key_file"), "", "hash_key and hash_key_file exclude each other")
	case hasFile && g.env.Secret != nil:
		text, err := g.env.Secret(file)
		if err != nil {
			g.failAt(t.Place("hash_key_file"), "", "%v", err)
		}
		key = text
	case hasKey && key == "":
		g.failAt(t.Place("hash_key"), "", "is empty")
	}
	switch {
	case !ok:
		if (hasKey || hasFile) && !t.Has("hash") {
			g.failAt(t.Here(), `write hash = "hmac-sha256"`, "a hash_key without hash has no effect")
		}
	case v == "sha256":
		a.Hash = SHA256
		if hasKey || hasFile {
			g.failAt(t.Place("hash"), `write hash = "hmac-sha256"`, "sha256 takes no hash_key")
		}
	default:
		a.Hash = HMACSHA256
		a.HashKey = []byte(key)
		if !hasKey && !hasFile {
			g.failAt(t.Place("hash"), "", "hmac-sha256 needs hash_key or hash_key_file")
		}
	}
}

// names are the attributes of a spec that can be compared with another's.
type names func(s *Spec) []string

// explicitNames are the attributes a spec has a line for.
func explicitNames(s *Spec) []string {
	out := make([]string, len(s.Attributes))
	for i := range s.Attributes {
		out[i] = s.Attributes[i].Name
	}
	return out
}

// conflicts reports every attribute of people that two mappings of a workspace
// set, and every one that contains another.
func conflicts(specs []Spec, of names) []strict.Problem {
	type owner struct {
		spec int
		name string
	}
	var problems []strict.Problem
	set := map[string]owner{}
	for i := range specs {
		s := &specs[i]
		if s.Object == "event" {
			continue // each event has data of its own
		}
		kind := s.Workspace + "\x00" + s.Object + "\x00" + s.ObjectType.text() + "\x00"
		for _, name := range of(s) {
			for path := name; path != ""; {
				if o, taken := set[kind+path]; taken {
					problems = append(problems, clash(specs, o.spec, o.name, i, name))
					break
				}
				cut := strings.LastIndexByte(path, '.')
				path = path[:max(cut, 0)]
			}
			set[kind+name] = owner{i, name}
		}
		for _, name := range of(s) { // a path set before the whole
			for key, o := range set {
				if strings.HasPrefix(key, kind+name+".") && !(o.spec == i && strings.HasPrefix(name, o.name)) {
					problems = append(problems, clash(specs, o.spec, o.name, i, name))
				}
			}
		}
	}
	return unique(problems)
}

// text tells two values of the file apart.
func (v *Value) text() string { return v.Column + "\x00" + v.Expr + "\x00" + string(v.JSON) }

func clash(specs []Spec, a int, aName string, b int, bName string) strict.Problem {
	at := specs[b].at.Under("attributes").Under(bName)
	for _, x := range specs[b].Attributes {
		if x.Name == bName && x.at.Line > 0 {
			at.Line = x.at.Line
		}
	}
	switch {
	case a == b:
		return at.Problem("", "the attributes %q and %q contain each other", aName, bName)
	case aName == bName:
		return at.Problem("", "mapping %q sets the attribute %q of %s too; one mapping may", specs[a].Name, aName, one(specs[b].Object))
	}
	return at.Problem("", "mapping %q sets %q of %s, and %q contains or is part of it; one mapping may", specs[a].Name, aName, one(specs[b].Object), bName)
}

// one puts the article before an object's name.
func one(object string) string {
	if object == "object" {
		return "an object"
	}
	return "a " + object
}

func unique(problems []strict.Problem) []strict.Problem {
	var out []strict.Problem
	for _, p := range problems {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
