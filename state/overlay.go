package state

import (
	"slices"
)

// journalReader is one picture of the engine and what lies over it.
type journalReader struct {
	below   reader
	tables  [2]*memtable // newest first; the second may be nil
	pending *pending     // newer than these; may be nil
}

func (r *journalReader) get(key []byte) []byte {
	if r.pending != nil {
		if v, ok := r.pending.byKey[viewString(key)]; ok {
			return v
		}
	}
	for _, t := range r.tables {
		if t == nil {
			continue
		}
		if c, ok := t.keys.Get(viewString(key)); ok {
			return c.value
		}
	}
	return r.below.get(key)
}

func (r *journalReader) scan(from, to []byte, visit func(key, value []byte) bool) {
	over := r.overlay(from, to)
	goOn := true
	emit := func(key, value []byte) bool {
		goOn = value == nil || visit(key, value)
		return goOn
	}
	r.below.scan(from, to, func(key, value []byte) bool {
		for over.more() && over.key < viewString(key) {
			if !emit(bytesOf(over.key), over.value) {
				return false
			}
			over.next()
		}
		if over.more() && over.key == viewString(key) {
			value = over.value
			over.next()
		}
		return emit(key, value)
	})
	for ; goOn && over.more(); over.next() {
		emit(bytesOf(over.key), over.value)
	}
}

// cursor walks over writes in key order.
type cursor interface {
	Key() string
	Value() *cell
	Next() bool // whether there is another
}

// overlay walks over the tables as one, in key order. Deletions are part of it.
type overlay struct {
	at    []cursor // newest first; those at their end are taken out
	to    string
	key   string
	value []byte
}

func (r *journalReader) overlay(from, to []byte) *overlay {
	o := &overlay{to: string(to)}
	if r.pending != nil && len(r.pending.writes) > 0 {
		if c := r.pending.from(string(from)).(*pendingCursor); len(c.rest) > 0 {
			o.at = append(o.at, c)
		}
	}
	for _, t := range r.tables {
		if t == nil {
			continue
		}
		if at := t.keys.Iter(); at.Seek(string(from)) {
			o.at = append(o.at, &at)
		}
	}
	o.next()
	return o
}

func (o *overlay) more() bool { return o.key != "" }

// next goes to the next key; no key is empty.
func (o *overlay) next() {
	o.key = ""
	for _, at := range o.at {
		if key := at.Key(); o.key == "" || key < o.key {
			o.key, o.value = key, at.Value().value
		}
	}
	if o.to != "" && o.key >= o.to {
		o.key = ""
	}
	if o.key == "" {
		return
	}
	o.at = slices.DeleteFunc(o.at, func(at cursor) bool { return at.Key() == o.key && !at.Next() })
}
