package state

import (
	"slices"
	"sort"
	"sync"
)

// Memory is an engine for tests. It outlives the stores opened on it, as a
// file does, and holds what was committed and nothing else.
type Memory struct {
	mu     sync.RWMutex
	keys   []string // ascending
	values map[string][]byte
	// Commit, when set, is called before each commit takes effect. An error
	// fails the commit; it may block.
	Commit func() error
	// NoSync, when set, tells for which commits the engine claims durability
	// without having it, until a later commit that has it: the mutation of law 1
	// that a simulation must catch.
	NoSync func() bool
	undo   []write // takes back what is committed and not durable, newest first
}

// NewMemory returns an empty engine.
func NewMemory() *Memory { return &Memory{values: map[string][]byte{}} }

func (m *Memory) view(fn func(reader) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return fn(memoryReader{m})
}

func (m *Memory) commit(writes []write) error {
	if m.Commit != nil {
		if err := m.Commit(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.NoSync != nil && m.NoSync() {
		inverse := make([]write, len(writes))
		for i, w := range writes {
			inverse[i] = write{key: slices.Clone(w.key), value: m.values[string(w.key)]}
		}
		m.undo = append(inverse, m.undo...)
	} else {
		m.undo = nil
	}
	m.apply(writes)
	return nil
}

// Crash drops what a crash of the machine would drop: all that is not durable.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apply(m.undo)
	m.undo = nil
}

func (m *Memory) apply(writes []write) {
	for _, w := range writes {
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

func (m *Memory) size() (total, free int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for k, v := range m.values {
		total += int64(len(k) + len(v))
	}
	return total, 0
}

func (m *Memory) close() error { return nil }

type memoryReader struct{ m *Memory }

func (r memoryReader) get(key []byte) []byte { return r.m.values[string(key)] }

func (r memoryReader) scan(from, to []byte, visit func(key, value []byte) bool) {
	for i := sort.SearchStrings(r.m.keys, string(from)); i < len(r.m.keys); i++ {
		k := r.m.keys[i]
		if len(to) > 0 && k >= string(to) || !visit([]byte(k), r.m.values[k]) {
			return
		}
	}
}
