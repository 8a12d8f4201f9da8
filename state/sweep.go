package state

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pgcio/pgcio/internal/customerio"
)

// Work that fans out is a marker, swept in pieces (law 12): what hangs on one
// person, or what a transaction of a million rows has left, is not done in the
// transaction that finds it. A sweep record's key is its kind and what it is
// about; it is deleted when nothing is left of it.
const (
	sweepFresh      = 'x' // rows of transactions that have ended
	sweepOwner      = 'o' // prefix of kindOwnerOf: dependants whose owner was met
	sweepDependants = 'd' // prefix of kindDepends: what hangs on an owner that is there now
	sweepOwners     = 'O' // workspace: dependants that wait for owners, once no first backfill is left
	sweepOut        = 't' // prefix of kindRow: rows kept only for a backfill
	sweepHeld       = 'h' // key of an identifier's record: what is parked because too many wanted it
)

// sweepPiece is how many keys one transaction of a sweep looks at.
const sweepPiece = 2000

func (tx *Tx) sweepLater(kind byte, what []byte) {
	key := append([]byte{kindSweep, kind}, what...)
	if tx.load(string(key)) != nil {
		if kind == sweepHeld {
			tx.delete(sweepCursor(what)) // for those it has passed there may be room now
		}
		return
	}
	tx.put(key, []byte{recordVersion})
	tx.tally.sweeps++
}

// neverSweep takes sweepLater back.
func (tx *Tx) neverSweep(kind byte, what []byte) {
	key := append([]byte{kindSweep, kind}, what...)
	if tx.load(string(key)) == nil {
		return
	}
	tx.delete(key)
	tx.delete(sweepCursor(what))
	tx.tally.sweeps--
}

// sweepCursor is the key of where the next piece goes on.
func sweepCursor(prefix []byte) []byte { return metaKey("sweep" + string(prefix)) }

// Run does what is left to be done in pieces, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.runSweeps(ctx) })
	g.Go(func() error { return s.runPlacing(ctx) })
	return g.Wait()
}

func (s *Store) runSweeps(ctx context.Context) error {
	for {
		woken := s.Woken()
		more, err := s.Sweep(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		}
	}
}

// Sweep does one piece, and tells whether there is more.
func (s *Store) Sweep(ctx context.Context) (more bool, err error) {
	// A transaction that finds nothing to do would wake everybody, this sweep too.
	if some, err := s.toSweep(); !some || err != nil {
		return false, errors.Join(err, ctx.Err())
	}
	err = s.Update(ctx, func(tx *Tx) error {
		for _, key := range s.nextSweeps(tx.r, sweepsAtOnce) {
			more = true
			if tx.sweep(key[1], key[2:]) {
				return nil // there is more of it
			}
			tx.delete(key)
			tx.tally.sweeps--
		}
		return nil
	})
	return more, err
}

// toSweep tells whether there is work that need not wait.
func (s *Store) toSweep() (some bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tally.sweeps == 0 || s.closed {
		return false, nil
	}
	err = s.engine.view(func(r reader) error {
		some = s.nextSweeps(r, 1) != nil
		return nil
	})
	return some, err
}

// sweepsAtOnce is how many records of work one transaction settles: a commit for
// each person whom Customer.io has just accepted would be many.
const sweepsAtOnce = 100

// nextSweeps finds the first records of work that need not wait for backfills: what
// waits for its owner before all else.
func (s *Store) nextSweeps(r reader, n int) (keys [][]byte) {
	look := func(from, to []byte, skip byte) {
		r.scan(from, to, func(k, _ []byte) bool {
			if k[1] != skip && (k[1] != sweepOwners || !s.ownersComing(k[2], 0)) {
				keys = append(keys, slices.Clone(k))
			}
			return len(keys) < n
		})
	}
	first := []byte{kindSweep, sweepOwner}
	look(first, after(first), 0)
	if len(keys) < n {
		look([]byte{kindSweep}, []byte{kindSweep + 1}, sweepOwner)
	}
	return keys
}

// sweep does a piece of one record's work and tells whether any is left.
func (tx *Tx) sweep(kind byte, what []byte) (left bool) {
	switch kind {
	case sweepFresh:
		return tx.each([]byte{kindFresh}, func(key string, value []byte) {
			d := open(key, value)
			if open := tx.position.open.Commit; open == 0 || d.uint() != uint64(open) {
				tx.writes[key] = nil
			}
		})
	case sweepOut:
		return tx.each(what, func(key string, _ []byte) {
			if p := tx.place(key); p != nil && p.body != nil && p.thing == "" && !p.body.in {
				p.gone = true
			}
		})
	case sweepOwners:
		return tx.each([]byte{kindOwnerOf, what[0]}, func(key string, value []byte) { tx.releaseOwned(key, value, ownerless) })
	case sweepDependants:
		place := uint64(math.MaxUint64)
		if v := tx.load(string(append([]byte{kindSweep, sweepDependants}, what...))); len(v) >= 9 {
			place = binary.BigEndian.Uint64(v[1:])
		}
		return tx.each(what, func(key string, _ []byte) { tx.sendAgain(string(what), key, place) })
	case sweepHeld:
		return tx.eachFrom(what, []byte{kindAside, byte(parked)}, func(key string, value []byte) { tx.tryHeld(string(what), key, value) })
	default: // sweepOwner
		return tx.each(what, func(key string, value []byte) { tx.releaseOwned(key, value, ownerless, orphaned) })
	}
}

// tryHeld lets a parked entry be tried again if it is for an identifier that one
// has let go of, as long as there is room among those who may have it.
func (tx *Tx) tryHeld(name, key string, value []byte) {
	entry, err := target([]byte(key), value)
	if err != nil {
		tx.fail(err)
		return
	}
	if entry[0] != kindThing || entry[1] != name[1] {
		return
	}
	t := tx.thing(entry)
	held := customerio.Identifier{Type: customerio.IdentifierType(name[2]), Value: name[3:]}
	at := slices.IndexFunc(t.steps, func(s step) bool { return s.seq == seqOf([]byte(key)) })
	if at < 0 || t.steps[at].status != parked || !t.steps[at].heldBy(held) {
		return
	}
	if rec := tx.name(name); len(rec.things) >= maxHolders {
		rec.turnedAway, rec.dirty = true, true
		return
	}
	tx.again(entry[1], t, &t.steps[at])
}

// each visits the next keys under prefix, going on where the last piece ended.
func (tx *Tx) each(prefix []byte, visit func(key string, value []byte)) (left bool) {
	return tx.eachFrom(prefix, prefix, visit)
}

// eachFrom is each for a walk that is remembered as what it is about.
func (tx *Tx) eachFrom(what, prefix []byte, visit func(key string, value []byte)) (left bool) {
	type record struct {
		key   string
		value []byte
	}
	cursor := sweepCursor(what)
	from := prefix
	if v := tx.load(string(cursor)); v != nil {
		from = slices.Clone(v)
	}
	var page []record
	tx.r.scan(from, after(prefix), func(k, v []byte) bool {
		if len(page) == sweepPiece {
			from, left = slices.Clone(k), true
			return false
		}
		page = append(page, record{string(k), slices.Clone(v)})
		return true
	})
	for _, r := range page {
		visit(r.key, r.value)
	}
	if left {
		tx.put(cursor, from)
	} else {
		tx.delete(cursor)
	}
	return left
}

// releaseOwned queues a dependant that waited for its owner and has one of these
// statuses, behind that owner.
func (tx *Tx) releaseOwned(key string, value []byte, of ...status) {
	name, err := target([]byte(key), value)
	if err != nil {
		tx.fail(err)
		return
	}
	st, ws, dirty := tx.stepAt(name, seqOf([]byte(key)))
	if st == nil {
		tx.writes[key] = nil
		return
	}
	if !slices.Contains(of, st.status) || st.status == ownerless && tx.ownerMayCome(ws, name, st) {
		return
	}
	dirty()
	if name[0] == kindThing && st.bare {
		tx.readAgain(ws, tx.thing(name), st)
		return
	}
	tx.requeue(ws, name, st)
	if st.lane == laneLive {
		tx.hurryOwners(ws, name, st)
	}
	tx.settled = append(tx.settled, name) // what is newer may wait for it
	if name[0] == kindThing {
		tx.behind(ws, tx.thing(name), st.seq)
	}
}

// behind gives new places to the steps that are newer than the one with this seq,
// which has just got one further back.
func (tx *Tx) behind(ws uint8, t *thing, released uint64) {
	at := slices.IndexFunc(t.steps, func(s step) bool { return s.seq == released })
	for i := at + 1; i < len(t.steps); i++ {
		if s := &t.steps[i]; s.status == waiting && !s.inFlight && s.seq < released {
			tx.letHanging(ws, t.key, s)
			tx.dequeue(ws, t.key, s)
			s.seq = tx.next()
			s.since, s.joined = s.seq, s.seq
			tx.enqueue(ws, t.key, s)
		}
	}
}
