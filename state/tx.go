package state

import (
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
)

// Tx is one transaction on the state. It gathers its writes in memory, answers
// reads through them, and is committed once, in key order.
type Tx struct {
	s   *Store
	r   reader
	now time.Time
	err error // the first record that could not be read

	things map[string]*thing
	places map[string]*place
	events map[string]*event
	names  map[string]*nameRecord
	writes map[string][]byte // raw records and index keys; nil deletes

	// fresh are the rows of event mappings inserted by a transaction of this
	// batch, by rowKey(kindFresh).
	fresh map[string]freshRow
	// hanging is the newest seq queued in this transaction under an address.
	hanging map[string]uint64
	// owned are the prefixes under which this transaction has entered what waits
	// for its owner.
	owned map[string]bool

	origin   *Origin
	position position
	openAt   lsn.LSN // commit LSN of the transaction that the batch leaves open
	moved    bool
	seq      uint64
	books    map[*mapping]struct{}
	tally    tally
	ready    []entry  // entries to look at again once committed
	settled  []string // what others may have waited for
	after    []func() // run under the store's mu once committed
	// published are the books as this transaction leaves them.
	published []Books
	mem       *scratch
}

// place is where a row's inventory is: inline in its thing's record, or a
// record of its own (body).
type place struct {
	key   string
	thing string
	body  *row
	dirty bool
	gone  bool
}

// nameRecord lists the things that hold an identifier, or may come to.
type nameRecord struct {
	key    string
	things []string
	// turnedAway is set when there have been more than may be listed.
	turnedAway bool
	dirty      bool
}

// then runs fn once the transaction is durable, before anyone can see it.
func (tx *Tx) then(fn func()) { tx.after = append(tx.after, fn) }

func (tx *Tx) put(key, value []byte) { tx.writes[string(key)] = value }

func (tx *Tx) delete(key []byte) { tx.writes[string(key)] = nil }

func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

// load copies a record out of the engine's memory, which ends with the view.
func (tx *Tx) load(key string) []byte {
	if v, ok := tx.writes[key]; ok {
		return v
	}
	v := tx.r.get([]byte(key))
	if v == nil {
		return nil
	}
	return tx.mem.bytes.copy(v)
}

// thing returns the record of a thing, new if there is none, and keeps Draw
// from taking its steps until this transaction is over.
func (tx *Tx) thing(key string) *thing {
	if t, ok := tx.things[key]; ok {
		return t
	}
	tx.claim(key)
	t := &take(tx.mem, 1, func(m *scratch) *slab[thing] { return &m.things })[0]
	t.key, t.fresh = key, true
	if v := tx.load(key); v != nil {
		decoded, err := decodeThing(key, v, tx.mem)
		if err != nil {
			tx.fail(err)
		} else {
			t = decoded
		}
	}
	t.enter(tx.s.registry.workspaces[key[1]].epoch)
	if len(t.steps) > 0 {
		tx.s.quick.Lock()
		for i := range t.steps {
			t.steps[i].inFlight = tx.s.inFlight(t.steps[i].seq, key)
		}
		tx.s.quick.Unlock()
	}
	tx.things[key] = t
	return t
}

func (tx *Tx) claim(key string) {
	tx.s.quick.Lock()
	tx.s.touched[key] = struct{}{}
	tx.s.quick.Unlock()
}

func (tx *Tx) event(key string) *event {
	if e, ok := tx.events[key]; ok {
		if e.gone {
			return nil
		}
		return e
	}
	v := tx.load(key)
	if v == nil {
		return nil
	}
	tx.claim(key)
	e, err := decodeEvent(key, v)
	if err != nil {
		tx.fail(err)
		return nil
	}
	if e.step != nil {
		tx.s.quick.Lock()
		e.step.inFlight = tx.s.inFlight(e.step.seq, key)
		tx.s.quick.Unlock()
	}
	tx.events[key] = e
	return e
}

// place returns where the row is kept; nil when it is not known.
func (tx *Tx) place(key string) *place {
	if p, ok := tx.places[key]; ok {
		if p.gone {
			return nil
		}
		return p
	}
	v := tx.load(key)
	if v == nil {
		return nil
	}
	d := open(key, v)
	p := &place{key: key, thing: d.string()}
	if d.byte()&1 != 0 {
		p.body = new(row)
		d.row(p.body)
	}
	if d.err != nil {
		tx.fail(d.err)
		return nil
	}
	tx.places[key] = p
	return p
}

func (tx *Tx) setPlace(p *place) {
	p.dirty = true
	tx.places[p.key] = p
}

func appendPlace(dst []byte, p *place) []byte {
	start := len(dst)
	dst = appendBytes(append(dst, recordVersion), p.thing)
	dst = append(dst, flag(p.body != nil, 1))
	if p.body != nil {
		dst = appendRow(dst, p.body)
	}
	return seal(dst, start, p.key)
}

// room is at least as many bytes as the record takes.
func (p *place) room() int {
	n := 16 + len(p.thing)
	if p.body != nil {
		n += p.body.room()
	}
	return n
}

func (tx *Tx) name(key string) *nameRecord {
	if n, ok := tx.names[key]; ok {
		return n
	}
	n := &nameRecord{key: key}
	if v := tx.load(key); v != nil {
		if err := n.decode(v); err != nil {
			tx.fail(err)
		}
	}
	tx.names[key] = n
	return n
}

func appendName(dst []byte, n *nameRecord) []byte {
	start := len(dst)
	dst = append(dst, recordVersion, flag(n.turnedAway, 1))
	dst = binary.AppendUvarint(dst, uint64(len(n.things)))
	for _, t := range n.things {
		dst = appendBytes(dst, t)
	}
	return seal(dst, start, n.key)
}

func (n *nameRecord) decode(value []byte) error {
	d := open(n.key, value)
	n.turnedAway = d.byte()&1 != 0
	for range d.count(1) {
		n.things = append(n.things, d.string())
	}
	return d.err
}

// room is at least as many bytes as the record takes.
func (n *nameRecord) room() int {
	size := 16
	for _, t := range n.things {
		size += 3 + len(t)
	}
	return size
}

// next gives out a place in the queue.
func (tx *Tx) next() uint64 {
	tx.seq++
	return tx.seq
}

func (tx *Tx) book(m *mapping) *Books {
	tx.books[m] = struct{}{}
	return &m.books
}

// gather encodes everything that changed.
func (tx *Tx) gather() []write {
	writes := tx.mem.writes
	add := func(key string, value []byte) { writes = append(writes, write{bytesOf(key), value}) }
	for key, t := range tx.things {
		switch {
		case !t.dirty:
		case t.empty():
			add(key, nil)
		default:
			add(key, tx.mem.bytes.keep(appendThing(tx.mem.bytes.room(t.room()), t)))
		}
	}
	for key, p := range tx.places {
		switch {
		case p.gone:
			add(key, nil)
		case p.dirty:
			add(key, tx.mem.bytes.keep(appendPlace(tx.mem.bytes.room(p.room()), p)))
		}
	}
	for key, e := range tx.events {
		switch {
		case e.gone:
			add(key, nil)
		case e.dirty:
			add(key, tx.mem.bytes.keep(appendEvent(tx.mem.bytes.room(e.room()), e)))
		}
	}
	for key, n := range tx.names {
		switch {
		case n.dirty && len(n.things) == 0:
			add(key, nil)
		case n.dirty:
			add(key, tx.mem.bytes.keep(appendName(tx.mem.bytes.room(n.room()), n)))
		}
	}
	for m := range tx.books {
		tx.put(appendMapping(m))
	}
	g := &tx.s.registry
	for i := g.newAttrs; i < len(g.attrs); i++ {
		tx.put(appendAttr(uint32(i), g.attrs[i]))
	}
	if tx.moved || tx.seq != tx.s.head.seq {
		tx.put(appendPosition(tx.position, tx.seq))
	}
	if !tx.tally.equal(&tx.s.head.tally) {
		tx.writes[tallyKey] = tx.tally.encode()
	}
	for key, v := range tx.writes {
		add(key, v)
	}
	tx.mem.writes = writes
	return writes
}

// Ref names a row that a batch will ask about, and, where the change itself
// tells, the person it names.
type Ref struct {
	Mapping int
	Row     []byte
	Person  customerio.Identifier // a zero one: not told
}

// Fetch reads what the rows of a batch need together and in key order, which
// is a good deal quicker than one by one in the order of the batch.
func (tx *Tx) Fetch(refs []Ref) {
	keys := make([]string, 0, len(refs))
	var rows []string
	for i := range refs {
		ref := &refs[i]
		m := tx.s.registry.inForce[ref.Mapping]
		switch {
		case m.def.Kind == customerio.Event:
		case m.def.Kind == customerio.Person && ref.Person.Type != 0:
			keys = append(keys, thingKey(m.ws, customerio.Person, customerio.Fold(ref.Person)))
		default:
			rows = append(rows, rowKey(kindRow, m.number, ref.Row))
		}
	}
	sort.Strings(rows)
	for _, key := range slices.Compact(rows) {
		if p := tx.place(key); p != nil && p.thing != "" {
			keys = append(keys, p.thing)
		}
	}
	sort.Strings(keys)
	for _, key := range slices.Compact(keys) {
		tx.thing(key)
	}
}

// Begin tells, before anything of a batch is applied, which transaction the
// batch leaves open (0: none): its changes join nothing that was there before.
func (tx *Tx) Begin(open lsn.LSN) { tx.openAt = open }

// Through tells that everything up to at is in the state, and how much of the
// transaction that the batch leaves open.
func (tx *Tx) Through(at lsn.LSN, open Mark) {
	tx.moved = true
	if at != 0 {
		tx.position.stored = at
	}
	if was := tx.position.open; was.Commit != 0 && was.Commit != open.Commit {
		tx.sweepLater(sweepFresh, nil)
	}
	tx.position.open = open
}
