package state

import (
	"math"
	"slices"

	"github.com/pgcio/pgcio/internal/lsn"
)

// unorderedLooks bounds how many entries are looked at that lie in no order of
// time: rows that wait to be read again, events that wait for their person. With
// more of them the delivered position stays where it was.
const unorderedLooks = 1000

// Delivered is the position up to which everything has been settled.
func (s *Store) Delivered() (lsn.LSN, error) {
	s.mu.Lock()
	at, last, rereads := s.position.stored, s.delivered, s.tally.rereads > 0
	s.mu.Unlock()
	whole := true
	err := s.engine.view(func(r reader) error {
		for ws := range s.registry.workspaces {
			at = min(at, firstQueued(r, uint8(ws)))
			prefix := []byte{kindOwnerOf, uint8(ws)}
			first, all := firstBorn(r, prefix, func(k, v []byte) (lsn.LSN, bool) {
				key, err := target(k, v)
				if err != nil {
					return 0, false // who lets it go reports it
				}
				return bornOf(r, key)
			})
			at, whole = min(at, first), whole && all
		}
		if rereads {
			first, all := firstBorn(r, []byte{kindHeld}, func(k, v []byte) (lsn.LSN, bool) {
				w, err := decodeWaiting(string(k), slices.Clone(v))
				return w.commit, err == nil && w.commit != 0
			})
			at, whole = min(at, first), whole && all
		}
		return nil
	})
	if err != nil || !whole {
		return min(at, last), err
	}
	s.mu.Lock()
	s.delivered = max(s.delivered, at)
	s.mu.Unlock()
	return at, nil
}

// firstQueued is the commit of the first streamed change in the live queue, which
// is in the order of commits.
func firstQueued(r reader, ws uint8) lsn.LSN {
	first := lsn.LSN(math.MaxUint64)
	r.scan(queueKey(ws, laneLive, 0), queueKey(ws, laneBackfill, 0), func(k, v []byte) bool {
		key, err := target(k, v)
		if err != nil {
			return true // Draw reports it
		}
		born, ok := bornOf(r, key)
		if ok {
			first = born
		}
		return !ok
	})
	return first
}

// firstBorn is the first commit of what lies under a prefix, and whether all of
// that was looked at.
func firstBorn(r reader, prefix []byte, born func(key, value []byte) (lsn.LSN, bool)) (first lsn.LSN, all bool) {
	first = lsn.LSN(math.MaxUint64)
	n := 0
	r.scan(prefix, after(prefix), func(k, v []byte) bool {
		if at, ok := born(k, v); ok {
			first = min(first, at)
		}
		n++
		return n <= unorderedLooks
	})
	return first, n <= unorderedLooks
}

func bornOf(r reader, key string) (born lsn.LSN, ok bool) {
	v := r.get([]byte(key))
	if v == nil {
		return 0, false
	}
	if key[0] == kindEvent {
		e, err := decodeEvent(key, v)
		if err != nil || e.step == nil || e.step.born == 0 || e.step.status == orphaned {
			return 0, false
		}
		return e.step.born, true
	}
	t, err := decodeThing(key, v, nil)
	if err != nil {
		return 0, false
	}
	for i := range t.steps {
		if st := &t.steps[i]; st.unsettled() && st.born != 0 {
			return st.born, true
		}
	}
	return 0, false
}
