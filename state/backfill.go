package state

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
)

// phase is how far the backfill of a mapping is. The numbers are stored.
type phase uint8

const (
	backfillNone    phase = 0 // not asked for
	backfillPending phase = 1 // begun: xids are kept; no page is stored yet
	backfillReading phase = 2
	backfillDone    phase = 3
)

// backfill is the progress of reading a mapping's table. While it runs, every
// streamed change of the mapping leaves its xid, in or not, so that a page
// never brings back what the stream has overtaken.
type backfill struct {
	phase     phase
	cursor    []string // key of the last row stored
	rows      uint64
	total     int64  // estimated; -1 unknown
	truncated uint64 // xid of the newest truncate that was streamed
	first     bool
}

func (b *backfill) running() bool { return b.phase == backfillPending || b.phase == backfillReading }

func (s *Store) backfillOf(m *mapping) *backfill { return s.backfill[m.number] }

func (tx *Tx) storeBackfill(m *mapping, b *backfill) {
	key := number16(kindBackfill, m.number)
	v := []byte{recordVersion, byte(b.phase), flag(b.first, 1)}
	v = binary.AppendUvarint(v, b.rows)
	v = binary.AppendVarint(v, b.total)
	v = binary.AppendUvarint(v, b.truncated)
	v = binary.AppendUvarint(v, uint64(len(b.cursor)))
	for _, c := range b.cursor {
		v = appendBytes(v, c)
	}
	tx.put(key, seal(v, 0, string(key)))
}

func (s *Store) loadBackfills(r reader) error {
	var err error
	r.scan([]byte{kindBackfill}, []byte{kindBackfill + 1}, func(k, v []byte) bool {
		d := open(string(k), v)
		b := &backfill{phase: phase(d.byte())}
		b.first = d.byte()&1 != 0
		b.rows = d.uint()
		b.total = d.int()
		b.truncated = d.uint()
		for range d.count(1) {
			b.cursor = append(b.cursor, d.string())
		}
		s.backfill[binary.BigEndian.Uint16(k[1:])] = b
		err = d.err
		return err == nil
	})
	for _, m := range s.registry.mappings {
		if s.backfill[m.number] == nil {
			s.backfill[m.number] = &backfill{total: -1}
		}
	}
	return err
}

// truncated enters a truncate of a mapping's table.
func (tx *Tx) truncated(m *mapping, b *backfill, xid uint64) {
	tx.s.quick.Lock() // the estimate may just be coming in
	defer tx.s.quick.Unlock()
	b.truncated = xid
	tx.storeBackfill(m, b)
}

// startBackfills begins the first backfill of every mapping that wants one and
// has had none.
func (tx *Tx) startBackfills() error {
	for ws := range tx.tally.outboxes {
		if tx.tally.outboxes[ws].ownerless > 0 {
			// The mapping that was to bring the owners may be gone.
			tx.sweepLater(sweepOwners, []byte{uint8(ws)})
		}
	}
	for _, m := range tx.s.registry.inForce {
		b := tx.s.backfillOf(m)
		if b.phase != backfillNone || !m.def.Backfill {
			continue
		}
		next := *b
		next.phase, next.first = backfillPending, true
		tx.storeBackfill(m, &next)
		tx.then(func() { *b = next })
	}
	return nil
}

// backfillAgain begins a mapping's backfill anew, if it backfills; if not, it is
// as though it never had.
func (tx *Tx) backfillAgain(m *mapping) {
	b := tx.s.backfillOf(m)
	next := backfill{total: -1, truncated: b.truncated}
	if m.def.Backfill {
		next.phase, next.first = backfillPending, true
		// What is still to be swept of the one before is swept with this one's.
		tx.neverSweep(sweepOut, number16(kindRow, m.number))
	}
	tx.storeBackfill(m, &next)
	tx.then(func() { *b = next })
	tx.sweepLater(sweepOwners, []byte{m.ws})
}

// makesOwners tells whether the mapping makes what others hang on.
func (m *mapping) makesOwners() bool { return !m.def.Kind.Owned() && !m.def.UpdateOnly }

// ownersComing tells whether a first backfill of a mapping that makes people, or
// objects (kind 0: either), of this workspace is under way.
func (s *Store) ownersComing(ws uint8, kind customerio.Kind) bool {
	for _, m := range s.registry.inForce {
		if m.ws == ws && m.makesOwners() && (kind == 0 || m.def.Kind == kind) {
			if b := s.backfill[m.number]; b.first && b.running() {
				return true
			}
		}
	}
	return false
}

// Backfill is the progress of one mapping's backfill.
type Backfill struct {
	Mapping int
	Running bool
	After   []string // the key to go on from; nil: from the start
	Rows    uint64
	Total   int64 // estimated; -1 unknown
}

// Backfills returns the progress of every mapping in force, people and objects first: what
// hangs on them follows.
func (s *Store) Backfills() []Backfill {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Backfill
	for _, owners := range []bool{true, false} {
		for i, m := range s.registry.inForce {
			if m.makesOwners() != owners {
				continue
			}
			out = append(out, s.progress(i))
		}
	}
	return out
}

// Backfill returns the progress of one mapping's backfill.
func (s *Store) Backfill(mapping int) Backfill {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress(mapping)
}

func (s *Store) progress(mapping int) Backfill {
	b := s.backfill[s.registry.inForce[mapping].number]
	return Backfill{Mapping: mapping, Running: b.running(), After: b.cursor, Rows: b.rows, Total: b.total}
}

// EstimateBackfill notes how many rows the table is thought to have.
func (s *Store) EstimateBackfill(mapping int, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quick.Lock()
	defer s.quick.Unlock()
	s.backfillOf(s.registry.inForce[mapping]).total = total
}

// Backfilled enters that a page of a mapping's backfill is in this transaction:
// the key that it was read past, how many rows, the key of the last one, and whether
// it was the last page. One that was asked for before the backfill began anew does
// not move that on.
func (tx *Tx) Backfilled(mapping int, after []string, rows int, last []string, done bool) error {
	m := tx.s.registry.inForce[mapping]
	b := tx.s.backfillOf(m)
	if !b.running() {
		return fmt.Errorf("a page of mapping %q came in, whose backfill is not running", m.name)
	}
	if !slices.Equal(after, b.cursor) {
		return nil
	}
	tx.s.quick.Lock() // the estimate may just be coming in
	next := *b
	tx.s.quick.Unlock()
	next.phase = backfillReading
	next.rows += uint64(rows)
	if last != nil {
		next.cursor = last
	}
	if done {
		next.phase, next.cursor = backfillDone, nil
		if !tx.tally.waitingRows() {
			next.truncated = 0
		}
		tx.sweepLater(sweepOut, number16(kindRow, m.number))
		tx.sweepLater(sweepOwners, []byte{m.ws})
	}
	tx.storeBackfill(m, &next)
	tx.then(func() { next.total = b.total; *b = next })
	return nil
}

// Full tells whether what waits has passed Options.MaxSize.
func (s *Store) Full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.MaxSize > 0 && s.tally.weight() >= s.opts.MaxSize
}

// Crowded tells whether backfills should pause: at 80 % of Options.MaxSize.
func (s *Store) Crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.MaxSize > 0 && s.tally.weight() >= s.opts.MaxSize/5*4
}
