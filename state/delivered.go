package state

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// delivered is what is known of the oldest change that is not settled. A walk
// goes through all that waits, piece by piece; what a transaction leaves
// unsettled while it goes on counts as met. So at its end nothing can have been
// missed, wherever it was moved to: it was met where it is, or has been touched
// since. From then on only what is touched can be older.
type delivered struct {
	walking sync.Mutex // one piece at a time; taken before the store's mu

	at     lsn.LSN // nothing unsettled is older; 0 until the first walk has ended
	oldest []byte  // the key where the last walk met that; nil: it did not
	met    lsn.LSN // the oldest met by the walk that is under way
	metAt  []byte  // and the key; nil: a transaction has touched it
	from   []byte  // the key where it goes on; nil: none is under way
	walked time.Time
	// coming is of the transaction that is being committed, which a piece of the
	// walk may see before the others do.
	coming lsn.LSN
}

// walkPiece is how many entries one piece of the walk looks at, which takes some
// milliseconds, and walkRest how long a walk of several rests between two.
var (
	walkPiece = 5_000
	walkRest  = 100 * time.Millisecond
)

// nothing is older than no change.
const nothing = lsn.LSN(math.MaxUint64)

// waitsUnder are the kinds of key under which there is something for all that
// waits or is in flight, in key order.
var waitsUnder = []byte{kindHeld, kindQueue, kindOwnerOf}

// Delivered is a position up to which everything has been settled: never past the
// oldest change of a step that waits, is in flight or waits for its owner, nor
// past the newest of a row that waits to be read. It is exact while fewer than
// walkPiece of those wait. With more, a call looks at so many of them at most, and
// the position stands still until all have been looked at. What is set aside is
// settled: if it is tried again, the position goes back.
func (s *Store) Delivered() (lsn.LSN, error) {
	d := &s.delivered
	d.walking.Lock()
	defer d.walking.Unlock()
	s.mu.Lock()
	at, rests := d.at, d.from != nil && now().Sub(d.walked) < walkRest
	if d.from == nil {
		d.from, d.met, d.metAt = waitsUnder[:1], d.coming, nil
	}
	s.mu.Unlock()
	if rests {
		return at, nil
	}
	d.walked = now()
	// The view is opened after that: it shows all that is not going to be touched.
	still := false // what was the oldest still waits
	met, metAt, next := nothing, []byte(nil), []byte(nil)
	err := s.engine.view(func(r reader) error {
		if d.oldest != nil {
			v := r.get(d.oldest)
			still = v != nil && oldestAt(r, d.oldest, v) == at
		}
		if !still {
			met, metAt, next = walkOn(r, d.from)
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || still {
		d.from = nil // there is no need of a walk, or it begins anew
		return d.at, err
	}
	if met < d.met {
		d.met, d.metAt = met, metAt
	}
	if d.from = next; next == nil {
		d.at, d.oldest = min(d.met, s.position.stored), nil
		if d.at == d.met {
			d.oldest = d.metAt
		}
	}
	return d.at, nil
}

// entered tells of a transaction that is going to be committed.
func (s *Store) entered(tx *Tx) {
	oldest := tx.oldest()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered.comes(oldest)
}

// comes enters the oldest change that a transaction leaves unsettled in what it has
// changed, before it is committed; come, that it has been. mu is held.
func (d *delivered) comes(oldest lsn.LSN) {
	d.coming = oldest
	d.meet(oldest)
}

func (d *delivered) come() {
	d.at = min(d.at, d.coming)
	d.meet(d.coming)
	d.coming = nothing
}

func (d *delivered) meet(oldest lsn.LSN) {
	if oldest < d.met {
		d.met, d.metAt = oldest, nil
	}
}

// oldest is the oldest unsettled change in what the transaction has changed.
func (tx *Tx) oldest() lsn.LSN {
	first := nothing
	for _, t := range tx.things {
		if t.dirty {
			first = min(first, oldestOf(t.steps...))
		}
	}
	for _, e := range tx.events {
		if e.dirty && !e.gone && e.step != nil {
			first = min(first, oldestOf(*e.step))
		}
	}
	if tx.tally.rereads > 0 {
		for key, v := range tx.writes {
			if key[0] == kindHeld && v != nil {
				first = min(first, oldestAt(tx.r, []byte(key), v))
			}
		}
	}
	return first
}

// oldestOf is the oldest streamed change of those steps that are unsettled.
func oldestOf(steps ...step) lsn.LSN {
	first := nothing
	for i := range steps {
		if st := &steps[i]; st.unsettled() && st.born != 0 {
			first = min(first, st.born)
		}
	}
	return first
}

// walkOn walks a piece, and returns the oldest change it has met, where, and the
// key to go on from; nil: it has come to the end.
func walkOn(r reader, from []byte) (met lsn.LSN, metAt, next []byte) {
	met = nothing
	n := 0
	for _, kind := range waitsUnder {
		if kind < from[0] {
			continue
		}
		if kind > from[0] {
			from = []byte{kind}
		}
		r.scan(from, []byte{kind + 1}, func(k, v []byte) bool {
			if n == walkPiece {
				next = slices.Clone(k)
				return false
			}
			n++
			if at := oldestAt(r, k, v); at < met {
				met, metAt = at, slices.Clone(k)
			}
			return true
		})
		if next != nil {
			break
		}
	}
	return met, metAt, next
}

// oldestAt is the oldest unsettled change of what a key under one of waitsUnder
// stands for. What cannot be read is told of by who sends it.
func oldestAt(r reader, k, v []byte) lsn.LSN {
	if k[0] == kindHeld {
		w, err := decodeWaiting(string(k), slices.Clone(v))
		if err != nil || w.commit == 0 {
			return nothing
		}
		return w.commit
	}
	key, err := target(k, v)
	if err != nil {
		return nothing
	}
	if v = r.get([]byte(key)); v == nil {
		return nothing
	}
	if key[0] == kindEvent {
		e, err := decodeEvent(key, v)
		if err != nil || e.step == nil {
			return nothing
		}
		return oldestOf(*e.step)
	}
	t, err := decodeThing(key, v, nil)
	if err != nil {
		return nothing
	}
	return oldestOf(t.steps...)
}
