package state

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
)

// freshRow is a row that the transaction now being stored has inserted: until
// it ends, an update amends its event and a delete withdraws it.
type freshRow struct {
	commit lsn.LSN
	event  string // the key of its event; "": none is queued so far
	// keep are large values of it, which a later change may not bring.
	keep []customerio.Column
}

// mostKept bounds what a stored freshRow keeps, in bytes: about what its event
// may weigh. A row with more is read again where a change does not bring it.
const mostKept = 32 << 10

func (tx *Tx) freshRow(key string) (freshRow, bool) {
	if f, ok := tx.fresh[key]; ok {
		return f, f.commit != 0 && f.commit == tx.origin.Commit
	}
	if tx.position.open.Commit == 0 {
		return freshRow{}, false
	}
	v := tx.load(key)
	if v == nil {
		return freshRow{}, false
	}
	d := open(key, v)
	f := freshRow{commit: lsn.LSN(d.uint()), event: d.string()}
	if f.commit != tx.origin.Commit {
		// One left by an earlier transaction is waiting to be swept.
		return freshRow{}, false
	}
	for range d.count(2) {
		f.keep = append(f.keep, customerio.Column{Name: d.string(), Text: slices.Clone(d.bytes())})
	}
	if d.err != nil {
		tx.fail(d.err)
	}
	return f, true
}

func (tx *Tx) setFresh(key string, f freshRow) {
	if tx.fresh == nil {
		tx.fresh = map[string]freshRow{}
	}
	tx.fresh[key] = f
	switch {
	case tx.openAt == 0 && tx.position.open.Commit == 0:
		return // its transaction lies in this batch
	case f.commit == 0:
		tx.writes[key] = nil
		return
	case f.commit != tx.openAt:
		return // its transaction ends in this batch
	}
	v := binary.AppendUvarint([]byte{recordVersion}, uint64(f.commit))
	v = appendBytes(v, f.event)
	size := 0
	for i := range f.keep {
		size += len(f.keep[i].Name) + len(f.keep[i].Text)
	}
	if size > mostKept {
		f.keep = nil
	}
	v = binary.AppendUvarint(v, uint64(len(f.keep)))
	for i := range f.keep {
		v = appendBytes(v, f.keep[i].Name)
		v = appendBytes(v, f.keep[i].Text)
	}
	tx.writes[key] = seal(v, 0, key)
}

func (tx *Tx) applyEvent(m *mapping, ask *customerio.Ask, o *Origin) {
	books := tx.book(m)
	books.Received += o.changes()
	if ask.Answer == customerio.Truncated {
		if b := tx.s.backfillOf(m); b.running() {
			tx.truncated(m, b, o.XID)
		}
		books.Ignored++
		return
	}
	switch {
	case ask.Row == nil && (o.Insert || o.read()):
		tx.refuse(m, ask, o)
		return
	case ask.Row == nil:
		books.Ignored++
		return
	case o.read():
		tx.readEvent(m, ask, o)
		return
	}
	key := rowKey(kindFresh, m.number, ask.Row)
	if ask.PriorRow != nil {
		prior := rowKey(kindFresh, m.number, ask.PriorRow)
		if f, ok := tx.freshRow(prior); ok {
			tx.setFresh(prior, freshRow{})
			tx.setFresh(key, f)
			tx.moveWaiting(m, prior, key, o)
		}
	}
	if tx.s.backfillOf(m).running() {
		tx.meet(m, ask, o)
	}
	fresh, amends := tx.freshRow(key)
	switch {
	case o.Insert && ask.Answer == customerio.In:
		name := eventKey(m.number, ask.EventKey)
		tx.setFresh(key, freshRow{o.Commit, tx.addEvent(m, name, ask, o), ask.Keep})
	case o.Insert && ask.Answer == customerio.Refused:
		tx.setFresh(key, freshRow{o.Commit, "", ask.Keep})
		tx.refuse(m, ask, o)
	case o.Insert && ask.Answer == customerio.Unsure:
		tx.setFresh(key, freshRow{o.Commit, "", ask.Keep})
		tx.wait(m, ask, o, true)
	case o.Insert:
		tx.setFresh(key, freshRow{o.Commit, "", ask.Keep})
		books.Filtered++
	case !amends:
		books.Ignored++
	default:
		tx.amendEvent(m, key, fresh, ask, o)
	}
}

// meet notes for a backfill that the stream brought the row's insert. One that
// was only updated or deleted was inserted before: its event is the page's to
// bring.
func (tx *Tx) meet(m *mapping, ask *customerio.Ask, o *Origin) {
	met := o.Insert
	if ask.PriorRow != nil {
		p := tx.place(rowKey(kindRow, m.number, ask.PriorRow))
		met = met || p != nil && p.body != nil
	}
	if met {
		tx.leaveXID(m, rowKey(kindRow, m.number, ask.Row), o)
	}
}

// readEvent takes a row that a backfill or a refetch read.
func (tx *Tx) readEvent(m *mapping, ask *customerio.Ask, o *Origin) {
	books := tx.book(m)
	b := tx.s.backfillOf(m)
	p := tx.place(rowKey(kindRow, m.number, ask.Row))
	if o.Reread == nil && (p != nil && p.body != nil || b.truncated != 0 && !o.Visible(b.truncated)) {
		// The stream brought its insert: that said what there is to say.
		books.Ignored++
		return
	}
	o.merged = tx.dropWaiting(m, ask.Row)
	switch ask.Answer {
	case customerio.In:
		tx.addEvent(m, eventKey(m.number, ask.EventKey), ask, o)
	case customerio.Refused:
		tx.refuse(m, ask, o)
	case customerio.Unsure:
		again := *ask
		again.Reason = "a column that the event needs cannot be read from the table"
		tx.refuse(m, &again, o)
	default:
		books.Filtered += o.changes() + o.merged
	}
}

// addEvent queues an event unless it is known. It returns the key, "" if the event
// of that id is another row's.
func (tx *Tx) addEvent(m *mapping, key string, ask *customerio.Ask, o *Origin) string {
	books := tx.book(m)
	row := xxhash.Sum64(ask.Row)
	if e := tx.event(key); e != nil {
		if e.row == row {
			books.Ignored += o.changes() + o.merged
			return key
		}
		again := *ask
		again.Reason = "event_id is not unique: another row has sent an event with this id"
		tx.refuse(m, &again, o)
		return ""
	}
	op := &ask.Operation
	s := &step{
		lane: laneOf(o), commit: o.Commit, born: o.Commit,
		time: o.Time.UnixMicro(), stored: tx.now.Unix(), stamp: stampOf(ask, o),
		name: op.Name, id: op.ID, address: op.Person,
		parts: []part{{mapping: m.number, changes: o.changes() + o.merged, attrs: tx.attributes(op.Attributes)}},
	}
	e := &event{key: key, row: row, step: s, dirty: true}
	tx.events[key] = e
	tx.claim(key)
	books.Waiting += s.parts[0].changes
	tx.admit(m.ws, e.key, e.step)
	return key
}

// stampOf is when an event happened: without a time of its own, when its change
// was committed.
func stampOf(ask *customerio.Ask, o *Origin) int64 {
	if ask.Operation.Timestamp != 0 {
		return ask.Operation.Timestamp
	}
	return o.Time.Unix()
}

func (tx *Tx) attributes(attrs []customerio.Attribute) []attr {
	out := make([]attr, len(attrs))
	for i := range attrs {
		out[i] = attr{tx.attr(attrs[i].Name), attrs[i].Value}
	}
	return out
}

// amendEvent changes or withdraws the event of a row that its own transaction
// has changed again. The change says all that the row is by now, or the row is
// read again: nothing of what it was stays.
func (tx *Tx) amendEvent(m *mapping, key string, fresh freshRow, ask *customerio.Ask, o *Origin) {
	books := tx.book(m)
	name := eventKey(m.number, ask.EventKey)
	whole := !ask.Missing && !ask.Partial
	switch {
	case ask.Answer == customerio.In && whole && fresh.event == name:
		books.Ignored++
		tx.setFresh(key, freshRow{o.Commit, name, ask.Keep})
		e := tx.event(fresh.event)
		if e == nil || e.step == nil || e.step.commit != o.Commit {
			return
		}
		e.dirty = true
		before := e.step.size()
		e.step.parts[0].attrs = tx.attributes(ask.Operation.Attributes)
		e.step.stamp = stampOf(ask, o)
		e.step.name = ask.Operation.Name
		if e.step.status == waiting {
			tx.tally.outboxes[m.ws].bytes += e.step.size() - before
		}
		if e.step.address != ask.Operation.Person {
			tx.withdraw(m, e)
			e.gone = false
			e.step.address = ask.Operation.Person
			tx.admit(m.ws, e.key, e.step)
		}
	case ask.Answer == customerio.In && whole:
		tx.filter(m, fresh.event, o)
		o.merged = tx.dropWaiting(m, ask.Row)
		tx.setFresh(key, freshRow{o.Commit, tx.addEvent(m, name, ask, o), ask.Keep})
	case ask.Answer == customerio.In || ask.Answer == customerio.Unsure:
		o.merged = tx.takeEvent(m, fresh.event, o)
		tx.setFresh(key, freshRow{o.Commit, "", ask.Keep})
		tx.wait(m, ask, o, true)
	case ask.Answer == customerio.Refused:
		o.merged = tx.takeEvent(m, fresh.event, o)
		tx.setFresh(key, freshRow{o.Commit, "", ask.Keep})
		tx.refuse(m, ask, o)
	default: // it is not to be sent after all
		tx.filter(m, fresh.event, o)
		books.Filtered += tx.dropWaitingOf(m, ask.Row, o.Commit)
		if ask.Answer == customerio.Gone {
			tx.setFresh(key, freshRow{})
			books.Ignored++
			return
		}
		tx.setFresh(key, freshRow{o.Commit, "", ask.Keep})
		books.Filtered++
	}
}

// filter withdraws the event of a row that turns out to ask for none.
func (tx *Tx) filter(m *mapping, name string, o *Origin) {
	tx.book(m).Filtered += tx.takeEvent(m, name, o)
}

// takeEvent withdraws an event of the transaction that is being stored, and
// returns how many changes it carried: they do not wait any more.
func (tx *Tx) takeEvent(m *mapping, name string, o *Origin) uint64 {
	if name == "" {
		return 0
	}
	e := tx.event(name)
	if e == nil || e.step == nil || e.step.commit != o.Commit {
		return 0
	}
	n := e.step.changes()
	*tx.book(m).under(e.step.status) -= n
	tx.withdraw(m, e)
	return n
}

// withdraw forgets an event whose transaction is still being stored.
func (tx *Tx) withdraw(m *mapping, e *event) {
	if e.step.status == waiting {
		tx.letHanging(m.ws, e.key, e.step)
		tx.dequeue(m.ws, e.key, e.step)
	} else {
		tx.unlist(m.ws, e.key, e.step)
	}
	e.gone = true
}
