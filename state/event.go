package state

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
)

// freshRow is a row that the transaction now being stored has inserted: until
// it ends, an update amends its event and a delete withdraws it.
type freshRow struct {
	commit lsn.LSN
	event  string // the key of its event; "": `where` is false so far
}

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
	if d.err != nil {
		tx.fail(d.err)
	}
	// One left by an earlier transaction is waiting to be swept.
	return f, f.commit == tx.origin.Commit
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
	if o.read() {
		tx.readEvent(m, ask, o)
		return
	}
	key := rowKey(kindFresh, m.number, ask.Row)
	if ask.PriorRow != nil {
		prior := rowKey(kindFresh, m.number, ask.PriorRow)
		if f, ok := tx.freshRow(prior); ok {
			tx.setFresh(prior, freshRow{})
			tx.setFresh(key, f)
		}
	}
	if tx.s.backfillOf(m).running() {
		tx.meet(m, ask, o)
	}
	fresh, amends := tx.freshRow(key)
	switch {
	case o.Insert && ask.Answer == customerio.In:
		name := eventKey(m.number, ask.EventKey)
		tx.setFresh(key, freshRow{o.Commit, tx.addEvent(m, name, ask, o)})
	case o.Insert && ask.Answer == customerio.Refused:
		tx.setFresh(key, freshRow{commit: o.Commit})
		tx.refuse(m, ask, o)
	case o.Insert:
		tx.setFresh(key, freshRow{commit: o.Commit})
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
		time: o.Time.UnixMicro(), stored: tx.now.Unix(), stamp: op.Timestamp,
		name: op.Name, id: op.ID, address: op.Person,
		parts: []part{{mapping: m.number, changes: o.changes() + o.merged, attrs: tx.attributes(op.Attributes)}},
	}
	if s.stamp == 0 {
		s.stamp = o.Time.Unix()
	}
	e := &event{key: key, row: row, step: s, dirty: true}
	tx.events[key] = e
	tx.claim(key)
	books.Waiting += s.parts[0].changes
	tx.admit(m.ws, e.key, e.step)
	return key
}

func (tx *Tx) attributes(attrs []customerio.Attribute) []attr {
	out := make([]attr, len(attrs))
	for i := range attrs {
		out[i] = attr{tx.attr(attrs[i].Name), attrs[i].Value}
	}
	return out
}

// amendEvent changes or withdraws the event of a row that its own transaction
// has changed again.
func (tx *Tx) amendEvent(m *mapping, key string, fresh freshRow, ask *customerio.Ask, o *Origin) {
	books := tx.book(m)
	name := eventKey(m.number, ask.EventKey)
	switch {
	case ask.Answer == customerio.In && fresh.event == name:
		books.Ignored++
		e := tx.event(fresh.event)
		if e == nil || e.step == nil || e.step.commit != o.Commit {
			return
		}
		e.dirty = true
		before := e.step.size()
		for _, a := range tx.attributes(ask.Operation.Attributes) {
			e.step.parts[0].set(a)
		}
		if ask.Operation.Timestamp != 0 {
			e.step.stamp = ask.Operation.Timestamp
		}
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
	case ask.Answer == customerio.In:
		tx.filter(m, fresh.event, o)
		o.merged = tx.dropWaiting(m, ask.Row)
		tx.setFresh(key, freshRow{o.Commit, tx.addEvent(m, name, ask, o)})
	default: // it is not to be sent after all
		tx.filter(m, fresh.event, o)
		if ask.Answer == customerio.Gone {
			tx.setFresh(key, freshRow{})
			books.Ignored++
			return
		}
		tx.setFresh(key, freshRow{commit: o.Commit})
		if ask.Answer == customerio.Refused {
			tx.refuse(m, ask, o)
			return
		}
		books.Filtered++
	}
}

// filter withdraws the event of a row that turns out to ask for none.
func (tx *Tx) filter(m *mapping, name string, o *Origin) {
	if name == "" {
		return
	}
	e := tx.event(name)
	if e == nil || e.step == nil || e.step.commit != o.Commit {
		return
	}
	books := tx.book(m)
	books.Waiting -= e.step.changes()
	books.Filtered += e.step.changes()
	tx.withdraw(m, e)
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

// set puts an attribute in the part, in place of an older value.
func (p *part) set(a attr) {
	for i := range p.attrs {
		if p.attrs[i].name == a.name {
			p.attrs[i] = a
			return
		}
	}
	p.attrs = append(p.attrs, a)
}
