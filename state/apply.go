package state

import (
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
)

// Origin is where an ask comes from: a change of a committed transaction, or a
// row read from its table.
type Origin struct {
	Commit lsn.LSN   // of the transaction; 0 for a read row
	XID    uint64    // of the transaction; 0 for a read row
	Time   time.Time // commit time, or when the snapshot was taken
	Insert bool      // the row was inserted by this change

	// Visible is set for a read row: whether its snapshot sees a transaction.
	Visible func(xid uint64) bool
	// Reread is set for a row that was read because it waited for that (or that
	// needs no reading): the changes it stands for were received before.
	Reread *Waiting
	// Columns gives the row's columns as far as the change brought them: asked
	// for only when the row must wait to be read again.
	Columns func() []Column

	merged uint64 // changes that waited and share this one's fate
}

// changes is how many changes the origin itself is.
func (o *Origin) changes() uint64 {
	if o.Reread != nil {
		return 0
	}
	return 1
}

func (o *Origin) read() bool { return o.Visible != nil }

// Row implements the mapper's view of the inventory.
func (tx *Tx) Row(mapping int, key []byte) (customerio.Kept, bool) {
	m := tx.s.registry.inForce[mapping]
	if m.def.Kind == customerio.Event {
		f, fresh := tx.freshRow(rowKey(kindFresh, m.number, key))
		return customerio.Kept{In: f.event != "", Fresh: fresh, Columns: f.keep}, fresh
	}
	p := tx.place(rowKey(kindRow, m.number, key))
	if p == nil {
		return customerio.Kept{}, false
	}
	_, r := tx.rowAt(p)
	if r == nil || r.generation != m.generation {
		return customerio.Kept{}, false
	}
	return customerio.Kept{In: r.in}, true
}

// rowAt returns the thing that a row holds, if it holds one, and the row.
func (tx *Tx) rowAt(p *place) (*thing, *row) {
	if p.body != nil {
		if p.thing == "" {
			return nil, p.body
		}
		return tx.thing(p.thing), p.body
	}
	t := tx.thing(p.thing)
	mapping, key := splitRowKey(p.key)
	for i := range t.rows {
		if r := &t.rows[i]; r.mapping == mapping && string(r.key) == key {
			return t, r
		}
	}
	return t, nil
}

func splitRowKey(key string) (mapping uint16, row string) {
	return uint16(key[1])<<8 | uint16(key[2]), key[3:]
}

// From says where the asks that follow come from, before they are mapped: what
// Row answers depends on it.
func (tx *Tx) From(o *Origin) { tx.origin = o }

// Apply acts on what one change asks of one thing, and enters it in the books.
func (tx *Tx) Apply(ask *customerio.Ask) {
	o := tx.origin
	o.merged = 0
	m := tx.s.registry.inForce[ask.Mapping]
	for i := range ask.Left {
		tx.leave(m, ask.Left[i])
	}
	if m.def.Kind == customerio.Event {
		tx.applyEvent(m, ask, o)
		return
	}
	tx.applyRow(m, ask, o)
}

func (tx *Tx) applyRow(m *mapping, ask *customerio.Ask, o *Origin) {
	books := tx.book(m)
	books.Received += o.changes()
	b := tx.s.backfillOf(m)
	if ask.Answer == customerio.Truncated {
		// A row that goes away changes nothing under these behaviors, but what a
		// snapshot from before the truncate shows must not bring it back as news: not
		// to a page, nor when a row is asked for later.
		tx.truncated(m, b, o.XID)
		books.Ignored++
		return
	}
	if ask.Row == nil {
		tx.refuse(m, ask, o) // there is no row to remember anything of
		return
	}
	key := rowKey(kindRow, m.number, ask.Row)
	if ask.PriorRow != nil {
		tx.moveRow(m, rowKey(kindRow, m.number, ask.PriorRow), key, o)
	}
	p, t, r := tx.find(m, key, ask)
	if r != nil && r.generation != m.generation {
		// Another workspace: what was said was said to the old.
		r.prints, r.generation = nil, m.generation
	}
	if o.read() && o.Reread == nil {
		newer := r != nil && r.xid != 0 && !o.Visible(r.xid)
		if newer || b.truncated != 0 && !o.Visible(b.truncated) {
			books.Ignored++
			return
		}
	}
	in := r != nil && r.in
	if ask.Answer == customerio.Unsure && o.read() {
		// Reading the row did not help, and would not the next time.
		ask.Answer, ask.Reason = customerio.Refused, "a column that `where` reads cannot be read from the table"
	}
	if ask.Answer == customerio.Unsure || ask.Answer == customerio.Refused {
		// The row waits, or is set aside, together with what waited of it.
		if ask.Answer == customerio.Unsure {
			tx.wait(m, ask, o, true)
		} else {
			tx.refuse(m, ask, o)
		}
		if b.running() && !o.read() {
			tx.noteXID(m, key, p, t, r, o)
		}
		return
	}
	if ask.Answer == customerio.In {
		tx.arrive(m, key, p, t, r, ask, o)
		return
	}
	o.merged = tx.dropWaiting(m, ask.Row)
	n := o.changes() + o.merged
	if ask.Answer == customerio.Out && !in {
		books.Filtered += n
	} else {
		books.Ignored += n // the row goes away, which changes nothing
	}
	if ask.Answer == customerio.Ignored {
		return
	}
	var said []print
	if in && ask.Answer == customerio.Out {
		said = slices.Clone(r.prints)
	}
	if p != nil {
		tx.detach(p)
	}
	if b.running() && !o.read() {
		tx.leaveXID(m, key, o)
	}
	if said != nil {
		// When it comes back, what it said before tells a changed value from one
		// that only comes back.
		if p = tx.place(key); p == nil {
			tx.leaveXID(m, key, o)
			p = tx.place(key)
		}
		p.body.prints = said
	}
}

// find looks for what is known of the row: first where it most likely is, in
// the record of the thing that it names now.
func (tx *Tx) find(m *mapping, key string, ask *customerio.Ask) (*place, *thing, *row) {
	if ask.Answer == customerio.In {
		name := thingKey(m.ws, m.def.Kind, ask.Operation.Thing())
		if t, ok := tx.things[name]; ok {
			for i := range t.rows {
				if r := &t.rows[i]; r.mapping == m.number && string(r.key) == string(ask.Row) {
					return &place{key: key, thing: name}, t, r
				}
			}
		}
	}
	p := tx.place(key)
	if p == nil {
		return nil, nil, nil
	}
	t, r := tx.rowAt(p)
	return p, t, r
}

// moveRow follows a changed row key: the row is the same row.
func (tx *Tx) moveRow(m *mapping, from, to string, o *Origin) {
	tx.moveWaiting(m, from, to, o)
	p := tx.place(from)
	if p == nil {
		return
	}
	t, r := tx.rowAt(p)
	p.gone = true
	moved := &place{key: to, thing: p.thing, body: p.body}
	_, newKey := splitRowKey(to)
	if r != nil {
		r.key = []byte(newKey)
	}
	if t != nil {
		t.dirty = true
		if t.writer == from {
			t.writer = to
		}
		if moved.body != nil {
			tx.delete(rowOfKey(p.thing, from))
			tx.put(rowOfKey(p.thing, to), []byte{})
		}
	}
	tx.setPlace(moved)
	if tx.s.backfillOf(m).running() {
		tx.leaveXID(m, from, o)
	}
}

// noteXID keeps the xid of a row's newest change, in or not.
func (tx *Tx) noteXID(m *mapping, key string, p *place, t *thing, r *row, o *Origin) {
	if r == nil {
		tx.leaveXID(m, key, o)
		return
	}
	r.xid, r.commit = o.XID, o.Commit
	tx.touch(p, t)
}

// leaveXID keeps the xid of a row that is not in while a backfill of its
// mapping may still read an older version of it.
func (tx *Tx) leaveXID(m *mapping, key string, o *Origin) {
	_, row_ := splitRowKey(key)
	tx.setPlace(&place{key: key, body: &row{mapping: m.number, key: []byte(row_), generation: m.generation, xid: o.XID, commit: o.Commit}})
}

func (tx *Tx) touch(p *place, t *thing) {
	if p.body != nil {
		p.dirty = true
	}
	if t != nil {
		t.dirty = true
	}
}

// arrive asks of a thing what a row that is in says.
func (tx *Tx) arrive(m *mapping, key string, p *place, t *thing, r *row, ask *customerio.Ask, o *Origin) {
	books := tx.book(m)
	name := thingKey(m.ws, m.def.Kind, ask.Operation.Thing())
	var owner customerio.Identifier
	if m.def.Kind.Owned() {
		owner = customerio.Fold(ask.Operation.Person)
	}
	arrival := r == nil || !r.in || p.thing != name || r.owner != owner
	if (ask.Missing || ask.Partial) && arrival && !o.read() {
		// Nothing is at the destination that what was not sent could stay as.
		if p != nil {
			tx.detach(p)
		}
		if tx.s.backfillOf(m).running() {
			tx.leaveXID(m, key, o)
		}
		tx.wait(m, ask, o, true)
		return
	}
	// A row that waits, or is parked, may do so for what was not sent now.
	unsaid := ask.Partial && tx.rowWaits(m, ask.Row)
	o.merged = tx.dropWaiting(m, ask.Row)
	n := o.changes() + o.merged
	var said []print
	if arrival && r != nil {
		said = slices.Clone(r.prints)
	}
	if arrival && p != nil && p.thing != "" {
		tx.detach(p)
		r = nil
	}
	if arrival {
		t, r = tx.attach(m, key, name, owner)
		p = tx.place(key)
	}
	w := tx.weigh(m, key, t, r, said, arrival, ask, o)
	r.in = true
	switch {
	case o.Reread != nil:
		r.xid, r.commit = o.Reread.xid, o.Reread.commit
	case !o.read():
		r.xid, r.commit = o.XID, o.Commit
	}
	tx.touch(p, t)
	if (ask.Missing || unsaid) && !o.read() {
		tx.wait(m, ask, o, false)
	}
	if !w.send {
		books.Unchanged += n
		return
	}
	w.attrs = append(tx.mem.attrs.take(len(w.attrs))[:0], w.attrs...) // to be kept
	for i := range w.attrs {
		r.setPrint(w.attrs[i].name, fingerprint(w.attrs[i].value))
	}
	stops := tx.identify(m.ws, t, w.attrs)
	t.writer = key
	tx.queue(m, t, &w, ask.Operation.Person, stops, n, o)
	books.Waiting += n
	if arrival && m.makesOwners() {
		tx.releaseOwner(m.ws, t)
	}
}

// weighed is what of an operation is to be sent, and whether at all.
type weighed struct {
	send       bool
	updateOnly bool
	attrs      []attr
}

// weigh compares an operation with what was last queued. Only attributes that
// differ are carried; all of them when this row was not the last to write its
// thing, and for an update-only row of a person whom pgcio did not create.
func (tx *Tx) weigh(m *mapping, key string, t *thing, r *row, said []print, arrival bool, ask *customerio.Ask, o *Origin) weighed {
	all := t.writer != key || m.def.UpdateOnly && !t.created
	w := weighed{send: arrival || r.again, updateOnly: m.def.UpdateOnly}
	all = all || r.again
	r.again = r.again && (ask.Missing || ask.Partial) // a read will say the rest
	if !m.def.UpdateOnly && !t.created && len(t.steps) == 0 {
		w.send = true // what would have created its person was given up
	}
	w.attrs = tx.mem.weighed[:0]
	var same []attr // those that do not differ, carried along where they are to be
	for i := range ask.Operation.Attributes {
		a := &ask.Operation.Attributes[i]
		n := tx.attr(a.Name)
		known, had := r.print(n)
		if at := slices.IndexFunc(said, func(p print) bool { return p.attr == n }); !had && a.OnChange && at >= 0 {
			known, had = said[at].hash, true
			r.setPrint(n, known)
		}
		differs := !had || known != fingerprint(a.Value)
		switch {
		case a.OnChange:
			if !differs {
				continue
			}
			if !tx.changed(a, had, arrival, o) {
				r.setPrint(n, fingerprint(a.Value)) // noted, not sent
				continue
			}
			w.send = true
		case !differs:
			if all || a.Always {
				same = append(same, attr{n, a.Value})
			}
			continue
		case !a.Passive:
			w.send = true
		}
		w.attrs = append(w.attrs, attr{n, a.Value})
	}
	w.attrs = append(w.attrs, same...)
	tx.mem.weighed = w.attrs
	return w
}

// changed tells whether an attribute that is sent only when it changes did:
// when a streamed change altered it, or a streamed insert creates the row.
func (tx *Tx) changed(a *customerio.Attribute, had, arrival bool, o *Origin) bool {
	switch {
	case o.read() && (o.Reread == nil || !o.Reread.news):
		return false
	case o.Insert || had && !arrival:
		return true
	default:
		// Whether the change altered it, or one while the row was not in, cannot be
		// known: what it says is noted. To opt out of mail is never lost for that; to
		// opt in again is nothing to guess at.
		return a.Name == "unsubscribed" && string(a.Value) == "true"
	}
}

// fingerprint stands for a value: equal ones have the same, and two that differ
// share one in 2^64 cases.
func fingerprint(value []byte) uint64 { return xxhash.Sum64(value) }
