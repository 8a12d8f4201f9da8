package state

import (
	"encoding/binary"

	"github.com/pgcio/pgcio/internal/customerio"
)

// A dependant hangs on an owner: an event, a device and a relationship on a
// person, a relationship on an object too. It waits for what is queued for its
// owners, and is kept aside while one is known not to be there (law 9). A device
// and a relationship are sent again when their owner is created: what was sent
// before did nothing.

// ownersOf names the owners of a step, folded: none where it hangs on nobody.
func ownersOf(key string, s *step) []customerio.Identifier {
	switch kind := kindOf(key); {
	case !kind.Owned():
		return nil
	case kind == customerio.Relationship:
		object, _ := customerio.ObjectOf(thingID(key))
		return []customerio.Identifier{customerio.Fold(s.address), object}
	}
	return []customerio.Identifier{customerio.Fold(s.address)}
}

// ownersOfRow names those on whom a row hangs its thing.
func ownersOfRow(thing string, r *row) []customerio.Identifier {
	if r.owner.Type == 0 {
		return nil
	}
	if object, has := customerio.ObjectOf(thingID(thing)); has {
		return []customerio.Identifier{r.owner, object}
	}
	return []customerio.Identifier{r.owner}
}

// operationOf is what a step asks, but for its attributes.
func operationOf(key string, s *step) customerio.Operation {
	kind := kindOf(key)
	op := customerio.Operation{Kind: kind, Action: kind.Action(), Person: s.address, Name: s.name, ID: s.id, UpdateOnly: s.updateOnly}
	switch kind {
	case customerio.Event:
		op.Timestamp = s.stamp
		return op
	case customerio.Person:
		op.Timestamp = s.stamp
	}
	op.Names(thingID(key))
	return op
}

// admit gives a dependant's step its place: in the queue, or among those whose
// owner has yet to be met.
func (tx *Tx) admit(ws uint8, key string, s *step) {
	s.seq = tx.next()
	s.since, s.joined = s.seq, s.seq
	if tx.ownerMayCome(ws, key, s) {
		s.status = ownerless
		tx.awaitOwner(ws, key, s)
		tx.tally.outboxes[ws].ownerless++
		return
	}
	s.status = waiting
	tx.enqueue(ws, key, s)
	if s.lane == laneLive {
		tx.hurryOwners(ws, key, s)
	}
}

// awaitOwner enters that a dependant is let go of when its owner is met.
func (tx *Tx) awaitOwner(ws uint8, key string, s *step) {
	if tx.owned == nil {
		tx.owned = map[string]bool{}
	}
	for _, owner := range ownersOf(key, s) {
		tx.point(ownedKey(kindOwnerOf, ws, owner, s.seq), key)
		tx.owned[string(ownedPrefix(kindOwnerOf, ws, owner))] = true
	}
}

// owners visits the things that an owner's name may mean.
func (tx *Tx) owners(ws uint8, name customerio.Identifier, visit func(*thing)) {
	name = customerio.Fold(name)
	if own := ownerKey(ws, name); tx.exists(own) {
		visit(tx.thing(own))
	}
	if name.Type == customerio.ObjectName {
		return
	}
	for _, key := range tx.name(nameKey(ws, name)).things {
		visit(tx.thing(key))
	}
}

// ownerMayCome tells whether an owner of a step has not been met, and may be by
// a first backfill that is running.
func (tx *Tx) ownerMayCome(ws uint8, key string, s *step) bool {
	for _, owner := range ownersOf(key, s) {
		if !tx.s.ownersComing(ws, kindOf(ownerKey(ws, owner))) {
			continue
		}
		met := false
		tx.owners(ws, owner, func(t *thing) { met = met || tx.met(t) })
		if !met {
			return true
		}
	}
	return false
}

// met tells whether a person or an object of ours has been met: Customer.io has
// it from us, or a row that makes such things holds it.
func (tx *Tx) met(t *thing) bool {
	met := t.created
	tx.rowsOf(t, func(m *mapping, _ string, _ *row) {
		met = met || m.def != nil && !m.def.UpdateOnly
	})
	return met
}

// hurryOwners makes live what something live waits for (M11).
func (tx *Tx) hurryOwners(ws uint8, key string, s *step) {
	for _, owner := range ownersOf(key, s) {
		tx.owners(ws, owner, func(t *thing) {
			tx.hurry(ws, t)
			for _, link := range t.links {
				if samePerson(link.key, t.key) {
					tx.hurry(ws, tx.thing(link.key))
				}
			}
		})
	}
}

// dependsKey enters that a thing hangs on an owner.
func dependsKey(ws uint8, owner customerio.Identifier, thing string) []byte {
	return append(ownedPrefix(kindDepends, ws, owner), thing...)
}

// depend enters on whom a row hangs its thing.
func (tx *Tx) depend(ws uint8, thing string, r *row) {
	for _, owner := range ownersOfRow(thing, r) {
		tx.put(dependsKey(ws, owner, thing), []byte{})
	}
}

// undepend takes that back, unless another row hangs the thing on the same. All
// rows of a relationship do.
func (tx *Tx) undepend(t *thing, gone *row) {
	if t.kind() == customerio.Relationship && (len(t.rows) > 0 || t.spilled > 0) {
		return
	}
	for _, owner := range ownersOfRow(t.key, gone) {
		still := false
		tx.rowsOf(t, func(_ *mapping, _ string, r *row) { still = still || r.owner == gone.owner })
		if !still {
			tx.delete(dependsKey(t.key[1], owner, t.key))
		}
	}
}

// sendDependants lets what hangs on an owner be sent again, now that Customer.io
// has an owner of that name by a step with this place: what was sent before that
// reached nobody.
func (tx *Tx) sendDependants(ws uint8, name customerio.Identifier, place uint64) {
	prefix := ownedPrefix(kindDepends, ws, name)
	if !tx.s.registry.hangs(ws) || !tx.any(prefix, after(prefix)) {
		return
	}
	tx.sweepLater(sweepDependants, prefix)
	key := string(append([]byte{kindSweep, sweepDependants}, prefix...))
	if v := tx.load(key); len(v) < 9 || binary.BigEndian.Uint64(v[1:]) < place {
		tx.writes[key] = binary.BigEndian.AppendUint64([]byte{recordVersion}, place)
	}
}

// hangs tells whether mappings in force hang things on others in a workspace.
func (g *registry) hangs(ws uint8) bool {
	for _, m := range g.inForce {
		if m.ws == ws && m.def.Kind.Owned() && m.def.Kind != customerio.Event {
			return true
		}
	}
	return false
}

// sendAgain lets a dependant's rows be read again, to be sent to an owner that is
// there now since the step with this place: one row of each mapping, since all say
// the same thing of it. Not what was sent after that, and not what is still to be
// sent for the first time.
func (tx *Tx) sendAgain(prefix, key string, place uint64) {
	t := tx.thing(key[len(prefix):])
	if t.taken > place {
		return
	}
	flying := false
	for i := range t.steps {
		s := &t.steps[i]
		flying = flying || s.inFlight
		if s.inFlight && s.seq > place {
			return
		}
	}
	if !t.created && !flying {
		return // nothing of it has left: all of it is still to be sent
	}
	asked := map[*mapping]bool{}
	ask := func(m *mapping, key string, r *row) {
		if m.def != nil && r.in && !asked[m] && hangsOn(prefix, t.key, ownersOfRow(t.key, r)) {
			asked[m] = true
			tx.askOnceMore(t, key, r)
			tx.askAgain(m, r)
		}
	}
	stands := false // the row that wrote it last
	tx.rowsOf(t, func(m *mapping, key string, r *row) {
		if key == t.writer {
			stands = true
			ask(m, key, r)
		}
	})
	if t.kind() == customerio.Device && stands {
		return // it is of whom the newest row says
	}
	tx.rowsOf(t, ask)
}

// askOnceMore enters that what a row asks is news, even if it asks what it did and
// carries nothing: a relationship need not have attributes.
func (tx *Tx) askOnceMore(t *thing, key string, r *row) {
	r.again, t.dirty = true, true
	if p := tx.place(key); p != nil && p.body != nil {
		p.dirty = true
	}
}

// hangsOn tells whether the owner that a prefix of kindDepends names is among
// these.
func hangsOn(prefix, thing string, owners []customerio.Identifier) bool {
	for _, owner := range owners {
		if string(ownedPrefix(kindDepends, thing[1], owner)) == prefix {
			return true
		}
	}
	return false
}
