package state

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Aside is an entry that is parked or orphaned.
type Aside struct {
	ID      uint64    `json:"id"`
	Mapping string    `json:"mapping"`
	Thing   string    `json:"thing"` // "id:42", or the event's name and its person; "": see Row
	Status  string    `json:"status"`
	Reason  string    `json:"reason"`
	Changes uint64    `json:"changes"`
	Since   time.Time `json:"since"`
	Payload string    `json:"payload,omitempty"` // what would be sent, as JSON; Show only

	// Refetch tells that past the bound only key and reason were kept: a retry
	// reads the row again.
	Refetch bool `json:"refetch,omitempty"`

	// Row is the key, as the mapper encodes it, of a row that asks nothing of any
	// thing because it could not be mapped.
	Row []byte `json:"-"`

	entryKey string
}

// ErrNoEntry is returned for an id that names nothing set aside.
var ErrNoEntry = errors.New("no such entry")

func (s status) String() string {
	switch s {
	case parked:
		return "parked"
	case orphaned:
		return "orphaned"
	default:
		return "waiting"
	}
}

// Asides lists what is set aside, oldest place first, up to limit entries of
// the mapping (all mappings when it is "").
func (s *Store) Asides(mapping string, orphans bool, limit int) ([]Aside, error) {
	why := parked
	if orphans {
		why = orphaned
	}
	var out []Aside
	err := s.engine.view(func(r reader) error {
		var err error
		prefix := []byte{kindAside, byte(why)}
		r.scan(prefix, after(prefix), func(k, v []byte) bool {
			var a Aside
			if a, err = s.aside(r, k, v); err != nil {
				return false
			}
			if mapping == "" || a.Mapping == mapping {
				out = append(out, a)
			}
			return len(out) < limit
		})
		return err
	})
	slices.SortFunc(out, func(a, b Aside) int { return int(min(max(int64(a.ID)-int64(b.ID), -1), 1)) })
	return out, err
}

// Aside returns one entry with its payload.
func (s *Store) Aside(id uint64) (Aside, error) {
	var out Aside
	err := s.engine.view(func(r reader) error {
		k, v := findAside(r, id)
		if k == nil {
			return fmt.Errorf("entry %d: %w", id, ErrNoEntry)
		}
		var err error
		out, err = s.aside(r, k, v)
		return err
	})
	return out, err
}

func findAside(r reader, id uint64) (key, value []byte) {
	r.scan([]byte{kindAside}, []byte{kindAside + 1}, func(k, v []byte) bool {
		if seqOf(k) != id {
			return true
		}
		key, value = slices.Clone(k), slices.Clone(v)
		return false
	})
	return key, value
}

func (s *Store) aside(r reader, k, v []byte) (Aside, error) {
	m := s.registry.mappings[binary.BigEndian.Uint16(k[2:])]
	a := Aside{ID: seqOf(k), Mapping: m.name, Status: status(k[1]).String()}
	var err error
	if a.entryKey, err = target(k, v); err != nil {
		return a, err
	}
	record := r.get([]byte(a.entryKey))
	if record == nil {
		return a, fmt.Errorf("entry %d: its record is missing: %w", a.ID, errCorrupt)
	}
	record = slices.Clone(record)
	switch a.entryKey[0] {
	case kindUnmapped:
		w, err := decodeWaiting(a.entryKey, record)
		if err != nil {
			return a, err
		}
		a.Row, a.Reason, a.Changes, a.Since, a.Refetch = w.Row, w.reason, w.changes, time.Unix(w.stored, 0), w.bare
		return a, nil
	case kindEvent:
		e, err := decodeEvent(a.entryKey, record)
		if err != nil {
			return a, err
		}
		if e.step == nil {
			return a, fmt.Errorf("entry %d: its event is settled: %w", a.ID, errCorrupt)
		}
		s.describe(&a, e.step)
		a.Thing = fmt.Sprintf("%s of %s", e.step.name, e.step.address)
		return a, nil
	}
	t, err := decodeThing(a.entryKey, record, nil)
	if err != nil {
		return a, err
	}
	for i := range t.steps {
		if t.steps[i].seq == a.ID {
			s.describe(&a, &t.steps[i])
			a.Thing = thingID(t.key).String()
			return a, nil
		}
	}
	return a, fmt.Errorf("entry %d: its thing does not have it: %w", a.ID, errCorrupt)
}

func (s *Store) describe(a *Aside, st *step) {
	a.Reason, a.Changes, a.Since, a.Refetch = st.reason, st.changes(), time.Unix(st.stored, 0), st.bare
	if st.bare {
		return
	}
	op := operationOf(a.entryKey, st)
	s.quick.Lock() // not mu: a view is open
	for i := range st.parts {
		op.Attributes = appendAttributes(op.Attributes, s.registry.attrs, st.parts[i].attrs)
	}
	s.quick.Unlock()
	a.Payload = string(op.AppendJSON(nil))
}

// asidePiece is how many entries one transaction of Retry or Drop settles.
const asidePiece = 1000

// Retry lets parked entries wait again: those named, or all of a mapping, or
// (mapping "" and no ids) all there are. It returns how many.
func (s *Store) Retry(ctx context.Context, mapping string, ids []uint64) (int, error) {
	return s.eachAside(ctx, mapping, ids, func(tx *Tx, a *Aside) {
		if a.entryKey[0] == kindUnmapped {
			tx.remap(a)
			return
		}
		switch st, ws, dirty := tx.stepAt(a.entryKey, a.ID); {
		case st == nil:
		case st.isEvent():
			tx.requeue(ws, a.entryKey, st)
			dirty()
		default:
			tx.again(ws, tx.thing(a.entryKey), st)
		}
	})
}

// Drop gives parked entries up: they are counted discarded.
func (s *Store) Drop(ctx context.Context, mapping string, ids []uint64) (int, error) {
	return s.eachAside(ctx, mapping, ids, func(tx *Tx, a *Aside) {
		if a.entryKey[0] == kindUnmapped {
			mapping, row := splitRowKey(a.entryKey)
			m := tx.s.registry.mappings[mapping]
			tx.book(m).Discarded += tx.dropWaiting(m, []byte(row))
			return
		}
		st, ws, dirty := tx.stepAt(a.entryKey, a.ID)
		if st == nil {
			return
		}
		tx.unlist(ws, a.entryKey, st)
		for i := range st.parts {
			b := tx.book(tx.s.registry.mappings[st.parts[i].mapping])
			*b.under(st.status) -= st.parts[i].changes
			b.Discarded += st.parts[i].changes
		}
		dirty()
		tx.discard(a.entryKey, st)
	})
}

func (tx *Tx) discard(key string, st *step) {
	if key[0] == kindEvent {
		tx.event(key).step = nil
		return
	}
	// Its fingerprints were cleared when it was set aside.
	t := tx.thing(key)

	seq := st.seq
	t.steps = slices.DeleteFunc(t.steps, func(s step) bool { return s.seq == seq })
	tx.releaseOwner(key[1], t)
}

// stepAt finds a step by its key and seq.
func (tx *Tx) stepAt(key string, seq uint64) (st *step, ws uint8, dirty func()) {
	if key[0] == kindEvent {
		e := tx.event(key)
		if e == nil || e.step == nil || e.step.seq != seq {
			return nil, 0, nil
		}
		m := tx.s.registry.mappings[e.step.parts[0].mapping]
		return e.step, m.ws, func() { e.dirty = true }
	}
	t := tx.thing(key)
	for i := range t.steps {
		if t.steps[i].seq == seq {
			return &t.steps[i], key[1], func() { t.dirty = true }
		}
	}
	return nil, 0, nil
}

// remap lets a row that could not be mapped be mapped again: read again where
// a column is lacking.
func (tx *Tx) remap(a *Aside) {
	mapping, row := splitRowKey(a.entryKey)
	m := tx.s.registry.mappings[mapping]
	w := tx.waitingRow(a.entryKey)
	if w == nil {
		return
	}
	w.key = rowKey(kindHeld, mapping, []byte(row))
	if newer := tx.waitingRow(w.key); newer != nil {
		// A later change waits as well, perhaps under a key that the row got by it.
		w.lay(newer.Columns)
		w.xid, w.commit, w.time = newer.xid, newer.commit, newer.time
		w.Whole = w.Whole || newer.Whole
	}
	changes := tx.dropWaiting(m, []byte(row))
	w.changes, w.hold, w.reason, w.seq, w.bare = changes, true, "", 0, false
	tx.book(m).Waiting += changes
	tx.tally.rereads++
	tx.writes[w.key] = w.encode()
}

// missingOf says which entries there are none of.
func missingOf(ids []uint64, found map[uint64]bool, done int) error {
	var missing []string
	for _, id := range ids {
		if !found[id] {
			missing = append(missing, strconv.FormatUint(id, 10))
		}
	}
	switch {
	case missing == nil:
		return nil
	case done > 0:
		return fmt.Errorf("entry %s: %w; it is done for the other %d", strings.Join(missing, ", "), ErrNoEntry, done)
	}
	return fmt.Errorf("entry %s: %w", strings.Join(missing, ", "), ErrNoEntry)
}

func (s *Store) eachAside(ctx context.Context, mapping string, ids []uint64, act func(*Tx, *Aside)) (int, error) {
	done := 0
	found := map[uint64]bool{} // of those named
	from := []byte{kindAside, byte(parked)}
	end := after(from)
	if ids != nil {
		end = []byte{kindAside, byte(orphaned) + 1}
	}
	for {
		var page []Aside
		err := s.Update(ctx, func(tx *Tx) error {
			var err error
			next := end
			tx.r.scan(from, end, func(k, v []byte) bool {
				if len(page) == asidePiece {
					next = slices.Clone(k)
					return false
				}
				if ids != nil && !slices.Contains(ids, seqOf(k)) {
					return true
				}
				var a Aside
				if a, err = s.aside(tx.r, k, v); err != nil {
					return false
				}
				if mapping == "" || a.Mapping == mapping {
					page = append(page, a)
				}
				return true
			})
			from = next
			for i := range page {
				if ids != nil {
					found[page[i].ID] = true
				}
				act(tx, &page[i])
			}
			return err
		})
		if err != nil {
			return done, err
		}
		done += len(page)
		if string(from) == string(end) {
			break
		}
	}
	return done, missingOf(ids, found, done)
}
