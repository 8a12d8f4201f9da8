package state

import (
	"encoding/binary"
	"fmt"
)

// journal stands before an engine and makes its commits cheap. The writes of a
// batch lie scattered over the whole set of keys; to put each into its place at
// once would rewrite nearly every page of a large state for every batch. So a
// commit adds its writes to the journal, as one segment, and keeps them in
// memory; they are put into their places later, in key order and in pieces,
// when many batches have written the same page and often the same key.
//
// There are two tables in memory: the active one takes writes; the frozen one
// is on its way into the engine. When it is through, its segments are dropped;
// when the active one is full, they change places. A start reads the segments
// that are left. To put a write into its place twice does no harm.
type journal struct {
	next  engine
	limit int          // bytes of a table at which it is frozen
	fail  func(string) // called at named points, for tests

	segment []byte // memory for the next one

	placing chan struct{} // holds a token while a piece is placed: one at a time
	piece   []write       // memory for the next one

	gate                    // its mu guards what follows
	pending        *pending // nil: nothing is being committed
	recent         *pending // durable, and not yet all of it in the active table
	active, frozen *memtable
	last           uint64 // number of the newest segment
	cut            uint64 // the frozen table's segments end with this one
	logged         int    // bytes of the segments since
	placed         string // the frozen table is in place up to this key, excluding it
	moved          int    // bytes of it that are
}

// journalLimit is the size of a table. Two of them and the batch in hand are
// most of the daemon's memory.
const journalLimit = 16 << 20

// segmentsPerTable bounds the journal on disk where the same keys are written
// over and over: a table is frozen as well when its segments have reached this
// many times its limit.
const segmentsPerTable = 2

// overfull is how full the active table gets, of 1, while the frozen one is
// still on its way.
const overfull = 1.25

// pieces is in how many commits a table is put into place, when there is
// time for that beside the others.
const pieces = 8

// openJournal reads what the engine has of the journal.
func openJournal(next engine, limit int, fail func(string)) (*journal, error) {
	j := &journal{next: next, limit: limit, fail: fail, active: &memtable{}, placing: make(chan struct{}, 1)}
	j.gone.L = &j.mu
	err := next.segments(func(s segment) error {
		j.last = s.number
		j.logged += len(s.data)
		return readSegment(s, j.active.put)
	})
	if err != nil {
		return nil, err
	}
	return j, nil
}

// segmentName stands in for a key in a segment's checksum.
func segmentName(number uint64) string { return fmt.Sprintf("segment %d", number) }

func appendSegment(dst []byte, number uint64, writes []write) []byte {
	start := len(dst)
	dst = append(dst, recordVersion)
	for i := range writes {
		dst = appendBytes(dst, writes[i].key)
		if writes[i].value == nil {
			dst = append(dst, 0)
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(writes[i].value))+1)
		dst = append(dst, writes[i].value...)
	}
	return seal(dst, start, segmentName(number))
}

func readSegment(s segment, visit func(key, value []byte)) error {
	d := open(segmentName(s.number), s.data)
	for len(d.b) > 0 {
		key := d.bytes()
		var value []byte
		if n := d.uint(); n > 0 {
			if n-1 > uint64(len(d.b)) {
				d.fail()
				break
			}
			value, d.b = d.b[:n-1:n-1], d.b[n-1:]
		}
		if d.err != nil {
			break
		}
		visit(key, value)
	}
	return d.err
}

// add lets the next transaction see writes, which name each key once. They are
// to be left alone until commit, which makes them durable, has returned.
func (j *journal) add(writes []write) {
	j.segment = appendSegment(j.segment[:0], j.last+1, writes)
	p := &pending{writes: writes, byKey: make(map[string][]byte, len(writes))}
	for _, w := range writes {
		p.byKey[viewString(w.key)] = w.value
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = p
}

// commit makes durable, and visible to all, what was added. It tells whether it
// is time to place.
func (j *journal) commit() (due bool, err error) {
	if err := j.next.commit(commit{segment: segment{j.last + 1, j.segment}}); err != nil {
		return false, err
	}
	j.mu.Lock()
	done := j.pending
	j.pending, j.recent = nil, done
	j.mu.Unlock()
	// All can see it by now; piece by piece, so that nobody has to wait for long,
	// the active table takes it over.
	for rest := done.writes; len(rest) > 0; {
		n := min(len(rest), takeOver)
		j.shut()
		for _, w := range rest[:n] {
			j.active.put(w.key, w.value)
		}
		j.mu.Unlock()
		rest = rest[n:]
	}
	j.shut()
	j.recent = nil
	j.last++
	j.logged += len(j.segment)
	if j.frozen == nil && j.full() >= 1 {
		j.freeze()
	}
	defer j.mu.Unlock()
	return j.owed() > 0, nil
}

// relieve places when nobody has had time to: what is to be committed next waits
// for that rather than memory grow.
func (j *journal) relieve() (err error) {
	j.mu.Lock()
	owed, late := j.owed(), j.limit/2
	if j.full() > overfull {
		late = 0
	}
	j.mu.Unlock()
	for err == nil && owed > late {
		owed, err = j.place(j.limit / pieces)
	}
	return err
}

// takeOver is how many writes the active table takes at once: some tenths of a
// millisecond.
const takeOver = 256

// full is how full the active table is, from 0 to 1 and more. mu is held.
func (j *journal) full() float64 {
	return max(float64(j.active.bytes)/float64(j.limit), float64(j.logged)/float64(segmentsPerTable*j.limit))
}

// owed is how many bytes of the frozen table should be in place by now and are
// not, in whole pieces: it should be through when the active one is full. mu is
// held.
func (j *journal) owed() int {
	if j.frozen == nil {
		return 0
	}
	owed := min(int(j.full()*float64(j.frozen.bytes)), j.frozen.bytes) - j.moved
	if piece := j.limit / pieces; owed < piece && j.moved+owed < j.frozen.bytes {
		return 0
	}
	return max(owed, 1)
}

// freeze starts a new active table. mu is held.
func (j *journal) freeze() {
	j.frozen, j.active = j.active, &memtable{}
	j.cut, j.logged, j.placed, j.moved = j.last, 0, "", 0
}

// place puts the next piece of the frozen table into place, beside commits, and
// tells how many bytes are still owed.
func (j *journal) place(bytes int) (owed int, err error) {
	j.placing <- struct{}{}
	defer func() { <-j.placing }()
	j.mu.Lock()
	frozen, from := j.frozen, j.placed
	c := commit{drop: j.cut, writes: j.piece[:0]}
	j.mu.Unlock()
	if frozen == nil {
		return 0, nil
	}
	moved := 0
	frozen.keys.Ascend(from, func(key string, v *cell) bool {
		if moved >= bytes {
			c.drop = 0 // there is more
			return false
		}
		c.writes = append(c.writes, write{bytesOf(key), v.value})
		moved += cellOverhead + len(key) + len(v.value) + len(v.value)/8
		return true
	})
	if err := j.next.commit(c); err != nil {
		return 0, err
	}
	j.fail("after-place")
	defer func() {
		clear(c.writes)
		j.piece = c.writes[:0]
	}()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.moved += moved
	if n := len(c.writes); n > 0 {
		j.placed = string(c.writes[n-1].key) + "\x00" // no key lies between
	}
	if c.drop != 0 {
		j.frozen = nil
	}
	return j.owed(), nil
}

// rest puts a piece of whatever is in the journal into place, all of which has
// been committed. It tells whether there is more.
func (j *journal) rest() (more bool, err error) {
	j.mu.Lock()
	if j.frozen == nil && j.active.bytes > 0 {
		j.freeze()
	}
	j.mu.Unlock()
	if _, err := j.place(j.limit / pieces); err != nil {
		return false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.frozen != nil || j.active.bytes > 0, nil
}

func (j *journal) size() (total, free int64) { return j.next.size() }

func (j *journal) close() error { return j.next.close() }

// view is a picture of what is durable: the engine with the tables laid over
// it. What has left the tables by then is in the engine.
func (j *journal) view(fn func(reader) error) error { return j.look(false, fn) }

// look is view, and with ahead of what is being committed, too.
func (j *journal) look(ahead bool, fn func(reader) error) error {
	j.mu.Lock()
	v := journalReader{tables: [2]*memtable{j.active, j.frozen}, pending: j.recent}
	if ahead && j.pending != nil {
		v.pending = j.pending // by then what was recent is in the table
	}
	j.views++
	j.mu.Unlock()
	defer j.leave()
	return j.next.view(func(r reader) error {
		v.below = r
		return fn(&v)
	})
}
