package state

import (
	"container/heap"
	"slices"
)

// window is how many entries of a lane the scheduler holds in memory at
// most: about 100 bytes each. What is further back in the queue is read when
// there is room.
const window = 100_000

// loadPiece is how many keys of a queue are read at once.
const loadPiece = 2_000

// entry is a step in the queue.
type entry struct {
	ws, lane uint8
	seq      uint64
	key      string // of its thing or event
	due      int64  // Unix milliseconds, while it is delayed
}

// lanes schedules one workspace: what may leave now, and what waits for what.
type lanes struct {
	lane    [2]lane
	blocked map[string][]entry // by what they wait for
	stuck   [2]int             // how many those are, by lane
	delayed delayed
}

// lane is one queue, in order of seq.
type lane struct {
	ready  []entry
	loaded uint64 // every entry up to this seq has been read
	more   bool   // there may be entries past it
}

// Keys in lanes.blocked that are no record's: what waits for the transaction
// in hand, and for the position to move.
const (
	untilCommit   = "\x00commit"
	untilPosition = "\x00position"
)

func newLanes() *lanes {
	l := &lanes{blocked: map[string][]entry{}}
	l.lane[0].more, l.lane[1].more = true, true
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
	ready := l.lane[e.lane].ready
	at, found := slices.BinarySearchFunc(ready, e.seq, func(e entry, seq uint64) int {
		return int(min(max(int64(e.seq)-int64(seq), -1), 1))
	})
	if !found {
		l.lane[e.lane].ready = slices.Insert(ready, at, e)
	}
}

func (l *lanes) block(e entry, on string) {
	l.blocked[on] = append(l.blocked[on], e)
	l.stuck[e.lane]++
}

// unblock looks again at what waited for any of what has been settled.
func (l *lanes) unblock(on string) {
	entries, ok := l.blocked[on]
	if !ok {
		return
	}
	delete(l.blocked, on)
	for _, e := range entries {
		l.stuck[e.lane]--
		l.push(e)
	}
}

func (l *lanes) delay(e entry, due int64) {
	e.due = due
	heap.Push(&l.delayed, e)
}

// delayed is a heap by when entries are due.
type delayed []entry

func (h delayed) Len() int           { return len(h) }
func (h delayed) Less(i, j int) bool { return h[i].due < h[j].due }
func (h delayed) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *delayed) Push(x any)        { *h = append(*h, x.(entry)) }
func (h *delayed) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
