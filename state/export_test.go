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
