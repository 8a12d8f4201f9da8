package state

import "testing"

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
