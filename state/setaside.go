package state

import (
	"slices"
	"strings"

	"github.com/pgcio/pgcio/internal/customerio"
)

// again lets a step of a thing that was set aside be tried again. It tells
// whether the step is gone for that.
func (tx *Tx) again(ws uint8, t *thing, s *step) (gone bool) {
	t.dirty = true
	if s.bare {
		tx.readAgain(ws, t, s)
		return true
	}
	tx.requeue(ws, t.key, s)
	tx.holdAgain(ws, t, s)
	return false
}

// readAgain lets the rows of which a step without its values was made be read
// again, and takes the step away: its fingerprints were cleared when it was set
// aside, so what they say is news. The first of the rows stands for its changes.
func (tx *Tx) readAgain(ws uint8, t *thing, s *step) {
	tx.unlist(ws, t.key, s)
	for i := range s.parts {
		p := &s.parts[i]
		m := tx.s.registry.mappings[p.mapping]
		books, changes := tx.book(m), p.changes
		*books.under(s.status) -= changes
		tx.rowsOf(t, func(of *mapping, key string, r *row) {
			if of == m && r.in {
				tx.askOnceMore(t, key, r)
				tx.askFor(m, r, changes)
				changes = 0
			}
		})
		books.Filtered += changes // no row says it any more
	}
	seq := s.seq
	t.steps = slices.DeleteFunc(t.steps, func(s step) bool { return s.seq == seq })
	t.dirty = true
}

// requeue lets a step that was set aside wait again, behind all that waits.
func (tx *Tx) requeue(ws uint8, key string, s *step) {
	tx.unlist(ws, key, s)
	tx.moveBooks(s, s.status, waiting)
	s.status, s.reason = waiting, ""
	s.seq = tx.next()
	s.since, s.joined = s.seq, s.seq
	tx.enqueue(ws, key, s)
}

// unlist takes a step out of the list of what is set aside.
func (tx *Tx) unlist(ws uint8, key string, s *step) {
	if s.status == ownerless || s.status == orphaned {
		for _, owner := range ownersOf(key, s) {
			tx.delete(ownedKey(kindOwnerOf, ws, owner, s.seq))
		}
	}
	if s.status == ownerless {
		tx.tally.outboxes[ws].ownerless--
		return
	}
	tx.unlistAside(s.status, s.parts[0].mapping, s.seq)
}

// listAside enters an entry in the list of what is set aside.
func (tx *Tx) listAside(why status, mapping uint16, seq uint64, key string) {
	tx.point(asideKey(why, mapping, seq), key)
	tx.tally.asides[mapping][why]++
}

// unlistAside takes it out again.
func (tx *Tx) unlistAside(why status, mapping uint16, seq uint64) {
	tx.delete(asideKey(why, mapping, seq))
	tx.tally.asides[mapping][why]--
}

// asidesKept is how many entries of a mapping may be set aside in full. Past
// that only key and reason are kept of what a row can tell again; an event's row
// cannot.
var asidesKept int64 = 100_000

// crowded tells whether so much of a mapping is set aside that no more values
// are kept.
func (t *tally) crowded(m *mapping, more int64) bool {
	for _, n := range t.asides[m.number] {
		more += n
	}
	return more > asidesKept && m.def != nil && m.def.Kind != customerio.Event
}

// park sets a step aside with its reason. It has left the queue.
func (tx *Tx) park(key string, s *step, why status, reason string) {
	tx.moveBooks(s, s.status, why)
	s.status, s.reason = why, reason
	if tx.tally.crowded(tx.s.registry.mappings[s.parts[0].mapping], 1) {
		s.bare, s.stops = true, nil
		for i := range s.parts {
			s.parts[i].attrs = nil
		}
	}
	tx.listAside(why, s.parts[0].mapping, s.seq, key)
}

// heldPrefix begins the reason of a step that is parked because another thing
// holds an identifier; the identifier follows.
const heldPrefix = "the identifier "

func (s *step) heldBy(name customerio.Identifier) bool {
	rest, ok := strings.CutPrefix(s.reason, heldPrefix)
	return ok && strings.HasPrefix(rest, name.String()+" ")
}
