package state

import (
	"encoding/binary"
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
)

// thing is what the state knows of one Customer.io thing: the rows that hold
// it, and the steps still to be taken with it.
type thing struct {
	key     string
	created bool   // an identify of ours that creates it was accepted
	stamp   int64  // the last timestamp given to an identify, Unix seconds
	sent    int64  // when the last identify was accepted, Unix milliseconds
	taken   uint64 // of what hangs on an owner: the place of the last step that was accepted
	epoch   uint32 // the workspace's when it was last looked at
	writer  string // the row (rowKey) that wrote it last
	spilled uint64 // rows whose inventory has a record of its own
	held    []holding
	links   []link // things that hold one of the same identifiers
	rows    []row
	steps   []step

	dirty bool
	fresh bool // there is no record of it yet
}

// holding is an identifier, beside the one that names the thing, that
// Customer.io has for it (accepted) or may come to have.
type holding struct {
	name     customerio.Identifier
	accepted bool
	maybe    bool // accepted only perhaps: by an operation whose reply a crash has lost
}

// link is another thing, and the seq when it came to share an identifier.
type link struct {
	key   string
	since uint64
}

// row is the inventory of one row. A row that is not in has no thing: it is
// kept while a backfill may still read an older version of it.
type row struct {
	mapping    uint16
	key        []byte
	generation uint32
	xid        uint64
	commit     lsn.LSN // of its newest change
	in         bool
	// again: what it asks is asked once more, changed or not.
	again  bool
	owner  customerio.Identifier // folded: the person on whom the row hangs its thing; zero: none
	prints []print
}

// print is the fingerprint of the value last queued for an attribute; an
// attribute without one was never queued, or its value is not known.
type print struct {
	attr uint32
	hash uint64
}

func (t *thing) kind() customerio.Kind { return kindOf(t.key) }

// goesBefore tells whether the i-th step has to be settled before another with a
// later place. One that waits for its owner gets its place when it is let go of:
// until then what counts is which is older.
func (t *thing) goesBefore(i int, s *step) bool {
	switch t.steps[i].status {
	case waiting:
		return true
	case ownerless:
		return slices.IndexFunc(t.steps, func(o step) bool { return o.seq == s.seq }) > i
	}
	return false
}

// enter forgets what was sent to another workspace.
func (t *thing) enter(epoch uint32) {
	if t.epoch == epoch {
		return
	}
	t.epoch, t.created = epoch, false
	for i := range t.held {
		t.held[i].accepted, t.held[i].maybe = false, false
	}
}

func (r *row) print(attr uint32) (uint64, bool) {
	for i := range r.prints {
		if r.prints[i].attr == attr {
			return r.prints[i].hash, true
		}
	}
	return 0, false
}

func (r *row) setPrint(attr uint32, hash uint64) {
	for i := range r.prints {
		if r.prints[i].attr == attr {
			r.prints[i].hash = hash
			return
		}
	}
	r.prints = append(r.prints, print{attr, hash})
}

func (r *row) clearPrint(attr uint32, hash uint64) {
	r.prints = slices.DeleteFunc(r.prints, func(p print) bool { return p.attr == attr && p.hash == hash })
}

// room is at least as many bytes as the record takes.
func (t *thing) room() int {
	n := 96 + len(t.key) + len(t.writer)
	for _, h := range t.held {
		n += 8 + len(h.name.Value)
	}
	for _, l := range t.links {
		n += 14 + len(l.key)
	}
	for i := range t.rows {
		n += t.rows[i].room()
	}
	for i := range t.steps {
		n += t.steps[i].room()
	}
	return n
}

func (r *row) room() int { return 56 + len(r.key) + len(r.owner.Value) + 14*len(r.prints) }

// empty tells whether nothing is known of the thing that will be asked for. The last
// timestamp given to a person is something: the next has to be later. Of a device
// or a relationship that no row has any more nothing is.
func (t *thing) empty() bool {
	if len(t.rows) > 0 || len(t.steps) > 0 || len(t.held) > 0 || t.spilled > 0 {
		return false
	}
	return t.kind().Owned() || !t.created && t.stamp == 0
}

func appendIdentifier(dst []byte, id customerio.Identifier) []byte {
	return appendBytes(append(dst, byte(id.Type)), id.Value)
}

func (d *decoder) identifier() customerio.Identifier {
	return customerio.Identifier{Type: customerio.IdentifierType(d.byte()), Value: d.string()}
}

func appendIdentifiers(dst []byte, ids []customerio.Identifier) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		dst = appendIdentifier(dst, id)
	}
	return dst
}

func (d *decoder) identifiers() []customerio.Identifier {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	ids := make([]customerio.Identifier, n)
	for i := range ids {
		ids[i] = d.identifier()
	}
	return ids
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

func appendThing(dst []byte, t *thing) []byte {
	start := len(dst)
	dst = append(dst, recordVersion, flag(t.created, 1)|flag(t.taken != 0, 2))
	dst = binary.AppendVarint(dst, t.stamp)
	dst = binary.AppendVarint(dst, t.sent)
	if t.taken != 0 {
		dst = binary.AppendUvarint(dst, t.taken)
	}
	dst = binary.AppendUvarint(dst, uint64(t.epoch))
	dst = appendBytes(dst, t.writer)
	dst = binary.AppendUvarint(dst, t.spilled)
	dst = binary.AppendUvarint(dst, uint64(len(t.held)))
	for _, h := range t.held {
		dst = appendIdentifier(append(dst, flag(h.accepted, 1)|flag(h.maybe, 2)), h.name)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.links)))
	for _, l := range t.links {
		dst = binary.AppendUvarint(appendBytes(dst, l.key), l.since)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.rows)))
	for i := range t.rows {
		dst = appendRow(dst, &t.rows[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.steps)))
	for i := range t.steps {
		dst = appendStep(dst, &t.steps[i])
	}
	return seal(dst, start, t.key)
}

// decodeThing reads a thing; its slices are parts of value, and of mem where
// that is given.
func decodeThing(key string, value []byte, mem *scratch) (*thing, error) {
	d := open(key, value)
	d.mem = mem
	t := &take(mem, 1, func(m *scratch) *slab[thing] { return &m.things })[0]
	t.key = key
	f := d.byte()
	t.created = f&1 != 0
	t.stamp = d.int()
	t.sent = d.int()
	if f&2 != 0 {
		t.taken = d.uint()
	}
	t.epoch = uint32(d.uint())
	t.writer = d.string()
	t.spilled = d.uint()
	if n := d.count(3); n > 0 {
		t.held = make([]holding, n)
		for i := range t.held {
			f := d.byte()
			t.held[i].accepted, t.held[i].maybe = f&1 != 0, f&2 != 0
			t.held[i].name = d.identifier()
		}
	}
	if n := d.count(2); n > 0 {
		t.links = make([]link, n)
		for i := range t.links {
			t.links[i] = link{d.string(), d.uint()}
		}
	}
	if n := d.count(7); n > 0 {
		t.rows = take(mem, n, func(m *scratch) *slab[row] { return &m.rows })
		for i := range t.rows {
			d.row(&t.rows[i])
		}
	}
	if n := d.count(12); n > 0 {
		t.steps = take(mem, n, func(m *scratch) *slab[step] { return &m.steps })
		for i := range t.steps {
			d.step(&t.steps[i])
		}
	}
	return t, d.err
}

// take makes a slice of n, in mem where that is given.
func take[T any](mem *scratch, n int, of func(*scratch) *slab[T]) []T {
	if mem == nil {
		return make([]T, n)
	}
	return of(mem).take(n)
}

func appendRow(dst []byte, r *row) []byte {
	dst = append(dst, flag(r.in, 1)|flag(r.owner.Type != 0, 2)|flag(r.again, 4))
	dst = binary.AppendUvarint(dst, uint64(r.mapping))
	dst = appendBytes(dst, r.key)
	dst = binary.AppendUvarint(dst, uint64(r.generation))
	dst = binary.AppendUvarint(dst, r.xid)
	dst = binary.AppendUvarint(dst, uint64(r.commit))
	if r.owner.Type != 0 {
		dst = appendIdentifier(dst, r.owner)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.prints)))
	for _, p := range r.prints {
		dst = binary.AppendUvarint(dst, uint64(p.attr))
		dst = binary.LittleEndian.AppendUint64(dst, p.hash)
	}
	return dst
}

func (d *decoder) row(r *row) {
	f := d.byte()
	r.in, r.again = f&1 != 0, f&4 != 0
	r.mapping = uint16(d.uint())
	r.key = d.bytes()
	r.generation = uint32(d.uint())
	r.xid = d.uint()
	r.commit = lsn.LSN(d.uint())
	if f&2 != 0 {
		r.owner = d.identifier()
	}
	if n := d.count(9); n > 0 {
		r.prints = take(d.mem, n, func(m *scratch) *slab[print] { return &m.prints })
		for i := range r.prints {
			r.prints[i] = print{uint32(d.uint()), d.fixed64()}
		}
	}
}
