package state

import (
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
)

// inlineRows is how many rows' inventory a thing's record holds itself. Nearly
// every thing has one row; a record that grew with each would make a change of
// a thing of many rows cost what all of them weigh.
const inlineRows = 4

// attach lets a row hold a thing, with nothing known of what it asked before.
func (tx *Tx) attach(m *mapping, key, thingName string, owner customerio.Identifier) (*thing, *row) {
	t := tx.thing(thingName)
	t.dirty = true
	if t.fresh && t.kind() == customerio.Person {
		name := thingID(thingName)
		tx.uses(m.ws, &tx.s.registry.workspaces[m.ws].named, name.Type)
		if tx.s.registry.workspaces[m.ws].held&(1<<name.Type) != 0 {
			// Others may hold this very identifier as an attribute.
			for _, other := range tx.name(nameKey(m.ws, name)).things {
				if other != thingName {
					tx.link(t, tx.thing(other))
				}
			}
		}
	}
	_, rowPart := splitRowKey(key)
	t.fresh = false
	r := row{mapping: m.number, key: []byte(rowPart), generation: m.generation, owner: owner}
	tx.depend(m.ws, thingName, &r)
	if len(t.rows) < inlineRows {
		t.rows = append(t.rows, r)
		tx.setPlace(&place{key: key, thing: thingName})
		return t, &t.rows[len(t.rows)-1]
	}
	t.spilled++
	p := &place{key: key, thing: thingName, body: &r}
	tx.setPlace(p)
	tx.put(rowOfKey(thingName, key), []byte{})
	return t, p.body
}

// uses enters that a type of identifier is in use.
func (tx *Tx) uses(ws uint8, set *uint64, t customerio.IdentifierType) {
	if *set&(1<<t) == 0 {
		// Too much is harmless, should the transaction fail.
		tx.s.quick.Lock() // Draw reads it
		*set |= 1 << t
		tx.s.quick.Unlock()
		tx.put(appendWorkspaces(tx.s.registry.workspaces))
	}
}

// detach takes a row off the thing it holds. The thing goes on having the
// identifiers that the row wrote until a step that stops them is accepted.
func (tx *Tx) detach(p *place) {
	p.gone = true
	tx.places[p.key] = p
	if p.thing == "" {
		return
	}
	t := tx.thing(p.thing)
	t.dirty = true
	if p.body != nil {
		t.spilled--
		tx.delete(rowOfKey(p.thing, p.key))
		tx.undepend(t, p.body)
		return
	}
	mapping, key := splitRowKey(p.key)
	at := slices.IndexFunc(t.rows, func(r row) bool { return r.mapping == mapping && string(r.key) == key })
	if at < 0 {
		return
	}
	gone := t.rows[at]
	t.rows = slices.Delete(t.rows, at, at+1)
	tx.undepend(t, &gone)
}

// rowOfKey indexes the rows of a thing that have a record of their own.
func rowOfKey(thingName, row string) []byte {
	b := make([]byte, 0, 2+len(thingName)+len(row))
	b = append(b, kindRowOf)
	b = append(b, thingName...)
	b = append(b, 0)
	return append(b, row...)
}

// rowsOf visits every row that holds the thing, as far as they are stored.
func (tx *Tx) rowsOf(t *thing, visit func(m *mapping, key string, r *row)) {
	g := &tx.s.registry
	for i := range t.rows {
		r := &t.rows[i]
		visit(g.mappings[r.mapping], rowKey(kindRow, r.mapping, r.key), r)
	}
	if t.spilled == 0 {
		return
	}
	prefix := rowOfKey(t.key, "")
	var keys []string
	tx.r.scan(prefix, after(prefix), func(k, _ []byte) bool {
		keys = append(keys, string(k[len(prefix):]))
		return true
	})
	if uint64(len(keys)) < t.spilled { // some have come in this transaction
		for key, p := range tx.places {
			if p.body != nil && !p.gone && p.thing == t.key && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	for _, key := range keys {
		if p := tx.place(key); p != nil && p.body != nil && p.thing == t.key {
			visit(g.mappings[p.body.mapping], key, p.body)
		}
	}
}

// releaseOwner lets go what waited for the thing as its owner.
func (tx *Tx) releaseOwner(ws uint8, t *thing) {
	if tx.tally.outboxes[ws].ownerless == 0 && !tx.orphans(ws) {
		return
	}
	tx.releaseNamed(ws, thingID(t.key))
	for _, h := range t.held {
		tx.releaseNamed(ws, h.name)
	}
}

// orphans tells whether the workspace has orphaned dependants.
func (tx *Tx) orphans(ws uint8) bool {
	for n := range tx.tally.asides {
		if tx.tally.asides[n][orphaned] > 0 && tx.s.registry.mappings[n].ws == ws {
			return true
		}
	}
	return false
}

// releaseNamed lets go what waited under a name, if anything did.
func (tx *Tx) releaseNamed(ws uint8, name customerio.Identifier) {
	prefix := ownedPrefix(kindOwnerOf, ws, name)
	if tx.owned[string(prefix)] || tx.any(prefix, after(prefix)) {
		tx.sweepLater(sweepOwner, prefix)
	}
}

// letGo lets what was parked because another thing held the identifier try
// again, now that one has let go of it.
func (tx *Tx) letGo(ws uint8, name customerio.Identifier, rec *nameRecord) {
	keys := append(slices.Clone(rec.things), thingKey(ws, customerio.Person, name))
	for _, key := range keys {
		if !tx.exists(key) {
			continue
		}
		t := tx.thing(key)
		for i := 0; i < len(t.steps); i++ {
			if s := &t.steps[i]; s.status == parked && s.heldBy(name) {
				if tx.again(ws, t, s) {
					i--
				}
			}
		}
	}
}
