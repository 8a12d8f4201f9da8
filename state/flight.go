package state

import (
	"sync/atomic"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
)

// inFlight tells whether the step of that key with this seq is on its way.
// quick is held.
func (s *Store) inFlight(seq uint64, key string) bool {
	it, ok := s.flying[seq]
	return ok && it.key == key
}

// Item is a step that is on its way: drawn, and not settled yet.
type Item struct {
	Operation customerio.Operation
	Committed time.Time // when its oldest change was committed; zero: it was read from its table
	Mapping   string    // the mapping of its (first) part
	// Refuse is set when the operation must not be sent: the reason to settle it
	// as refused with.
	Refuse string

	ws      uint8
	key     string
	seq     uint64
	lane    uint8
	changes map[uint16]uint64 // by mapping
	orphan  bool              // Refuse is that its person is known not to be there
	held    bool              // Refuse is that another holds an identifier
	resting atomic.Bool
}

// Rest says whether the item lies by until it is tried again, instead of being on
// its way: its changes then count as waiting.
func (it *Item) Rest(on bool) { it.resting.Store(on) }

// fly enters that an item is on its way, unless the transaction in hand, or the
// one being committed, has come first.
func (d *drawing) fly(it *Item) bool {
	d.s.quick.Lock()
	defer d.s.quick.Unlock()
	if d.s.isTouched(it.key) {
		return false
	}
	d.s.flying[it.seq] = it
	return true
}

// land takes back what fly has entered.
func (s *Store) land(items ...*Item) {
	s.quick.Lock()
	defer s.quick.Unlock()
	for _, it := range items {
		delete(s.flying, it.seq)
	}
}

// isTouched tells whether a transaction that is not durable yet has read the
// record to change it. quick is held.
func (s *Store) isTouched(key string) bool {
	_, touched := s.touched[key]
	_, leaving := s.leaving[key]
	return touched || leaving
}
