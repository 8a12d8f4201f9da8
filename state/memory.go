package state

import (
	"maps"
	"slices"
	"sort"
	"sync"
)

// Memory is an engine for tests. It outlives the stores opened on it, as a
// file does, and holds what was committed and nothing else.
type Memory struct {
	mu     sync.Mutex
	keys   []string // ascending
	values map[string][]byte
	kept   []segment // in order
	// Commit, when set, is called before each commit takes effect. An error
	// fails the commit; it may block.
	Commit func() error
	// NoSync, when set, tells for which commits the engine claims durability
	// without having it, until a later commit that has it: the mutation of law 1
	// that a simulation must catch.
	NoSync func() bool
	undo   []undo // of what is committed and not durable, newest first
}

// NewMemory returns an empty engine.
func NewMemory() *Memory { return &Memory{values: map[string][]byte{}} }

// view hands out a picture that commits leave alone: whoever looks at it may
// wait for somebody who commits.
func (m *Memory) view(fn func(reader) error) error {
	m.mu.Lock()
	r := memoryReader{m.keys, m.values}
	m.mu.Unlock()
	return fn(r)
}

func (m *Memory) commit(c commit) error {
	if m.Commit != nil {
		if err := m.Commit(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.NoSync != nil && m.NoSync() {
		m.undo = append([]undo{{slices.Clone(m.kept), m.inverse(c.writes)}}, m.undo...)
	} else {
		m.undo = nil
	}
	m.apply(c)
	return nil
}

// Crash drops what a crash of the machine would drop: all that is not durable.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.undo {
		m.kept = u.kept
		m.apply(commit{writes: u.writes})
	}
	m.undo = nil
}

// undo is what there was before a commit.
type undo struct {
	kept   []segment
	writes []write
}

// inverse are the writes that take others back.
func (m *Memory) inverse(writes []write) []write {
	back := make([]write, len(writes))
	for i, w := range writes {
		back[i] = write{key: slices.Clone(w.key), value: m.values[string(w.key)]}
	}
	return back
}

func (m *Memory) apply(c commit) {
	m.kept = slices.DeleteFunc(slices.Clone(m.kept), func(s segment) bool { return s.number <= c.drop })
	if c.segment.data != nil {
		m.kept = append(m.kept, segment{c.segment.number, slices.Clone(c.segment.data)})
	}
	m.keys, m.values = slices.Clone(m.keys), maps.Clone(m.values)
	for _, w := range c.writes {
		k := string(w.key)
		at, found := slices.BinarySearch(m.keys, k)
		switch {
		case w.value == nil && found:
			m.keys = slices.Delete(m.keys, at, at+1)
			delete(m.values, k)
		case w.value != nil:
			if !found {
				m.keys = slices.Insert(m.keys, at, k)
			}
			m.values[k] = slices.Clone(w.value)
		}
	}
}

func (m *Memory) segments(visit func(segment) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.kept {
		if err := visit(s); err != nil {
			return err
		}
	}
	return nil
}

func (m *Memory) size() (total, free int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range m.values {
		total += int64(len(k) + len(v))
	}
	return total, 0
}

func (m *Memory) close() error { return nil }

type memoryReader struct {
	keys   []string
	values map[string][]byte
}

func (r memoryReader) get(key []byte) []byte { return r.values[string(key)] }

func (r memoryReader) scan(from, to []byte, visit func(key, value []byte) bool) {
	for i := sort.SearchStrings(r.keys, string(from)); i < len(r.keys); i++ {
		k := r.keys[i]
		if len(to) > 0 && k >= string(to) || !visit([]byte(k), r.values[k]) {
			return
		}
	}
}
