package simulator

import (
	"container/heap"
	"time"
)

// operation is one thing asked of a workspace: valid, and within the limits.
type operation interface {
	// action is what Customer.io calls it.
	action() string
	// names appends the people, objects and identifying values it is about:
	// operations that share one are applied in order of acceptance.
	names([]address) []address
	// apply does it. The lock is held.
	apply(*workspace, *accepted)
}

// joiner is an operation that can make the people it names one person: from
// then on their names stand for one order.
type joiner interface{ joins() }

// accepted is an operation on its way from acceptance to application.
type accepted struct {
	operation
	seq      int64     // order of acceptance
	at       time.Time // accepted
	due      time.Time // to be applied
	received int64     // Unix seconds: the timestamp of what brought none
}

// queue orders what is accepted and not applied, by when it is due.
type queue struct {
	seq   int64
	floor time.Time // the latest due so far: without jitter, nothing is due before it
	base  time.Time // the floor when the settings last changed: nothing is due before it
	waits waiting
	// last is when the latest operation of a group of names is due; groups
	// joins names that were ever about the same person, or object. Both are
	// kept only while there is jitter: without it, one order serves all.
	last   map[address]time.Time
	groups map[address]address
}

// accept takes the operations of a request that is answered at replied; from
// here on they happen.
func (w *workspace) accept(ops []indexed, request int64, now, replied time.Time) {
	if w.settings.ReorderItems {
		w.rng.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
	}
	jitter := int64(w.settings.LagJitter)
	var scratch []address
	for _, op := range ops {
		w.queue.seq++
		a := &accepted{operation: op.operation, seq: w.queue.seq, at: now, received: now.Unix()}
		a.due = replied.Add(time.Duration(w.settings.Lag))
		if a.due.Before(w.queue.base) {
			a.due = w.queue.base
		}
		scratch = a.names(scratch[:0])
		if jitter > 0 {
			a.due = a.due.Add(time.Duration(w.rng.Int64N(jitter + 1)))
			a.due = w.inOrder(a.operation, scratch, a.due)
		} else if a.due.Before(w.queue.floor) {
			a.due = w.queue.floor
		}
		if a.due.After(w.queue.floor) {
			w.queue.floor = a.due
		}
		heap.Push(&w.queue.waits, a)
		w.counters.Operations++
		if w.acceptances.limit != 0 {
			w.acceptances.add(Acceptance{
				Seq: a.seq, At: now, Request: request, Index: op.index,
				Action: a.action(), names: append([]address(nil), scratch...),
			})
		}
	}
}

// inOrder returns the earliest moment, not before due, at which all is done
// that was accepted earlier and shares a name.
func (w *workspace) inOrder(op operation, names []address, due time.Time) time.Time {
	q := &w.queue
	if q.last == nil {
		q.last, q.groups = make(map[address]time.Time), make(map[address]address)
	}
	_, joins := op.(joiner)
	for _, n := range names {
		for _, other := range w.alsoKnownAs(n) {
			q.join(n, other)
		}
		if joins && n.kind.ofPerson() {
			q.join(names[0], n)
		}
	}
	for _, n := range names {
		if t := q.last[q.group(n)]; t.After(due) {
			due = t
		}
	}
	for _, n := range names {
		q.last[q.group(n)] = due
	}
	return due
}

// alsoKnownAs lists the names of whom or what a name means now.
func (w *workspace) alsoKnownAs(n address) []address {
	if p := w.people[n]; p != nil {
		return p.names(nil)
	}
	if o := w.objects[n]; o != nil {
		return o.names(nil)
	}
	return nil
}

// join makes two names one group, with the later order of both.
func (q *queue) join(a, b address) {
	a, b = q.group(a), q.group(b)
	if a == b {
		return
	}
	if t := q.last[b]; t.After(q.last[a]) {
		q.last[a] = t
	}
	delete(q.last, b)
	q.groups[b] = a
}

func (q *queue) group(n address) address {
	up, ok := q.groups[n]
	if !ok {
		return n
	}
	root := q.group(up)
	q.groups[n] = root
	return root
}

// rebase keeps what waits before what comes, whatever lag and jitter become.
func (q *queue) rebase() {
	q.base, q.last, q.groups = q.floor, nil, nil
}

// apply does everything that is due at now.
func (w *workspace) apply(now time.Time) {
	for len(w.queue.waits) > 0 && !w.queue.waits[0].due.After(now) {
		a := heap.Pop(&w.queue.waits).(*accepted)
		a.apply(w, a)
		w.counters.Applied++
	}
}

// lastDue is when the last of what waits is due; zero when nothing waits.
func (w *workspace) lastDue() time.Time {
	var last time.Time
	for _, a := range w.queue.waits {
		if a.due.After(last) {
			last = a.due
		}
	}
	return last
}

// waiting is a heap by due time, then by order of acceptance.
type waiting []*accepted

func (h waiting) Len() int { return len(h) }
func (h waiting) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}
func (h waiting) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *waiting) Push(x any)   { *h = append(*h, x.(*accepted)) }
func (h *waiting) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
