package state

import (
	"context"
	"fmt"
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
)

// Settled is how an item ended.
type Settled struct {
	Item    *Item
	Verdict customerio.Verdict
}

// Settle enters how items ended: what was accepted is forgotten, what was
// refused is folded, split or parked. Only the version that was sent is settled.
func (s *Store) Settle(ctx context.Context, settled []Settled) error {
	return s.Update(ctx, func(tx *Tx) error {
		for _, one := range settled {
			switch one.Verdict.Kind {
			case customerio.Accepted:
				tx.accepted(one.Item)
			case customerio.Rejected:
				tx.refused(one.Item, one.Verdict.Reason)
			default:
				return fmt.Errorf("settle the %s of %s: it has no verdict", one.Item.Operation.Action, one.Item.Operation.Thing())
			}
		}
		tx.then(func() {
			for _, one := range settled {
				s.land(one.Item)
			}
		})
		return nil
	})
}

// Abandon gives items back that were drawn and not sent.
func (s *Store) Abandon(items []*Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.land(items...)
	for _, it := range items {
		s.lanesOf(it.ws).push(entry{ws: it.ws, lane: it.lane, seq: it.seq, key: it.key})
	}
	s.wake()
}

// stepOf finds the step that an item is, and where to take it out.
func (tx *Tx) stepOf(it *Item) (st *step, remove func()) {
	if it.key[0] == kindEvent {
		e := tx.event(it.key)
		if e == nil || e.step == nil || e.step.seq != it.seq {
			return nil, nil
		}
		e.dirty = true
		return e.step, func() { e.step = nil }
	}
	t := tx.thing(it.key)
	at := slices.IndexFunc(t.steps, func(s step) bool { return s.seq == it.seq })
	if at < 0 {
		return nil, nil
	}
	t.dirty = true
	return &t.steps[at], func() {
		t.steps = slices.DeleteFunc(t.steps, func(s step) bool { return s.seq == it.seq })
	}
}

func (tx *Tx) accepted(it *Item) {
	st, remove := tx.stepOf(it)
	if st == nil {
		return
	}
	tx.dequeue(it.ws, it.key, st)
	tx.letHanging(it.ws, it.key, st)
	for i := range st.parts {
		b := tx.book(tx.s.registry.mappings[st.parts[i].mapping])
		b.Waiting -= st.parts[i].changes
		b.Delivered += st.parts[i].changes
	}
	tx.book(tx.s.registry.mappings[st.parts[0].mapping]).Sent++
	if st.isEvent() {
		remove()
		return
	}
	t := tx.thing(it.key)
	t.sent = tx.now.UnixMilli()
	sent := *st
	remove()
	tx.settled = append(tx.settled, t.key)
	if t.kind().Owned() {
		t.created, t.taken = true, max(t.taken, sent.seq)
		return
	}
	gained := tx.heldNow(it.ws, t, &sent)
	if !sent.updateOnly && !t.created {
		t.created = true
		tx.sayAgain(t)
		tx.releaseOwner(it.ws, t)
		tx.sendDependants(it.ws, thingID(t.key), sent.seq)
		for _, h := range t.held {
			if h.accepted {
				tx.sendDependants(it.ws, h.name, sent.seq)
			}
		}
	} else if len(gained) > 0 {
		tx.releaseOwner(it.ws, t)
		for _, name := range gained {
			tx.sendDependants(it.ws, name, sent.seq)
		}
	}
	for _, name := range gained {
		if key := thingKey(it.ws, customerio.Person, name); tx.exists(key) {
			tx.repeat(tx.thing(key))
		}
	}
}

// heldNow enters which identifiers Customer.io has for the thing after a step:
// those the step wrote, and no longer those it stopped, which the thing lets go
// of unless a step behind it writes them again. It returns those the thing did
// not have before.
func (tx *Tx) heldNow(ws uint8, t *thing, sent *step) (gained []customerio.Identifier) {
	for h := range t.held {
		if tx.stepWrites(sent, t.held[h].name) {
			if !t.held[h].accepted || t.held[h].maybe {
				gained = append(gained, t.held[h].name)
			}
			t.held[h].accepted, t.held[h].maybe = true, false
		}
	}
	for _, name := range sent.stops {
		if tx.stepWrites(sent, name) {
			continue // given up and taken back within the step
		}
		again := false
		for i := range t.steps {
			again = again || tx.stepWrites(&t.steps[i], name)
		}
		if !again {
			tx.release(ws, t, name)
			continue
		}
		for h := range t.held {
			if t.held[h].name == name {
				t.held[h].accepted, t.held[h].maybe = false, false
			}
		}
	}
	return gained
}

// stepWrites tells whether the step writes the identifier.
func (tx *Tx) stepWrites(s *step, name customerio.Identifier) bool {
	return writesName(tx.s.registry.attrs, s, name)
}

// sayAgain queues for another reading what rows say that only update, now that
// the person they name has been created: what they said before did nothing.
func (tx *Tx) sayAgain(t *thing) {
	tx.repeat(t)
	for _, link := range t.links {
		if samePerson(link.key, t.key) {
			tx.repeat(tx.thing(link.key))
		}
	}
}

// repeat queues for another reading the rows of a thing that only update: there
// is a person now, or another one, whom they reach.
func (tx *Tx) repeat(t *thing) {
	tx.rowsOf(t, func(m *mapping, key string, r *row) {
		if m.def == nil || !m.def.UpdateOnly || !r.in {
			return
		}
		r.prints = nil
		t.dirty = true
		if p := tx.place(key); p != nil && p.body != nil {
			p.dirty = true
		}
		tx.askAgain(m, r)
	})
}

// refused settles a step that Customer.io will not take. What it carried goes
// along with a newer step beside it that shares a mapping; a step of several
// mappings is tried again by mapping; only alone is it parked.
func (tx *Tx) refused(it *Item, reason string) {
	st, _ := tx.stepOf(it)
	if st == nil {
		return
	}
	if it.orphan && tx.ownerAbsent(it.ws, it.key, st) == "" {
		// Its owner has come meanwhile.
		tx.ready = append(tx.ready, entry{ws: it.ws, lane: st.lane, seq: st.seq, key: it.key})
		return
	}
	if it.held && tx.freed(it.ws, tx.thing(it.key), st) {
		tx.ready = append(tx.ready, entry{ws: it.ws, lane: st.lane, seq: st.seq, key: it.key})
		return
	}
	tx.letHanging(it.ws, it.key, st)
	if st.isEvent() {
		tx.dequeue(it.ws, it.key, st)
		tx.setAside(it, st, reason)
		return
	}
	t := tx.thing(it.key)
	tx.settled = append(tx.settled, t.key)
	at := slices.IndexFunc(t.steps, func(s step) bool { return s.seq == it.seq })
	if len(st.parts) > 1 && !it.orphan {
		// A step that could take one part along may stand behind a newer version
		// of another.
		tx.split(it, t, at)
		return
	}
	if tx.foldUnderOne(it.ws, t, st, t.steps[at+1:]) {
		tx.dequeue(it.ws, it.key, st)
		t.steps = slices.Delete(t.steps, at, at+1)
		return
	}
	tx.dequeue(it.ws, it.key, st)
	tx.forgetPrints(t, st)
	tx.setAside(it, st, reason)
}

// setAside parks a step that has left the queue, or keeps it for its owner.
func (tx *Tx) setAside(it *Item, st *step, reason string) {
	if !it.orphan {
		tx.park(it.key, st, parked, reason)
		return
	}
	tx.park(it.key, st, orphaned, reason)
	tx.awaitOwner(it.ws, it.key, st)
}

// mayTake tells whether a waiting step can carry along what an older one asks:
// they share a mapping, and who was to be created still is.
func (s *step) mayTake(old *step) bool {
	return s.unsettled() && sharesMapping(old, s) && (old.updateOnly || !s.updateOnly)
}

func sharesMapping(a, b *step) bool {
	return slices.ContainsFunc(a.parts, func(p part) bool {
		return slices.ContainsFunc(b.parts, func(q part) bool { return q.mapping == p.mapping })
	})
}

// under folds an older step under a newer one: the newer's values win, and what
// waited for the older one waits for it.
func under(old, newer *step) {
	for i := range old.parts {
		p := &old.parts[i]
		at := slices.IndexFunc(newer.parts, func(q part) bool { return q.mapping == p.mapping })
		if at < 0 {
			newer.parts = append(newer.parts, *p)
			continue
		}
		q := &newer.parts[at]
		q.changes += p.changes
		for _, a := range p.attrs {
			if !slices.ContainsFunc(q.attrs, func(b attr) bool { return b.name == a.name }) {
				q.attrs = append(q.attrs, a)
			}
		}
	}
	newer.since = min(newer.since, old.since)
	newer.born = min(newer.born, old.born)
	newer.time = min(newer.time, old.time)
	for _, name := range old.stops {
		if !slices.Contains(newer.stops, name) {
			newer.stops = append(newer.stops, name)
		}
	}
}

// split makes a refused step of several mappings one of each, so that the
// values Customer.io takes are not parked with those it refuses. What its mapping
// has queued since carries a part along.
func (tx *Tx) split(it *Item, t *thing, at int) {
	st := t.steps[at]
	tx.dequeue(it.ws, it.key, &st)
	alone := make([]step, 0, len(st.parts))
	for i := range st.parts {
		one := st
		one.parts = []part{st.parts[i]}
		one.inFlight = false
		one.stops = tx.stoppedBy(&st.parts[i], st.stops)
		if m := tx.s.registry.mappings[st.parts[i].mapping]; m.def != nil {
			one.updateOnly = m.def.UpdateOnly // the others may have been what creates
		}
		if tx.foldUnderOne(it.ws, t, &one, t.steps[at+1:]) {
			continue
		}
		if len(alone) > 0 {
			// They share no attribute, but two identifies of one person never
			// share a second.
			one.seq = tx.next()
			one.joined = one.seq
			t.stamp++
			one.stamp = t.stamp
		}
		alone = append(alone, one)
	}
	t.steps = slices.Replace(t.steps, at, at+1, alone...)
	for i := range alone {
		s := &t.steps[at+i]
		tx.enqueue(it.ws, t.key, s)
		tx.ready = append(tx.ready, entry{ws: it.ws, lane: s.lane, seq: s.seq, key: t.key})
	}
}

// foldUnderOne puts a step under the first of newer ones that can carry it along.
func (tx *Tx) foldUnderOne(ws uint8, t *thing, old *step, newer []step) bool {
	for i := range newer {
		if newer[i].mayTake(old) && tx.fold(ws, t, old, &newer[i]) {
			return true
		}
	}
	return false
}

// stoppedBy gives those of the identifiers that a step stops which this part of
// it stops: it writes another of their kind, or none.
func (tx *Tx) stoppedBy(p *part, stops []customerio.Identifier) (own []customerio.Identifier) {
	for _, name := range stops {
		if slices.ContainsFunc(p.attrs, func(a attr) bool {
			kind, identifying := customerio.Identifying(tx.s.registry.attrs[a.name])
			return identifying && kind == name.Type
		}) {
			own = append(own, name)
		}
	}
	return own
}

// forgetPrints clears the fingerprints that still equal what a step carried
// that is not going to be sent.
func (tx *Tx) forgetPrints(t *thing, st *step) {
	for i := range st.parts {
		p := &st.parts[i]
		tx.rowsOf(t, func(m *mapping, key string, r *row) {
			if r.mapping != p.mapping {
				return
			}
			for _, a := range p.attrs {
				r.clearPrint(a.name, fingerprint(a.value))
			}
			if place := tx.place(key); place != nil && place.body != nil {
				place.dirty = true
			}
		})
	}
	t.dirty = true
}
