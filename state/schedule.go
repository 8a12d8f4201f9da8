package state

import (
	"container/heap"
	"time"

	"github.com/cespare/xxhash/v2"
)

// A lane's queue is read once, in its order, and what may not leave yet is kept
// in memory by what it waits for. That has bounds, and past them a lane reads on
// and forgets: it remembers only from which place on something waits for that.
// When that is settled, the lane reads again from there as soon as it has come to
// the end. So nothing that waits, be it for days, is in the way of what waits for
// nothing, and memory does not grow with it (law 12).
//
// Another reading looks at everything behind that place, which may be all in
// vain. Therefore it begins only at the end of the one before, and not before
// some time has passed for each entry which that has looked at in vain
// (restPerEntry). One Draw looks at looksAtOnce such entries of a lane, since it
// keeps others from the state meanwhile.
const (
	restPerEntry = 10 * time.Microsecond
	looksAtOnce  = 20_000

	// loadPiece is how many keys of a queue are read at once.
	loadPiece = 2_000
	// notes is how many places a lane remembers of what it has forgotten. What
	// shares one is read again together.
	notes = 1 << 16
)

// window is how many waiting entries of a lane are kept in memory: about 120
// bytes each; windowEach, how many of those may wait for one and the same.
var (
	window     = 100_000
	windowEach = 1_000
)

// liveTurns is how many live entries leave for each backfilled one while there
// are both: a fifth is backfilled.
const liveTurns = 4

// entry is a step in the queue.
type entry struct {
	ws, lane uint8
	seq      uint64
	key      string // of its thing or event
}

// lanes schedules one workspace: what may leave now, and what waits for what.
type lanes struct {
	lane    [2]lane
	blocked map[string][]entry // by what they wait for
	delayed delayed
	turn    int // how many live entries have left since a backfilled one, up to liveTurns
}

// lane is one queue, in order of seq.
type lane struct {
	ready  bySeq               // to look at
	kept   map[uint64]struct{} // those in lanes.blocked and lanes.delayed
	loaded uint64              // every entry up to this seq has been read
	more   bool                // there may be entries past it

	forgotten []uint64  // by the hash of what they wait for: the first of them
	again     uint64    // where to read from again; 0: nowhere
	vain      int       // entries looked at in vain since the end was last reached
	rest      time.Time // no reading again before
}

// Keys in lanes.blocked that are no record's: what waits for the transaction
// in hand, and for the position to move.
const (
	untilCommit   = "\x00commit"
	untilPosition = "\x00position"
)

func newLanes() *lanes {
	l := &lanes{blocked: map[string][]entry{}, delayed: delayed{byKey: map[string][]*late{}}}
	for n := range l.lane {
		l.lane[n].more, l.lane[n].kept = true, map[uint64]struct{}{}
	}
	return l
}

func (s *Store) lanesOf(ws uint8) *lanes {
	l := s.lanes[ws]
	if l == nil {
		l = newLanes()
		s.lanes[ws] = l
	}
	return l
}

// push puts an entry back at its place among those to look at.
func (l *lanes) push(e entry) {
	q := &l.lane[e.lane]
	delete(q.kept, e.seq)
	heap.Push(&q.ready, e)
}

// block keeps an entry until what it waits for is settled, or forgets it. What
// waits for the transaction in hand is always kept: there is no more of it than
// that changes, and it is looked at again at every commit.
func (l *lanes) block(e entry, on string) {
	q := &l.lane[e.lane]
	if on != untilCommit && (len(q.kept) >= window || len(l.blocked[on]) >= windowEach) {
		q.forget(e, on)
		return
	}
	q.kept[e.seq] = struct{}{}
	l.blocked[on] = append(l.blocked[on], e)
}

// unblock looks again at what waited for any of what has been settled.
func (l *lanes) unblock(on string) {
	for _, e := range l.blocked[on] {
		l.push(e)
	}
	delete(l.blocked, on)
	for n := range l.lane {
		l.lane[n].recall(on)
	}
}

func (l *lanes) delay(e entry, due int64) {
	l.lane[e.lane].kept[e.seq] = struct{}{}
	l.delayed.add(e, due)
}

// take takes the first of the entries to look at.
func (q *lane) take() entry {
	e := heap.Pop(&q.ready).(entry)
	for len(q.ready) > 0 && q.ready[0].seq == e.seq {
		heap.Pop(&q.ready) // it was put back for two reasons
	}
	return e
}

func (q *lane) forget(e entry, on string) {
	if q.forgotten == nil {
		q.forgotten = make([]uint64, notes)
	}
	if at := &q.forgotten[xxhash.Sum64String(on)%notes]; *at == 0 || e.seq < *at {
		*at = e.seq
	}
}

// recall notes from where to read again for what was forgotten and waited for
// this. What lies ahead is met anyway.
func (q *lane) recall(on string) {
	if q.forgotten == nil {
		return
	}
	at := &q.forgotten[xxhash.Sum64String(on)%notes]
	if *at != 0 && *at <= q.loaded && (q.again == 0 || *at < q.again) {
		q.again = *at
	}
	*at = 0
}

// reachedEnd ends a reading.
func (q *lane) reachedEnd(now time.Time) {
	q.more = false
	q.rest = now.Add(time.Duration(q.vain) * restPerEntry)
	q.vain = 0
}

// rewind begins another reading, if there is a reason to and the time has come.
func (q *lane) rewind(now time.Time) bool {
	if q.again == 0 || now.Before(q.rest) {
		return false
	}
	q.loaded, q.again, q.more = q.again-1, 0, true
	return true
}

// bySeq is a heap of entries by seq.
type bySeq []entry

func (h bySeq) Len() int           { return len(h) }
func (h bySeq) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h bySeq) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *bySeq) Push(x any)        { *h = append(*h, x.(entry)) }
func (h *bySeq) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
