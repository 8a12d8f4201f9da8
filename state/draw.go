package state

import (
	"fmt"
	"slices"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
)

// Draw takes what may leave the workspace now, up to room items and for as long as
// fits accepts, each lane in the order it was queued: live entries first, and one
// backfilled for every four of them while both wait. Each Item must be settled.
// When nothing may leave, next says when something may by the passing of time.
func (s *Store) Draw(ws, room int, fits func(*customerio.Operation) bool) (items []*Item, next time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.broken != nil {
		return nil, time.Time{}, s.broken
	}
	number := s.registry.wsInForce[ws].number
	d := drawing{s: s, l: s.lanesOf(number), ws: number, now: now(), fits: fits}
	// The view is opened under mu: it shows all that the lanes know of.
	err = s.engine.view(func(r reader) error {
		d.r = r
		s.quick.Lock()
		d.attrs, d.held = s.registry.attrs, s.registry.workspaces[number].held
		s.quick.Unlock()
		d.draw(room)
		return d.err
	})
	return d.items, d.next(), err
}

type drawing struct {
	s     *Store
	l     *lanes
	r     reader
	ws    uint8
	now   time.Time
	attrs []string // the registry's
	held  uint64   // the workspace's
	fits  func(*customerio.Operation) bool
	items []*Item
	some  bool   // fits has accepted some
	full  bool   // and would accept no more
	vain  [2]int // entries looked at in vain, by lane
	err   error
}

// draw lets the lanes take turns, so that neither a saturated live lane nor small
// requests starve the backfilled one. What comes in turn and has nothing cedes it.
func (d *drawing) draw(room int) {
	d.wakeDelayed()
	for !d.full && d.err == nil && len(d.items) < room {
		first, second := uint8(laneLive), uint8(laneBackfill)
		if d.l.turn >= liveTurns {
			first, second = second, first
		}
		// An entry of one lane may have hurried one of the other.
		if !d.run(first) && !d.run(second) && !d.ready(laneLive) && !d.ready(laneBackfill) {
			return
		}
	}
}

// ready tells whether there is something to look at in a lane.
func (d *drawing) ready(n uint8) bool {
	return len(d.l.lane[n].ready) > 0 && d.vain[n] < looksAtOnce
}

// next is when something may leave by the passing of time; zero: never.
func (d *drawing) next() (next time.Time) {
	if due, some := d.l.delayed.next(); some {
		next = time.UnixMilli(due)
	}
	for n := range d.l.lane {
		q := &d.l.lane[n]
		at := q.rest
		switch {
		case d.vain[n] >= looksAtOnce:
			at = d.now
		case q.again == 0 || q.more || d.l.delayed.crowded():
			continue
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

func (d *drawing) wakeDelayed() {
	ms := d.now.UnixMilli()
	for {
		due, some := d.l.delayed.next()
		if !some || due > ms {
			return
		}
		d.l.push(d.l.delayed.pop())
	}
}

// fill reads on in a queue when nothing of it is ready. What is delayed is soon
// due: with too much of that nothing more is read.
func (d *drawing) fill(n uint8) {
	q := &d.l.lane[n]
	for len(q.ready) == 0 && d.err == nil && d.vain[n] < looksAtOnce && !d.l.delayed.crowded() {
		if !q.more && !q.rewind(d.now) {
			return
		}
		d.read(n)
	}
}

// read reads a piece of a queue.
func (d *drawing) read(n uint8) {
	q := &d.l.lane[n]
	prefix := []byte{kindQueue, d.ws, n}
	count := 0
	d.r.scan(queueKey(d.ws, n, q.loaded+1), after(prefix), func(k, v []byte) bool {
		seq := seqOf(k)
		if _, kept := q.kept[seq]; kept {
			d.lookedInVain(n)
		} else {
			key, err := target(k, v)
			if err != nil {
				d.err = err
				return false
			}
			q.ready = append(q.ready, entry{ws: d.ws, lane: n, seq: seq, key: key})
		}
		q.loaded = seq
		count++
		return count < loadPiece
	})
	if count < loadPiece {
		q.reachedEnd(d.now)
	}
}

func (d *drawing) lookedInVain(n uint8) {
	d.vain[n]++
	d.l.lane[n].vain++
}

// run draws an item from a lane, and tells whether there was one.
func (d *drawing) run(n uint8) bool {
	q := &d.l.lane[n]
	for !d.full && d.err == nil && d.vain[n] < looksAtOnce {
		d.fill(n)
		if len(q.ready) == 0 {
			return false
		}
		e := q.take()
		item := d.judge(e)
		if item == nil {
			d.lookedInVain(n)
			continue
		}
		if !d.fly(item) {
			d.l.block(e, untilCommit)
			d.lookedInVain(n)
			continue
		}
		if item.Refuse == "" && !d.fits(&item.Operation) {
			d.s.land(item)
			d.l.push(e)
			d.full = true
			if !d.some {
				d.err = fmt.Errorf("draw the %s of %s: it fits into no request", item.Operation.Action, item.Operation.Thing())
			}
			return false
		}
		d.some = d.some || item.Refuse == ""
		d.items = append(d.items, item)
		if d.l.turn++; n == laneBackfill {
			d.l.turn = 0
		}
		d.l.turn = min(d.l.turn, liveTurns)
		return true
	}
	return false
}

// judge decides about an entry: it returns an item that may leave, or notes
// what the entry waits for.
func (d *drawing) judge(e entry) *Item {
	d.s.quick.Lock()
	_, flying := d.s.flying[e.seq]
	touched := d.s.isTouched(e.key)
	d.s.quick.Unlock()
	if flying {
		return nil
	}
	if touched {
		d.l.block(e, untilCommit)
		return nil
	}
	if e.key[0] == kindEvent {
		return d.judgeEvent(e)
	}
	t := d.thing(e.key)
	if t == nil {
		return nil
	}
	at := slices.IndexFunc(t.steps, func(s step) bool { return s.seq == e.seq })
	if at < 0 || t.steps[at].status != waiting {
		return nil // settled, or moved to another place
	}
	st := &t.steps[at]
	if d.unready(e, st) || d.behind(e, t, st) {
		return nil
	}
	switch t.kind() {
	case customerio.Object:
		return d.item(e, st)
	case customerio.Device, customerio.Relationship:
		return d.judgeOwned(e, st)
	}
	item := d.item(e, st)
	item.Refuse = heldByAnother(d, d.attrs, t, st)
	if item.Refuse != "" {
		item.held = true
		return item
	}
	return d.inTime(e, t, st, item)
}

func (d *drawing) judgeEvent(e entry) *Item {
	v := d.r.get([]byte(e.key))
	if v == nil {
		return nil
	}
	ev, err := decodeEvent(e.key, v)
	if err != nil {
		d.err = err
		return nil
	}
	st := ev.step
	if st == nil || st.seq != e.seq || st.status != waiting || d.unready(e, st) {
		return nil
	}
	return d.judgeOwned(e, st)
}

// judgeOwned decides about a dependant, which waits for what is queued for its
// owners, and is kept aside while one is known not to be there.
func (d *drawing) judgeOwned(e entry, st *step) *Item {
	owners := ownersOf(e.key, st)
	for _, address := range owners {
		if d.behindOwner(e, address) {
			return nil
		}
	}
	item := d.item(e, st)
	for _, address := range owners {
		o := owner{address: address, attrs: d.attrs}
		d.owners(address, o.look)
		if item.Refuse = o.absent(); item.Refuse != "" {
			item.orphan = true
			break
		}
	}
	return item
}

// behindOwner tells whether a dependant must wait for earlier steps of an owner.
func (d *drawing) behindOwner(e entry, address customerio.Identifier) (blocked bool) {
	// What waited for a refused step waits for the later one that took it over,
	// but not where others may wait for the event: they could wait in a circle.
	// It then counts as set aside, which blocks nobody.
	awaited := d.held&(1<<address.Type) != 0
	wait := func(t *thing) bool {
		for i := range t.steps {
			if before := &t.steps[i]; before.status == waiting && (before.seq < e.seq || before.since < e.seq && !awaited) {
				d.l.block(e, t.key)
				d.hurry(t.key)
				blocked = true
				return false
			}
		}
		return true
	}
	d.owners(address, func(t *thing) bool {
		if !wait(t) {
			return false
		}
		for _, link := range t.links {
			if !samePerson(link.key, t.key) {
				continue
			}
			if other := d.thing(link.key); other != nil && !wait(other) {
				return false
			}
		}
		return true
	})
	return blocked
}

// unready tells whether the step's transaction is not wholly stored (law 7) or
// its mapping is paused.
func (d *drawing) unready(e entry, st *step) bool {
	for i := range st.parts {
		if m := d.s.registry.mappings[st.parts[i].mapping]; m.def == nil || m.def.Paused {
			// Nothing sends it in this run; the next one reads the queue anew.
			return true
		}
	}
	if st.commit != 0 && st.commit >= d.s.position.stored {
		d.l.block(e, untilPosition)
		return true
	}
	return false
}

// behind tells whether an identify must wait for earlier steps: of its own
// thing, of a thing that shares an identifier, and of whatever is addressed by
// an identifier that it stops.
func (d *drawing) behind(e entry, t *thing, st *step) bool {
	for i := range t.steps {
		if before := &t.steps[i]; before.seq < e.seq && t.goesBefore(i, st) {
			d.l.block(e, t.key)
			d.hurry(t.key)
			return true
		}
	}
	for _, link := range t.links {
		other := d.thing(link.key)
		if other == nil {
			continue
		}
		for i := range other.steps {
			if before := &other.steps[i]; before.status == waiting && before.seq < e.seq {
				d.l.block(e, link.key)
				d.hurry(link.key)
				return true
			}
		}
	}
	for _, name := range st.stops {
		prefix := ownedPrefix(kindHanging, d.ws, name)
		found := false
		d.r.scan(prefix, ownedKey(kindHanging, d.ws, name, e.seq), func(_, _ []byte) bool {
			found = true
			return false
		})
		if found {
			d.l.block(e, string(prefix))
			return true
		}
	}
	return false
}

// inTime delays an identify whose timestamp would lie in the future, and one
// that follows another of the same person within a second, unless something
// waits for it.
func (d *drawing) inTime(e entry, t *thing, st *step, item *Item) *Item {
	item.Operation.Timestamp = st.stamp
	ms := d.now.UnixMilli()
	due := (st.stamp - 1) * 1000
	if _, awaited := d.l.blocked[t.key]; !awaited {
		due = max(due, t.sent+1000)
	}
	if due > ms {
		d.l.delay(e, due)
		return nil
	}
	return item
}

// hurry looks again at the delayed entries of a key that something now waits for.
func (d *drawing) hurry(key string) {
	for _, one := range d.l.delayed.take(key) {
		d.l.push(one.entry)
	}
}

func (d *drawing) thing(key string) *thing {
	v := d.r.get([]byte(key))
	if v == nil {
		return nil
	}
	t, err := decodeThing(key, v, nil)
	if err != nil {
		d.err = err
		return nil
	}
	t.enter(d.s.registry.workspaces[d.ws].epoch)
	return t
}

func (d *drawing) owners(address customerio.Identifier, visit func(*thing) bool) {
	if t := d.thing(ownerKey(d.ws, address)); t != nil && !visit(t) || address.Type == customerio.ObjectName {
		return
	}
	rec := d.name(address)
	if rec == nil {
		return
	}
	for _, key := range rec.things {
		if t := d.thing(key); t != nil && !visit(t) {
			return
		}
	}
}

// item copies a step out of the engine's memory.
func (d *drawing) item(e entry, st *step) *Item {
	op := operationOf(e.key, st)
	for i := range st.parts {
		op.Attributes = appendAttributes(op.Attributes, d.attrs, st.parts[i].attrs)
	}
	changes := make(map[uint16]uint64, len(st.parts))
	for i := range st.parts {
		changes[st.parts[i].mapping] += st.parts[i].changes
	}
	var committed time.Time
	if st.born != 0 {
		committed = time.UnixMicro(st.time)
	}
	return &Item{
		Operation: op.Clone(),
		Committed: committed,
		Mapping:   d.s.registry.mappings[st.parts[0].mapping].name,
		ws:        d.ws, key: e.key, seq: e.seq, lane: e.lane, changes: changes,
	}
}

// publish lets the schedulers see what a transaction has done, and whether it has
// moved the stored position. mu is held.
func (s *Store) publish(tx *Tx, moved bool) {
	s.delivered.come()
	for i := range tx.published {
		s.registry.mappings[i].published = tx.published[i]
	}
	for _, l := range s.lanes {
		l.lane[0].more, l.lane[1].more = true, true
		l.unblock(untilCommit)
		if moved {
			l.unblock(untilPosition)
		}
		for _, key := range tx.settled {
			l.unblock(key)
		}
	}
	for _, e := range tx.ready {
		s.lanesOf(e.ws).push(e)
	}
}
