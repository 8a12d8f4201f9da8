package state

import (
	"container/heap"
	"slices"
)

// delayed are the entries that wait for their time: by when they are due, and by
// key, of which each has few.
type delayed struct {
	byDue byDue
	byKey map[string][]*late
}

// late is an entry that waits for its time.
type late struct {
	entry
	due int64 // Unix milliseconds
	at  int   // its place in byDue
}

// add lets an entry wait.
func (d *delayed) add(e entry, due int64) {
	one := &late{entry: e, due: due}
	heap.Push(&d.byDue, one)
	d.byKey[e.key] = append(d.byKey[e.key], one)
}

// crowded tells whether so many wait that no more are to be looked for.
func (d *delayed) crowded() bool { return len(d.byDue) >= window }

// next is when the first of them is due.
func (d *delayed) next() (due int64, some bool) {
	if len(d.byDue) == 0 {
		return 0, false
	}
	return d.byDue[0].due, true
}

// pop takes the first that is due.
func (d *delayed) pop() entry {
	one := heap.Pop(&d.byDue).(*late)
	if of := slices.DeleteFunc(d.byKey[one.key], func(l *late) bool { return l == one }); len(of) > 0 {
		d.byKey[one.key] = of
	} else {
		delete(d.byKey, one.key)
	}
	return one.entry
}

// take takes all of a key.
func (d *delayed) take(key string) []*late {
	of := d.byKey[key]
	delete(d.byKey, key)
	for _, one := range of {
		heap.Remove(&d.byDue, one.at)
	}
	return of
}

// byDue is a heap of them by when they are due.
type byDue []*late

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].due < h[j].due }
func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *byDue) Push(x any) {
	one := x.(*late)
	one.at = len(*h)
	*h = append(*h, one)
}

func (h *byDue) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
