package state

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pgcio/pgcio/internal/lsn"
)

// A transaction that was half stored when the daemon ended may be gone on with
// by other mappings (M7). The mark says how far the stream was in it; the shares
// say how much of it each mapping has, and as what it was mapped. One that is new
// or defined otherwise has nothing of it: what it asked is taken back, and the
// transaction is read once more from its first row. So each mapping maps the
// whole of it, as it is defined when it ends.

// Definition stands for all that decides what a mapping asks.
type Definition [sha256.Size]byte

// shares are how much each mapping has of the transaction that commits at
// commit, as of the last start.
type shares struct {
	commit lsn.LSN // 0: none was half stored
	of     map[uint16]share
}

type share struct {
	defined Definition // zero: what was asked is being taken back
	inForce bool       // since then: it has what the mark says, if that is more
	rows    uint64
}

var sharesKey = string(metaKey("shares"))

func (s *shares) encode() []byte {
	v := binary.AppendUvarint([]byte{recordVersion}, uint64(s.commit))
	v = binary.AppendUvarint(v, uint64(len(s.of)))
	numbers := make([]uint16, 0, len(s.of))
	for n := range s.of {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		one := s.of[n]
		v = binary.AppendUvarint(v, uint64(n))
		v = append(v, flag(one.inForce, 1))
		v = binary.AppendUvarint(v, one.rows)
		v = appendBytes(v, one.defined[:])
	}
	return seal(v, 0, sharesKey)
}

// loadShares reads the shares; nil: a state of before there were any.
func (s *Store) loadShares() (out *shares, err error) {
	err = s.engine.view(func(r reader) error {
		v := r.get([]byte(sharesKey))
		if v == nil {
			return nil
		}
		d := open(sharesKey, v)
		out = &shares{commit: lsn.LSN(d.uint()), of: map[uint16]share{}}
		for range d.count(35) {
			n := uint16(d.uint())
			one := share{inForce: d.byte()&1 != 0, rows: d.uint()}
			copy(one.defined[:], d.bytes())
			out.of[n] = one
		}
		return d.err
	})
	return out, err
}

// GoOn enters how the mappings in force are defined, in their order, before the
// stream goes on. It returns the mark to go on from inside the transaction that
// is half stored (zero: none is), and how many of its row messages each mapping
// has, which may be more.
func (s *Store) GoOn(ctx context.Context, defined []Definition) (Mark, []uint64, error) {
	_, mark := s.Stored()
	old, err := s.loadShares()
	if err != nil {
		return Mark{}, nil, fmt.Errorf("reading what each mapping has of the transaction that is half stored: %w", err)
	}
	next, anew := s.share(old, mark, defined)
	rows := make([]uint64, len(defined))
	back := mark
	for i, m := range s.registry.inForce {
		rows[i] = next.of[m.number].rows
		back.Rows = min(back.Rows, rows[i])
	}
	if back == mark && len(anew) == 0 && old != nil && string(old.encode()) == string(next.encode()) {
		return mark, rows, nil
	}
	mark = back
	if err := s.storeShares(ctx, next, mark); err != nil || len(anew) == 0 {
		return mark, rows, err
	}
	for _, i := range anew {
		m := s.registry.inForce[i]
		if err := s.takeBack(ctx, m, mark.Commit); err != nil {
			return Mark{}, nil, fmt.Errorf("taking back what mapping %q asked before it was changed: %w", m.name, err)
		}
		one := next.of[m.number]
		one.defined = defined[i]
		next.of[m.number] = one
	}
	return mark, rows, s.storeShares(ctx, next, mark)
}

// share settles how much each mapping has, and which (by place) have something
// of another definition that is to be taken back.
func (s *Store) share(old *shares, mark Mark, defined []Definition) (next *shares, anew []int) {
	next = &shares{commit: mark.Commit, of: map[uint16]share{}}
	if old != nil {
		for n, one := range old.of {
			if old.commit != mark.Commit {
				one.rows = 0
			}
			if one.inForce {
				one.rows = max(one.rows, mark.Rows)
			}
			one.inForce = false
			if mark.Commit != 0 {
				next.of[n] = one
			}
		}
	}
	for i, m := range s.registry.inForce {
		one, had := next.of[m.number]
		switch {
		case mark.Commit == 0:
			one = share{defined: defined[i]}
		case old == nil: // nothing tells that it has changed
			one = share{defined: defined[i], rows: mark.Rows}
		case !had:
			one = share{defined: defined[i]}
		case one.defined != defined[i]:
			one = share{}
			anew = append(anew, i)
		}
		one.inForce = true
		next.of[m.number] = one
	}
	return next, anew
}

func (s *Store) storeShares(ctx context.Context, sh *shares, mark Mark) error {
	err := s.Update(ctx, func(tx *Tx) error {
		tx.writes[sharesKey] = sh.encode()
		tx.position.open, tx.moved = mark, true
		return nil
	})
	if err != nil {
		return fmt.Errorf("storing what each mapping has of the transaction that is half stored: %w", err)
	}
	return nil
}

// takeBack undoes what a mapping asked in the transaction that commits at
// commit, of which nothing has left: it counts as discarded.
func (s *Store) takeBack(ctx context.Context, m *mapping, commit lsn.LSN) error {
	if err := s.discardWaiting(ctx, m, commit); err != nil {
		return err
	}
	return s.pieces(ctx, number16(kindFresh, m.number), func(tx *Tx, key string, _ []byte) { tx.writes[key] = nil })
}

// GiveUp discards what is unsent of mappings that are no longer in force, waiting or
// set aside: nobody would ever send it, and what is in one step with it would not
// leave either. It tells how many changes of which mapping those were. It is for a
// start, before anything is drawn.
func (s *Store) GiveUp(ctx context.Context) (discarded map[string]uint64, err error) {
	discarded = map[string]uint64{}
	for _, m := range s.registry.mappings {
		if m.def != nil {
			continue
		}
		b := &m.published
		held, err := s.some(number16(kindHeld, m.number))
		unsent := b.Waiting + b.Parked + b.Orphaned
		if err != nil || unsent == 0 && !held {
			if err != nil {
				return discarded, err
			}
			continue
		}
		if err := s.discardWaiting(ctx, m, 0); err != nil {
			return discarded, err
		}
		err = s.pieces(ctx, number16(kindHeld, m.number), func(tx *Tx, key string, _ []byte) {
			_, row := splitRowKey(key)
			tx.book(m).Discarded += tx.dropWaiting(m, []byte(row))
			tx.forgetRow(rowKey(kindRow, m.number, []byte(row)))
		})
		if err == nil {
			err = s.pieces(ctx, []byte{kindAside}, func(tx *Tx, key string, value []byte) { tx.giveUpAside(m, key, value) })
		}
		if err != nil {
			return discarded, err
		}
		if unsent > 0 {
			discarded[m.name] = unsent
		}
	}
	return discarded, nil
}

// giveUpAside discards what a mapping has in an entry that is set aside.
func (tx *Tx) giveUpAside(m *mapping, key string, value []byte) {
	entry, err := target([]byte(key), value)
	if err != nil {
		tx.fail(err)
		return
	}
	if entry[0] == kindUnmapped {
		if of, row := splitRowKey(entry); of == m.number {
			tx.book(m).Discarded += tx.dropWaiting(m, []byte(row))
		}
		return
	}
	st, ws, dirty := tx.stepAt(entry, seqOf([]byte(key)))
	if st == nil || !slices.ContainsFunc(st.parts, func(p part) bool { return p.mapping == m.number }) {
		return
	}
	dirty()
	tx.unlist(ws, entry, st)
	st.parts = slices.DeleteFunc(st.parts, func(p part) bool {
		if p.mapping == m.number {
			books := tx.book(m)
			*books.under(st.status) -= p.changes
			books.Discarded += p.changes
		}
		return p.mapping == m.number
	})
	if len(st.parts) == 0 {
		tx.discard(entry, st)
		return
	}
	tx.listAside(st.status, st.parts[0].mapping, st.seq, entry)
	if st.status == orphaned {
		tx.awaitOwner(ws, entry, st)
	}
}

// some tells whether there is a key under a prefix.
func (s *Store) some(prefix []byte) (found bool, err error) {
	err = s.engine.view(func(r reader) error {
		r.scan(prefix, after(prefix), func(_, _ []byte) bool {
			found = true
			return false
		})
		return nil
	})
	return found, err
}

// forgetRow takes the fingerprints of a row for void.
func (tx *Tx) forgetRow(key string) {
	p := tx.place(key)
	if p == nil {
		return
	}
	if t, r := tx.rowAt(p); r != nil {
		r.prints = nil
		tx.touch(p, t)
	}
}

// discardWaiting takes what a mapping asked out of all steps that wait, or (commit
// not 0) out of those of that transaction.
func (s *Store) discardWaiting(ctx context.Context, m *mapping, commit lsn.LSN) error {
	for _, prefix := range [][]byte{{kindQueue, m.ws}, {kindOwnerOf, m.ws}} {
		err := s.pieces(ctx, prefix, func(tx *Tx, key string, value []byte) {
			to, err := target([]byte(key), value)
			switch {
			case err != nil:
				tx.fail(err)
			case to[0] == kindEvent:
				tx.takeEventBack(m, to, seqOf([]byte(key)), commit)
			default:
				tx.takePartBack(m, to, seqOf([]byte(key)), commit)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pieces visits all keys under prefix, some in each transaction.
func (s *Store) pieces(ctx context.Context, prefix []byte, visit func(tx *Tx, key string, value []byte)) error {
	from := prefix
	for from != nil {
		err := s.Update(ctx, func(tx *Tx) error {
			var next []byte
			var page []write
			tx.r.scan(from, after(prefix), func(k, v []byte) bool {
				if len(page) == sweepPiece {
					next = slices.Clone(k)
					return false
				}
				page = append(page, write{slices.Clone(k), slices.Clone(v)})
				return true
			})
			from = next
			for _, w := range page {
				visit(tx, string(w.key), w.value)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) takeEventBack(m *mapping, key string, seq uint64, commit lsn.LSN) {
	if binary.BigEndian.Uint16([]byte(key[1:])) != m.number {
		return
	}
	e := tx.event(key)
	if e == nil || e.step == nil || e.step.seq != seq || !e.step.unsettled() || commit != 0 && e.step.commit != commit {
		return
	}
	books := tx.book(m)
	books.Waiting -= e.step.changes()
	books.Discarded += e.step.changes()
	tx.withdraw(m, e)
}

// takePartBack takes a mapping's part out of a step.
func (tx *Tx) takePartBack(m *mapping, key string, seq uint64, commit lsn.LSN) {
	t := tx.thing(key)
	at := slices.IndexFunc(t.steps, func(s step) bool {
		return s.seq == seq && s.unsettled() && (commit == 0 || s.commit == commit)
	})
	if at < 0 {
		return
	}
	st := &t.steps[at]
	i := slices.IndexFunc(st.parts, func(p part) bool { return p.mapping == m.number })
	if i < 0 {
		return
	}
	taken := step{parts: []part{st.parts[i]}}
	books := tx.book(m)
	books.Waiting -= taken.changes()
	books.Discarded += taken.changes()
	tx.forgetPrints(t, &taken)
	if t.kind().Owned() {
		tx.rowsOf(t, func(of *mapping, key string, r *row) {
			if of == m {
				tx.askOnceMore(t, key, r)
			}
		})
	}
	tx.settled = append(tx.settled, t.key)
	tx.letHanging(m.ws, t.key, st)
	if st.status == ownerless {
		tx.unlist(m.ws, t.key, st)
	} else {
		tx.dequeue(m.ws, t.key, st)
	}
	st.parts = slices.Delete(st.parts, i, i+1)
	if len(st.parts) == 0 {
		t.steps = slices.Delete(t.steps, at, at+1)
		return
	}
	stops := st.stops
	st.stops, st.updateOnly = nil, true
	for i := range st.parts {
		st.stops = append(st.stops, tx.stoppedBy(&st.parts[i], stops)...)
		def := tx.s.registry.mappings[st.parts[i].mapping].def
		st.updateOnly = st.updateOnly && def != nil && def.UpdateOnly
	}
	if st.status == ownerless {
		tx.awaitOwner(m.ws, t.key, st)
		tx.tally.outboxes[m.ws].ownerless++
		return
	}
	tx.enqueue(m.ws, t.key, st)
}
