package state

import (
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
)

// queue folds what a row asks of its thing into the step that waits there, or
// makes it a step of its own.
func (tx *Tx) queue(m *mapping, t *thing, w *weighed, address customerio.Identifier, stops []customerio.Identifier, changes uint64, o *Origin) {
	t.dirty = true
	stamp := min(o.Time.Unix(), tx.now.Unix())
	if last := tx.joinable(m.ws, t, w, address, stops, o); last != nil {
		sent := tx.mayBeSent(t, last)
		if sent {
			// What it wrote may be there, and what it carries from now on is news.
			for h := range t.held {
				if !t.held[h].accepted && tx.stepWrites(last, t.held[h].name) {
					t.held[h].accepted, t.held[h].maybe = true, true
				}
			}
		}
		tx.join(m, t, last, w, stops, changes, o)
		if last.status == ownerless {
			tx.unlist(m.ws, t.key, last)
			last.address = address
			tx.admit(m.ws, t.key, last)
		}
		if sent {
			stamp = max(stamp, t.stamp+1)
		}
		last.stamp = max(last.stamp, stamp)
		t.stamp = max(t.stamp, last.stamp)
		tx.absorb(m.ws, t, last.seq)
		return
	}
	t.steps = append(t.steps, step{
		seq:        tx.next(),
		lane:       laneOf(o),
		status:     waiting,
		commit:     o.Commit,
		born:       o.Commit,
		time:       o.Time.UnixMicro(),
		stored:     tx.now.Unix(),
		stamp:      max(t.stamp+1, stamp),
		updateOnly: w.updateOnly,
		stops:      stops,
		parts:      []part{{m.number, changes, w.attrs}},
	})
	s := &t.steps[len(t.steps)-1]
	s.since, s.joined = s.seq, s.seq
	kind := t.kind()
	if kind.Owned() || kind == customerio.Person && address != thingID(t.key) {
		s.address = address
	}
	t.stamp = s.stamp
	if kind.Owned() {
		tx.admit(m.ws, t.key, s)
	} else {
		tx.enqueue(m.ws, t.key, s)
	}
	tx.absorb(m.ws, t, s.seq)
	if laneOf(o) == laneLive {
		tx.hurry(m.ws, t)
		for _, link := range t.links {
			tx.hurry(m.ws, tx.thing(link.key))
		}
	}
}

// mayBeSent tells whether an earlier run may have sent a waiting step as it is,
// without having seen the reply: what stood behind another has not left.
func (tx *Tx) mayBeSent(t *thing, s *step) bool {
	if s.joined > tx.s.opened {
		return false
	}
	first := func(t *thing) bool {
		return !slices.ContainsFunc(t.steps, func(before step) bool { return before.status == waiting && before.seq < s.seq })
	}
	return first(t) && !slices.ContainsFunc(t.links, func(l link) bool { return l.since <= tx.s.opened && !first(tx.thing(l.key)) })
}

// hurry makes live what waits of a thing: something live waits for it (M11).
func (tx *Tx) hurry(ws uint8, t *thing) {
	for i := range t.steps {
		if s := &t.steps[i]; s.status == waiting && s.lane == laneBackfill && !s.inFlight {
			tx.promote(ws, t.key, s)
			t.dirty = true
		}
	}
}

// absorb folds what is set aside of a thing under the waiting step with this seq,
// as far as they share a mapping: both wait again.
func (tx *Tx) absorb(ws uint8, t *thing, seq uint64) {
	for i := 0; i < len(t.steps); i++ {
		old := &t.steps[i]
		s := &t.steps[slices.IndexFunc(t.steps, func(s step) bool { return s.seq == seq })]
		if old.status != parked && old.status != orphaned || !s.mayTake(old) {
			continue
		}
		if old.bare {
			// The newer change may not say all of what is not known any more.
			tx.readAgain(ws, t, old)
			i--
			continue
		}
		since := s.since
		if !tx.fold(ws, t, old, s) {
			continue
		}
		s.since = since // nobody waits for what was parked
		tx.unlist(ws, t.key, old)
		tx.moveBooks(old, old.status, waiting)
		tx.holdAgain(ws, t, s)
		t.steps = slices.Delete(t.steps, i, i+1)
		i--
	}
}

// fold puts what an older step carries under a newer one that waits, unless it
// would no longer fit.
func (tx *Tx) fold(ws uint8, t *thing, old, newer *step) bool {
	w := weighed{}
	kept := *old
	kept.parts = slices.Clone(old.parts)
	tx.dropStale(t, &kept)
	for i := range kept.parts {
		w.attrs = append(w.attrs, kept.parts[i].attrs...)
	}
	if !tx.fits(t, newer, &w) {
		return false
	}
	before := newer.size()
	under(&kept, newer)
	if newer.status == waiting {
		tx.tally.outboxes[ws].bytes += newer.size() - before
	}
	return true
}

// dropStale takes out of a step what its rows have said anew since: that was queued
// behind it, perhaps in a step that has left. Of several rows of one mapping the
// one that wrote the thing last says what is new.
func (tx *Tx) dropStale(t *thing, old *step) {
	for i := range old.parts {
		p := &old.parts[i]
		var newest *row
		rows := 0
		tx.rowsOf(t, func(_ *mapping, key string, r *row) {
			if r.mapping != p.mapping {
				return
			}
			if rows++; rows == 1 || key == t.writer {
				newest = r
			}
		})
		if newest == nil || rows > 1 && t.writer != rowKey(kindRow, p.mapping, newest.key) {
			continue
		}
		p.attrs = slices.DeleteFunc(slices.Clone(p.attrs), func(a attr) bool {
			said, known := newest.print(a.name)
			return known && said != fingerprint(a.value)
		})
	}
	// What the identifiers taken out would have made the thing let go of, it lets go
	// of by what was said since.
	stops := old.stops
	old.stops = nil
	for i := range old.parts {
		old.stops = append(old.stops, tx.stoppedBy(&old.parts[i], stops)...)
	}
}

// moveBooks moves the changes of a step from one outcome to another.
func (tx *Tx) moveBooks(s *step, from, to status) {
	for i := range s.parts {
		b := tx.book(tx.s.registry.mappings[s.parts[i].mapping])
		*b.under(from) -= s.parts[i].changes
		*b.under(to) += s.parts[i].changes
	}
}

// laneOf gives what was streamed the live lane, also where the row had to be read
// again for it.
func laneOf(o *Origin) uint8 {
	if o.read() && (o.Reread == nil || !o.Reread.news) {
		return laneBackfill
	}
	return laneLive
}

// joinable returns the step that a change may be folded into: the thing's last
// one, if it has not left, belongs to no transaction that is only half stored
// (or the change to the same), and the change would not have to wait for
// anything queued after it (law 8).
func (tx *Tx) joinable(ws uint8, t *thing, w *weighed, address customerio.Identifier, stops []customerio.Identifier, o *Origin) *step {
	var last *step
	for i := range t.steps {
		// One that was set aside and waits again is behind those that came since.
		if s := &t.steps[i]; s.unsettled() && (last == nil || s.seq > last.seq) {
			last = s
		}
	}
	if last == nil || last.inFlight {
		return nil
	}
	if last.stamp < t.stamp {
		return nil // it was set aside, and what has left since is newer than its values
	}
	if (tx.openAt != 0) && (last.commit == tx.openAt) != (o.Commit == tx.openAt) {
		return nil
	}
	if last.updateOnly != w.updateOnly && !t.created {
		return nil // if there is no such person, one does nothing and the other creates it
	}
	if !tx.fits(t, last, w) {
		return nil
	}
	if last.status == ownerless {
		return last // nothing has seen it
	}
	if t.kind().Owned() && customerio.Fold(last.address) != customerio.Fold(address) {
		return nil // what is given from one to another is given twice
	}
	for _, link := range t.links {
		for i := range tx.thing(link.key).steps {
			if s := &tx.thing(link.key).steps[i]; s.status == waiting && s.seq > last.seq {
				return nil
			}
		}
	}
	for _, name := range stops {
		if tx.hangsAfter(ws, name, last.seq) {
			return nil
		}
	}
	return last
}

// fits tells whether the step stays within Customer.io's limits with what is
// to be folded in.
func (tx *Tx) fits(t *thing, s *step, w *weighed) bool {
	// Nearly every step is far from the limits; a bound on its size tells.
	bound, count := 512, len(w.attrs)
	weigh := func(attrs []attr) {
		for _, a := range attrs {
			// Escaping makes a byte of a name six at most.
			bound += 6*len(tx.s.registry.attrs[a.name]) + len(a.value) + len(`"":,`)
		}
	}
	weigh(w.attrs)
	for i := range s.parts {
		count += len(s.parts[i].attrs)
		weigh(s.parts[i].attrs)
	}
	if bound+6*customerio.MaxIdentifier+6*len(t.key) <= customerio.MaxItem && count < customerio.MaxAttributes {
		return true // `_update` may be one more
	}
	op := operationOf(t.key, s)
	for i := range s.parts {
		op.Attributes = appendAttributes(op.Attributes, tx.s.registry.attrs, s.parts[i].attrs)
	}
	op.Attributes = appendAttributes(op.Attributes, tx.s.registry.attrs, w.attrs)
	last := make(map[string]int, len(op.Attributes))
	for i := range op.Attributes {
		last[op.Attributes[i].Name] = i
	}
	merged := make([]customerio.Attribute, 0, len(last))
	for i := range op.Attributes {
		if last[op.Attributes[i].Name] == i {
			merged = append(merged, op.Attributes[i])
		}
	}
	op.Attributes = merged
	return op.Check() == ""
}

func appendAttributes(dst []customerio.Attribute, names []string, attrs []attr) []customerio.Attribute {
	for _, a := range attrs {
		dst = append(dst, customerio.Attribute{Name: names[a.name], Value: a.value})
	}
	return dst
}

// hangsAfter tells whether anything addressed by name was queued after seq and
// is not settled.
func (tx *Tx) hangsAfter(ws uint8, name customerio.Identifier, seq uint64) bool {
	prefix := ownedPrefix(kindHanging, ws, name)
	return tx.hanging[string(prefix)] > seq || tx.any(ownedKey(kindHanging, ws, name, seq+1), after(prefix))
}

// any tells whether a stored key of the range is not deleted here.
func (tx *Tx) any(from, to []byte) (found bool) {
	tx.r.scan(from, to, func(k, _ []byte) bool {
		v, ok := tx.writes[string(k)]
		found = !ok || v != nil
		return !found
	})
	return found
}

// join folds a change into a step: attributes fold, the newer wins.
func (tx *Tx) join(m *mapping, t *thing, s *step, w *weighed, stops []customerio.Identifier, changes uint64, o *Origin) {
	at := slices.IndexFunc(s.parts, func(p part) bool { return p.mapping == m.number })
	if at < 0 {
		s.parts = append(s.parts, part{mapping: m.number})
		at = len(s.parts) - 1
	}
	p := &s.parts[at]
	p.changes += changes
	before := s.size()
	for _, a := range w.attrs {
		i := slices.IndexFunc(p.attrs, func(b attr) bool { return b.name == a.name })
		if i < 0 {
			p.attrs = append(p.attrs, a)
		} else {
			p.attrs[i] = a
		}
	}
	for _, name := range stops {
		if !slices.Contains(s.stops, name) {
			s.stops = append(s.stops, name)
		}
	}
	if s.status == waiting {
		tx.tally.outboxes[m.ws].bytes += s.size() - before
	}
	if at != len(s.parts)-1 && slices.ContainsFunc(w.attrs, func(a attr) bool { return customerio.IsField(tx.s.registry.attrs[a.name]) }) {
		// What two mappings say of a field the newest says last.
		newest := s.parts[at]
		s.parts = append(slices.Delete(s.parts, at, at+1), newest)
	}
	if s.born == 0 {
		s.born, s.time = o.Commit, o.Time.UnixMicro()
	}
	s.joined = tx.next()
	s.commit = max(s.commit, o.Commit)
	s.updateOnly = s.updateOnly && w.updateOnly
	switch {
	case s.lane != laneBackfill || laneOf(o) != laneLive:
	case s.status == waiting:
		tx.promote(m.ws, t.key, s)
	default:
		s.lane = laneLive
	}
}

// enqueue gives a waiting step its place in the queue.
func (tx *Tx) enqueue(ws uint8, key string, s *step) {
	tx.point(queueKey(ws, s.lane, s.seq), key)
	b := &tx.tally.outboxes[ws]
	b.entries++
	b.bytes += s.size()
	for _, owner := range ownersOf(key, s) {
		tx.hang(ws, key, owner, s.seq)
	}
}

// hang enters that an unsettled dependant hangs on an owner so named.
func (tx *Tx) hang(ws uint8, key string, owner customerio.Identifier, seq uint64) {
	tx.point(ownedKey(kindHanging, ws, owner, seq), key)
	if tx.hanging == nil {
		tx.hanging = map[string]uint64{}
	}
	tx.hanging[string(ownedPrefix(kindHanging, ws, owner))] = seq
}

// letHanging lets go what waits for a dependant that is settled, or set aside.
func (tx *Tx) letHanging(ws uint8, key string, s *step) {
	for _, owner := range ownersOf(key, s) {
		tx.settled = append(tx.settled, string(ownedPrefix(kindHanging, ws, owner)))
	}
}

// dequeue takes a step out of the queue.
func (tx *Tx) dequeue(ws uint8, key string, s *step) {
	tx.delete(queueKey(ws, s.lane, s.seq))
	b := &tx.tally.outboxes[ws]
	b.entries--
	b.bytes -= s.size()
	for _, owner := range ownersOf(key, s) {
		tx.delete(ownedKey(kindHanging, ws, owner, s.seq))
	}
}

// promote moves a step that something live waits for to the live queue, at its
// own place.
func (tx *Tx) promote(ws uint8, key string, s *step) {
	tx.delete(queueKey(ws, s.lane, s.seq))
	s.lane = laneLive
	tx.point(queueKey(ws, s.lane, s.seq), key)
	tx.ready = append(tx.ready, entry{ws: ws, lane: laneLive, seq: s.seq, key: key})
}
