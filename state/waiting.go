package state

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
)

// Column is a column of a row as far as a change brought it: the state and the
// text, as cdc has them.
type Column struct {
	Name  string
	State uint8 // cdc.State: 0 was not sent, 1 null, 2 present
	Text  []byte
}

// Waiting is a row that waits to be read again because something mapped was
// not sent, or (parked) one that could not be mapped.
type Waiting struct {
	Mapping int // its place among those in force
	Row     []byte
	// Columns are what the changes since brought: a read row fills the others.
	Columns []Column
	// Whole tells that no column is lacking: the row need not be read.
	Whole bool

	key     string
	xid     uint64
	commit  lsn.LSN
	time    int64 // Unix microseconds
	stored  int64 // Unix seconds
	hold    bool  // nothing of it is queued: its changes count here
	changes uint64
	reason  string
	seq     uint64
	// bare: parked past the bound, so that its columns are not kept.
	bare bool
	// news: changes of the stream are among what it waits for, or its newest values
	// were queued, and set aside without being kept.
	news bool

	truncated uint64 // xid of the newest truncate, of its table; not stored here
}

// Seen tells whether a snapshot saw the newest change of the row, and that its
// table was emptied.
func (w *Waiting) Seen(visible func(uint64) bool) bool {
	return (w.xid == 0 || visible(w.xid)) && (w.truncated == 0 || visible(w.truncated))
}

// Streamed tells whether a change of the stream left the row waiting, and not
// a read.
func (w *Waiting) Streamed() bool { return w.xid != 0 }

// Time is the commit time of the row's newest change.
func (w *Waiting) Time() time.Time { return time.UnixMicro(w.time) }

// Commit is the commit LSN of the row's newest change.
func (w *Waiting) Commit() lsn.LSN { return w.commit }

func (w *Waiting) encode() []byte {
	v := []byte{recordVersion, flag(w.hold, 1) | flag(w.Whole, 2) | flag(w.bare, 4) | flag(w.news, 8)}
	v = binary.AppendUvarint(v, w.xid)
	v = binary.AppendUvarint(v, uint64(w.commit))
	v = binary.AppendVarint(v, w.time)
	v = binary.AppendVarint(v, w.stored)
	v = binary.AppendUvarint(v, w.changes)
	v = binary.AppendUvarint(v, w.seq)
	v = appendBytes(v, w.reason)
	v = binary.AppendUvarint(v, uint64(len(w.Columns)))
	for _, c := range w.Columns {
		v = appendBytes(v, c.Name)
		v = append(v, c.State)
		v = appendBytes(v, c.Text)
	}
	return seal(v, 0, w.key)
}

func decodeWaiting(key string, value []byte) (*Waiting, error) {
	d := open(key, value)
	w := &Waiting{key: key}
	_, row := splitRowKey(key)
	w.Row = []byte(row)
	f := d.byte()
	w.hold, w.Whole, w.bare, w.news = f&1 != 0, f&2 != 0, f&4 != 0, f&8 != 0
	w.xid = d.uint()
	w.commit = lsn.LSN(d.uint())
	w.time = d.int()
	w.stored = d.int()
	w.changes = d.uint()
	w.seq = d.uint()
	w.reason = d.string()
	w.Columns = make([]Column, d.count(3))
	for i := range w.Columns {
		w.Columns[i] = Column{d.string(), d.byte(), slices.Clone(d.bytes())}
	}
	return w, d.err
}

func (tx *Tx) waitingRow(key string) *Waiting {
	v := tx.load(key)
	if v == nil {
		return nil
	}
	w, err := decodeWaiting(key, v)
	if err != nil {
		tx.fail(err)
		return nil
	}
	return w
}

// bring overlays what a newer change brought.
func (w *Waiting) bring(o *Origin) {
	if !o.read() {
		w.xid, w.commit, w.time, w.news = o.XID, o.Commit, o.Time.UnixMicro(), true
	}
	if o.Columns == nil {
		return
	}
	columns := o.Columns()
	w.lay(columns)
	w.Whole = len(w.Columns) >= len(columns)
}

// keep overlays what an event's row was kept with.
func (w *Waiting) keep(ask *customerio.Ask) {
	for _, c := range ask.Keep {
		w.lay([]Column{{Name: c.Name, State: 2, Text: c.Text}})
	}
}

// lay lays newer columns over those there are.
func (w *Waiting) lay(columns []Column) {
	for _, c := range columns {
		at := slices.IndexFunc(w.Columns, func(old Column) bool { return old.Name == c.Name })
		switch {
		case c.State == 0:
		case at >= 0:
			w.Columns[at] = c
		default:
			w.Columns = append(w.Columns, c)
		}
	}
}

// wait asks for a row to be read again. With hold nothing of the row is at
// Customer.io, and what the change asks waits as a whole.
func (tx *Tx) wait(m *mapping, ask *customerio.Ask, o *Origin, hold bool) {
	key := rowKey(kindHeld, m.number, ask.Row)
	w := tx.waitingRow(key)
	if w == nil {
		w = &Waiting{key: key, stored: tx.now.Unix()}
		tx.tally.rereads++
	}
	w.keep(ask)
	w.bring(o)
	w.hold = hold
	if hold {
		w.changes += o.changes() + o.merged
		tx.book(m).Waiting += o.changes() + o.merged
	}
	tx.writes[key] = w.encode()
}

// askAgain asks for a row that is in to be read again, though no change of it
// came: what it says is to be sent anew.
func (tx *Tx) askAgain(m *mapping, r *row) {
	key := rowKey(kindHeld, m.number, r.key)
	if tx.waitingRow(key) != nil {
		return
	}
	w := &Waiting{key: key, stored: tx.now.Unix(), xid: r.xid, commit: r.commit, time: tx.now.UnixMicro(), changes: 1}
	books := tx.book(m)
	books.Received++
	books.Waiting++
	tx.tally.rereads++
	tx.writes[key] = w.encode()
}

// askFor asks for a row that is in to be read again, for changes that were set
// aside and are not known any more.
func (tx *Tx) askFor(m *mapping, r *row, changes uint64) {
	key := rowKey(kindHeld, m.number, r.key)
	w := tx.waitingRow(key)
	if w == nil {
		w = &Waiting{key: key, stored: tx.now.Unix(), xid: r.xid, commit: r.commit, time: tx.now.UnixMicro()}
		tx.tally.rereads++
	}
	w.news = true
	w.changes += changes
	tx.book(m).Waiting += changes
	tx.writes[key] = w.encode()
}

// forget drops the columns of a parked row.
func (w *Waiting) forget() { w.bare, w.Whole, w.Columns = true, false, nil }

// refuse sets a change aside that could not be mapped, with its columns.
func (tx *Tx) refuse(m *mapping, ask *customerio.Ask, o *Origin) {
	row, seq := ask.Row, tx.next()
	if row == nil {
		row = tx.unkeyed(m, seq)
	}
	w := &Waiting{key: rowKey(kindUnmapped, m.number, row), stored: tx.now.Unix(), hold: true, seq: seq}
	if old := tx.waitingRow(w.key); old != nil && !o.read() {
		w.Columns = old.Columns // what the change did not bring is as it was
	}
	changes := o.changes() + o.merged + tx.dropWaiting(m, row)
	tx.tally.unmapped++
	switch {
	case o.Reread != nil:
		w.Columns, w.xid, w.commit, w.time, w.Whole, w.news = o.Reread.Columns, o.Reread.xid, o.Reread.commit, o.Reread.time, o.Reread.Whole, o.Reread.news
	case o.read():
		// A read that is under way may be older than the page: it must not pass for
		// the newest because the row was parked by a read in between.
		w.time = o.Time.UnixMicro()
		if p := tx.place(rowKey(kindRow, m.number, ask.Row)); p != nil {
			if _, r := tx.rowAt(p); r != nil {
				w.xid, w.commit = r.xid, r.commit
			}
		}
	}
	w.keep(ask)
	w.bring(o)
	w.changes, w.reason = changes, ask.Reason
	if tx.tally.crowded(m, 1) {
		w.forget()
	}
	tx.book(m).Parked += changes
	tx.listAside(parked, m.number, w.seq, w.key)
	tx.writes[w.key] = w.encode()
}

// unkeyed makes what stands in the place of a row's key for a change that does not
// tell it: a zero byte, with which no key begins, and a number of its own. Past
// the bound nothing is kept that would tell one such change from another.
func (tx *Tx) unkeyed(m *mapping, seq uint64) []byte {
	if tx.tally.crowded(m, 1) {
		seq = 0
	}
	return binary.BigEndian.AppendUint64([]byte{0}, seq)
}

// Unkeyed tells that the change that is remembered did not tell its row's key.
func (w *Waiting) Unkeyed() bool { return len(w.Row) == 0 || w.Row[0] == 0 }

// Keyed lets a row whose key was not known be read by it.
func (tx *Tx) Keyed(w *Waiting, row []byte) {
	m := tx.s.registry.inForce[w.Mapping]
	key := rowKey(kindHeld, m.number, row)
	changes := w.changes
	if m.def.Kind != customerio.Event {
		// The row may have said more since, so it is read as a whole. An event is
		// what its row was.
		w.Columns, w.Whole = nil, false
		if p := tx.place(rowKey(kindRow, m.number, row)); p != nil {
			if _, r := tx.rowAt(p); r != nil && r.generation == m.generation && r.commit > w.commit {
				w.xid, w.commit, w.time = r.xid, r.commit, tx.now.UnixMicro()
			}
		}
	}
	tx.writes[w.key] = nil
	tx.tally.rereads--
	if other := tx.waitingRow(key); other == nil {
		tx.tally.rereads++
	} else {
		changes += other.changes
		other.news = other.news || w.news
		w = other
	}
	w.key, w.changes = key, changes
	tx.writes[key] = w.encode()
}

// SetAside parks a row that waits to be read, but cannot be.
func (tx *Tx) SetAside(w *Waiting, reason string) {
	m := tx.s.registry.inForce[w.Mapping]
	w.key = rowKey(kindUnmapped, m.number, w.Row)
	w.changes = tx.dropWaiting(m, w.Row)
	w.hold, w.reason, w.seq = true, reason, tx.next()
	tx.tally.unmapped++
	tx.book(m).Parked += w.changes
	tx.listAside(parked, m.number, w.seq, w.key)
	tx.writes[w.key] = w.encode()
}

// dropWaiting forgets that a row waits to be read, or is parked, because a
// newer change says what it asks. It returns how many changes now share that
// one's fate.
func (tx *Tx) dropWaiting(m *mapping, row []byte) (changes uint64) {
	return tx.dropWaitingOf(m, row, 0)
}

// dropWaitingOf is dropWaiting for what changes of one transaction have left; 0:
// of any.
func (tx *Tx) dropWaitingOf(m *mapping, row []byte, commit lsn.LSN) (changes uint64) {
	if !tx.tally.waitingRows() {
		return 0
	}
	books := tx.book(m)
	key := rowKey(kindHeld, m.number, row)
	if w := tx.waitingRow(key); w != nil && (commit == 0 || w.commit == commit) {
		tx.writes[key] = nil
		tx.tally.rereads--
		books.Waiting -= w.changes
		changes += w.changes
	}
	key = rowKey(kindUnmapped, m.number, row)
	if w := tx.waitingRow(key); w != nil && (commit == 0 || w.commit == commit) {
		tx.writes[key] = nil
		tx.unlistAside(parked, m.number, w.seq)
		tx.tally.unmapped--
		books.Parked -= w.changes
		changes += w.changes
	}
	return changes
}

// rowWaits tells whether a row waits to be read again, or is parked.
func (tx *Tx) rowWaits(m *mapping, row []byte) bool {
	return tx.tally.waitingRows() &&
		(tx.waitingRow(rowKey(kindHeld, m.number, row)) != nil || tx.waitingRow(rowKey(kindUnmapped, m.number, row)) != nil)
}

// moveWaiting follows a changed row key. What is remembered of the row has the
// new one from now on.
func (tx *Tx) moveWaiting(m *mapping, from, to string, o *Origin) {
	for _, kind := range []byte{kindHeld, kindUnmapped} {
		old := string(kind) + from[1:]
		w := tx.waitingRow(old)
		if w == nil {
			continue
		}
		tx.writes[old] = nil
		w.key = string(kind) + to[1:]
		w.bring(o)
		if w.bare {
			w.forget()
		}
		tx.writes[w.key] = w.encode()
		if kind == kindUnmapped {
			tx.point(asideKey(parked, m.number, w.seq), w.key)
		}
	}
}

// WaitingRow returns what is remembered of a row that waits to be read.
func (tx *Tx) WaitingRow(mapping int, row []byte) (*Waiting, bool) {
	m := tx.s.registry.inForce[mapping]
	w := tx.waitingRow(rowKey(kindHeld, m.number, row))
	if w == nil {
		return nil, false
	}
	w.Mapping, w.truncated = mapping, tx.s.backfillOf(m).truncated
	return w, true
}

// Vanished settles a row that waited to be read and is not there to be read,
// although its newest change was visible: nothing is left to send.
func (tx *Tx) Vanished(w *Waiting) {
	m := tx.s.registry.inForce[w.Mapping]
	tx.book(m).Filtered += tx.dropWaiting(m, w.Row)
}

// Rereads returns up to limit rows of a mapping that wait to be read again.
func (s *Store) Rereads(mapping, limit int) ([]*Waiting, error) {
	s.mu.Lock()
	none := s.tally.rereads == 0
	number := s.registry.inForce[mapping].number
	s.mu.Unlock()
	if none {
		return nil, nil
	}
	var rows []*Waiting
	prefix := number16(kindHeld, number)
	err := s.engine.view(func(r reader) (err error) {
		r.scan(prefix, after(prefix), func(k, v []byte) bool {
			var w *Waiting
			if w, err = decodeWaiting(string(k), slices.Clone(v)); err != nil {
				return false
			}
			w.Mapping = mapping
			rows = append(rows, w)
			return len(rows) < limit
		})
		return err
	})
	return rows, err
}
