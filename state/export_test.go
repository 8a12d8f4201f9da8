package state

import (
	"testing"

	"github.com/pgcio/pgcio/internal/customerio"
)

// Rest puts all that the journal keeps into place.
func (s *Store) Rest() (err error) {
	for more := true; more && err == nil; {
		more, err = s.engine.rest()
	}
	return err
}

// KeepAsides lets n entries of a mapping be set aside in full, for a test that
// has no other beside it.
func KeepAsides(t testing.TB, n int64) {
	was := asidesKept
	asidesKept = n
	t.Cleanup(func() { asidesKept = was })
}

// Links counts the people who are linked to one.
func (s *Store) Links(person customerio.Identifier) (n int) {
	_ = s.engine.view(func(r reader) error {
		key := thingKey(0, customerio.Person, person)
		t, err := decodeThing(key, r.get([]byte(key)), nil)
		n = len(t.links)
		return err
	})
	return n
}

// KeepWaiting lets n waiting entries of a lane be kept in memory, of them each for
// one and the same, for a test that has no other beside it.
func KeepWaiting(t testing.TB, n, each int) {
	was, wasEach := window, windowEach
	window, windowEach = n, each
	t.Cleanup(func() { window, windowEach = was, wasEach })
}

// Kept is how many entries the scheduler of the first workspace keeps in memory.
func (s *Store) Kept() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanesOf(s.registry.wsInForce[0].number)
	for _, of := range l.blocked {
		n += len(of)
	}
	return n + len(l.delayed.byDue) + len(l.lane[laneLive].ready) + len(l.lane[laneBackfill].ready)
}

// LooksAtOnce is how many entries one Draw looks at in vain.
const LooksAtOnce = looksAtOnce

// WalkAtOnce lets one call of Delivered look at n entries, for a test that has no
// other beside it.
func WalkAtOnce(t testing.TB, n int) {
	was, rest := walkPiece, walkRest
	walkPiece, walkRest = n, 0
	t.Cleanup(func() { walkPiece, walkRest = was, rest })
}
