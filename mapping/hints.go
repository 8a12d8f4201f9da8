package mapping

import (
	"fmt"
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
)

// ruleHints are the hints that one mapping gives by itself.
func (c *ruleCompiler) ruleHints(r *rule) {
	s := r.spec
	if s.Object == "event" {
		c.eventHints(r)
		return
	}
	if s.Object != "person" {
		return
	}
	for _, a := range s.Attributes {
		if recipientsChange(a.Name) {
			word, effect := "changed", "only a change of the column is sent"
			if !a.OnChange {
				word, effect = "always", "the column's value overrides theirs whenever it differs from what was last sent"
			}
			c.hint("%s is mapped, and recipients change it too: with send = %q %s", a.Name, word,
				effect)
		}
	}
	c.identifierHints()
}

// identifierHints warn of identifiers that a mapping writes beside the one by
// which it names people: that Customer.io keeps the old one it does not say.
func (c *ruleCompiler) identifierHints() {
	s := &c.spec
	named := func(t customerio.IdentifierType) bool {
		return slices.ContainsFunc(s.Person, func(id Identifier) bool { return id.Type == t })
	}
	if len(s.Person) == 0 || len(s.Person) == 1 && named(customerio.CioID) {
		return
	}
	for _, a := range s.Attributes {
		t, is := customerio.Identifying(a.Name)
		if !is || len(s.Person) == 1 && named(t) {
			continue
		}
		unless, fix := "only for people named by cio_id", ""
		if t == customerio.Email && named(customerio.ID) {
			unless = `only if the workspace's setting "Allow updates to email using ID" is on`
			fix = "see that it is on, at Customer.io under Settings > Workspace Settings > General Workspace Settings"
		}
		c.hint("it names people by %s and sets %s, which identifies them too: Customer.io changes one that a person has %s, and else accepts the change and ignores it",
			s.Person[0].Type, a.Name, unless)
		c.hints[len(c.hints)-1].Fix = fix
	}
}

func (c *ruleCompiler) eventHints(r *rule) {
	s := r.spec
	switch s.EventID.Form {
	case FromColumn:
		unique := slices.Contains(c.table.UniqueColumns, s.EventID.Column) ||
			len(c.table.PrimaryKey) == 1 && c.table.PrimaryKey[0] == s.EventID.Column
		if !unique && c.table.Index(s.EventID.Column) >= 0 {
			c.hint("event_id = %q: no unique index of %s is over that column alone, and of two rows with the same event id only the first becomes an event", s.EventID.Column, c.table)
		}
	case FromExpr:
		c.hint("event_id is an expression: of two rows for which it gives the same, only the first becomes an event")
	}
	if i := c.table.Index(s.Timestamp.Column); s.Backfill && s.Timestamp.Form == FromColumn && i >= 0 && !c.table.Columns[i].NotNull {
		c.hint("timestamp = %q may be null, and a row that is read without its time is parked", s.Timestamp.Column)
	}
	if r.where != nil {
		for _, column := range r.where.columns {
			if !slices.Contains(c.table.PrimaryKey, column) {
				c.hint("where reads %s and is judged once, on the inserted row as its transaction leaves it; a later update of it makes no event", column)
				break
			}
		}
	}
	for _, a := range s.Attributes {
		if slices.Contains(eventOverrides, a.Name) {
			c.hint("the attribute %s overrides the setting of that name in every campaign the event triggers", a.Name)
		}
	}
}

// nameHints warn where two mappings of a workspace name people by identifiers
// that no row connects: an id here, an email there.
func nameHints(rules []*rule) []Hint {
	var hints []Hint
	for i, r := range rules {
		for _, other := range rules[:i] {
			if len(r.person) == 0 || len(other.person) == 0 || other.spec.Workspace != r.spec.Workspace || connected(rules, r, other) {
				continue
			}
			hints = append(hints, Hint{Mapping: r.spec.Name, Message: fmt.Sprintf(
				"it names people by %s and mapping %q by %s, and no mapping of a person gives both: Customer.io may hold two profiles for one person, and pgcio cannot keep their order",
				r.person[0].kind, other.spec.Name, other.person[0].kind)})
			break
		}
	}
	return hints
}

// ownerHints warn of what hangs on people, or on objects, that no mapping of its
// workspace makes: pgcio cannot know whether Customer.io has them.
func ownerHints(rules []*rule) []Hint {
	var hints []Hint
	for _, r := range rules {
		if !r.info.Kind.Owned() {
			continue
		}
		makes := func(kind customerio.Kind, suits func(*rule) bool) bool {
			return slices.ContainsFunc(rules, func(o *rule) bool {
				return o.info.Kind == kind && o.spec.Behavior != "update_only" && o.spec.Workspace == r.spec.Workspace && suits(o)
			})
		}
		what := map[customerio.Kind]string{customerio.Event: "events", customerio.Device: "devices", customerio.Relationship: "relationships"}[r.info.Kind]
		if !makes(customerio.Person, func(o *rule) bool {
			return slices.ContainsFunc(r.person, func(id identifier) bool { return o.gives(id.kind) })
		}) {
			hints = append(hints, Hint{Mapping: r.spec.Name, Message: fmt.Sprintf("no mapping of the workspace creates people by %s: %s of somebody whom Customer.io does not know are lost, or of an empty profile",
				r.person[0].kind, what)})
		}
		if r.info.Kind == customerio.Relationship && !makes(customerio.Object, func(o *rule) bool { return o.spec.ObjectType.mayBe(&r.spec.ObjectType) }) {
			hints = append(hints, Hint{Mapping: r.spec.Name, Message: "no mapping of the workspace creates objects of its object_type: relationships to one that Customer.io does not have are lost, or to an empty object"})
		}
	}
	return hints
}

// mayBe tells whether two values can be the same: what rows say is not known.
func (v *Value) mayBe(o *Value) bool {
	return v.Form != Literal || o.Form != Literal || string(v.JSON) == string(o.JSON)
}

// connected tells whether an identifier by which a names people and one by
// which b does are the same, or are both given by a mapping of people.
func connected(rules []*rule, a, b *rule) bool {
	for _, x := range a.person {
		for _, y := range b.person {
			if x.kind == y.kind {
				return true
			}
			for _, r := range rules {
				if r.spec.Object == "person" && r.spec.Workspace == a.spec.Workspace && r.gives(x.kind) && r.gives(y.kind) {
					return true
				}
			}
		}
	}
	return false
}

// gives tells whether a mapping of people addresses them by an identifier or
// writes it.
func (r *rule) gives(kind customerio.IdentifierType) bool {
	return slices.ContainsFunc(r.person, func(id identifier) bool { return id.kind == kind }) ||
		slices.ContainsFunc(r.attributes, func(a attribute) bool { return a.Name == kind.String() })
}
