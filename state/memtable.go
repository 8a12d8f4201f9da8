package state

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"github.com/tidwall/btree"
)

// memtable is a set of writes in memory. A nil value is a deletion. Keys and
// values lie in slabs that go with the table, so that its tens of thousands of
// entries are a few objects for the garbage collector.
type memtable struct {
	keys  btree.Map[string, *cell]
	cells slab[cell]
	mem   byteSlab
	bytes int
}

type cell struct{ value []byte }

// cellOverhead is what a key takes in a table beside its bytes and its value's.
const cellOverhead = 128

func (t *memtable) put(key, value []byte) {
	c, ok := t.keys.Get(viewString(key))
	if !ok {
		c = &t.cells.take(1)[0]
		t.keys.Set(viewString(t.mem.copy(key)), c)
		t.bytes += cellOverhead + len(key)
	}
	switch {
	case value == nil:
		c.value = nil
	case c.value != nil && cap(c.value) >= len(value):
		c.value = append(c.value[:0], value...)
	default:
		// Records grow and shrink a little with each change.
		room := len(value) + len(value)/8
		c.value = append(t.mem.keep(t.mem.room(room)[:room])[:0], value...)
		t.bytes += room
	}
}

// pending are writes that are being committed, or have just been.
type pending struct {
	writes []write
	byKey  map[string][]byte

	sort  sync.Once // few look at them in order
	order []write
}

// from is a cursor at the first of them that is not before key.
func (p *pending) from(key string) cursor {
	p.sort.Do(func() {
		p.order = slices.Clone(p.writes)
		slices.SortFunc(p.order, func(a, b write) int { return bytes.Compare(a.key, b.key) })
	})
	at, _ := slices.BinarySearchFunc(p.order, key, func(w write, key string) int { return cmp.Compare(viewString(w.key), key) })
	return &pendingCursor{p.order[at:]}
}

type pendingCursor struct{ rest []write }

func (c *pendingCursor) Key() string  { return viewString(c.rest[0].key) }
func (c *pendingCursor) Value() *cell { return &cell{c.rest[0].value} }

func (c *pendingCursor) Next() bool {
	c.rest = c.rest[1:]
	return len(c.rest) > 0
}
