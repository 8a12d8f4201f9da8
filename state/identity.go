package state

import (
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
)

// identify enters which identifying values the step writes, and returns those
// the thing lets go of by it: a person has one email.
func (tx *Tx) identify(ws uint8, t *thing, attrs []attr) (stops []customerio.Identifier) {
	if t.kind() != customerio.Person {
		return nil
	}
	for _, a := range attrs {
		kind, identifying := customerio.Identifying(tx.s.registry.attrs[a.name])
		if !identifying {
			continue
		}
		name, some := customerio.IdentifierOf(kind, a.value)
		for _, h := range t.held {
			if h.name.Type == kind && (!some || h.name != name) {
				stops = append(stops, h.name)
			}
		}
		if some {
			tx.hold(ws, t, name)
		}
	}
	return stops
}

// maxHolders bounds how many things may have, or come to have, one identifier:
// at Customer.io one can. What comes later, such as the address that stands in
// for none, is parked when it is about to leave, and need not be linked to all.
const maxHolders = 32

// hold enters that the thing has the identifier, or may come to have it.
func (tx *Tx) hold(ws uint8, t *thing, name customerio.Identifier) {
	if thingKey(ws, customerio.Person, name) == t.key {
		return // its own name
	}
	workspace := tx.s.registry.workspaces[ws]
	tx.uses(ws, &workspace.held, name.Type)
	rec := tx.name(nameKey(ws, name))
	if slices.Contains(rec.things, t.key) {
		return
	}
	if len(rec.things) >= maxHolders {
		rec.turnedAway, rec.dirty = true, true
		return
	}
	t.held = append(t.held, holding{name: name})
	t.dirty = true
	others := slices.Clone(rec.things)
	if workspace.named&(1<<name.Type) != 0 {
		if own := thingKey(ws, customerio.Person, name); tx.exists(own) && !slices.Contains(others, own) {
			others = append(others, own)
		}
	}
	rec.things = append(rec.things, t.key)
	rec.dirty = true
	for _, other := range others {
		tx.link(t, tx.thing(other))
	}
}

// link enters that two things share an identifier.
func (tx *Tx) link(a, b *thing) {
	for _, pair := range [2][2]*thing{{a, b}, {b, a}} {
		t, other := pair[0], pair[1]
		if !slices.ContainsFunc(t.links, func(l link) bool { return l.key == other.key }) {
			t.links = append(t.links, link{other.key, tx.next()})
			t.dirty = true
		}
	}
}

// unlink takes the links off a thing that has let go of an identifier, to those
// with whom it shares none any more: they need not wait for each other.
func (tx *Tx) unlink(t *thing) {
	t.links = slices.DeleteFunc(t.links, func(l link) bool {
		other := tx.thing(l.key)
		if t.goesBy(thingID(other.key)) || other.goesBy(thingID(t.key)) || slices.ContainsFunc(t.held, func(h holding) bool { return other.goesBy(h.name) }) {
			return false
		}
		other.links = slices.DeleteFunc(other.links, func(l link) bool { return l.key == t.key })
		other.dirty = true
		return true
	})
}

// goesBy tells whether an identifier names the thing, or is, or may come to be, one
// that it has.
func (t *thing) goesBy(name customerio.Identifier) bool {
	return thingID(t.key) == name || slices.ContainsFunc(t.held, func(h holding) bool { return h.name == name })
}

// samePerson tells whether two linked things may be one person: those named by
// different kinds of identifier may, two by the same kind are two people.
func samePerson(a, b string) bool { return a[3] != b[3] }

func (tx *Tx) exists(key string) bool {
	if t, ok := tx.things[key]; ok {
		// One that has just become empty may be filled again, by what trusts that
		// it was linked while it was there.
		return !t.fresh || !t.empty()
	}
	return tx.load(key) != nil
}

// release enters that the thing no longer has the identifier.
func (tx *Tx) release(ws uint8, t *thing, name customerio.Identifier) {
	t.held = slices.DeleteFunc(t.held, func(h holding) bool { return h.name == name })
	t.dirty = true
	rec := tx.name(nameKey(ws, name))
	rec.things = slices.DeleteFunc(rec.things, func(k string) bool { return k == t.key })
	rec.dirty = true
	if tx.orphans(ws) {
		tx.releaseNamed(ws, name) // who was to have it does not come to
	}
	tx.letGo(ws, name, rec)
	tx.unlink(t)
	if rec.turnedAway {
		rec.turnedAway = false
		tx.sweepLater(sweepHeld, []byte(rec.key))
	}
}

// holdAgain enters what a step that was set aside and waits again writes: it may
// have been turned away.
func (tx *Tx) holdAgain(ws uint8, t *thing, s *step) {
	for i := range s.parts {
		tx.identify(ws, t, s.parts[i].attrs)
	}
}
