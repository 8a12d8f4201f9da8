package state

import (
	"math"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Delivered is the position up to which everything has been settled.
func (s *Store) Delivered() (lsn.LSN, error) {
	s.mu.Lock()
	at := s.position.stored
	s.mu.Unlock()
	err := s.engine.view(func(r reader) error {
		for ws := range s.registry.workspaces {
			first := lsn.LSN(math.MaxUint64)
			n := 0
			r.scan(queueKey(uint8(ws), laneLive, 0), queueKey(uint8(ws), laneBackfill, 0), func(k, v []byte) bool {
				key, err := target(k, v)
				if err != nil {
					return true // Draw reports it
				}
				if born, ok := bornOf(r, key); ok {
					first = min(first, born)
					n++
				}
				return n == 0
			})
			at = min(at, first)
		}
		return nil
	})
	return at, err
}

func bornOf(r reader, key string) (born lsn.LSN, ok bool) {
	v := r.get([]byte(key))
	if v == nil {
		return 0, false
	}
	if key[0] == kindEvent {
		e, err := decodeEvent(key, v)
		if err != nil || e.step == nil || e.step.born == 0 {
			return 0, false
		}
		return e.step.born, true
	}
	t, err := decodeThing(key, v, nil)
	if err != nil {
		return 0, false
	}
	for i := range t.steps {
		if st := &t.steps[i]; st.status == waiting && st.born != 0 {
			return st.born, true
		}
	}
	return 0, false
}
