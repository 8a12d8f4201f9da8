package state

import "unsafe"

// scratch is the memory of a transaction, kept for the next one: a batch of
// tens of thousands of changes reads and writes as many records, and garbage of
// that size would cost more than the work.
type scratch struct {
	things  slab[thing]
	rows    slab[row]
	steps   slab[step]
	parts   slab[part]
	attrs   slab[attr]
	prints  slab[print]
	bytes   byteSlab
	writes  []write
	weighed []attr // of the operation in hand

	byKey  map[string]*thing
	places map[string]*place
	events map[string]*event
	names  map[string]*nameRecord
	raw    map[string][]byte
}

func newScratch() *scratch {
	return &scratch{
		byKey: map[string]*thing{}, places: map[string]*place{}, events: map[string]*event{},
		names: map[string]*nameRecord{}, raw: map[string][]byte{},
	}
}

// keepEntries bounds what a scratch keeps: maps do not shrink, and clearing one
// costs what it has ever held.
const keepEntries = 1 << 17

// reset makes the memory of a transaction that is over ready for the next.
func (s *scratch) reset() {
	s.things.reset()
	s.rows.reset()
	s.steps.reset()
	s.parts.reset()
	s.attrs.reset()
	s.prints.reset()
	s.bytes.reset()
	clear(s.writes)
	s.writes = s.writes[:0]
	if len(s.byKey) > keepEntries || len(s.raw) > keepEntries || len(s.places) > keepEntries || len(s.events) > keepEntries {
		fresh := newScratch()
		s.byKey, s.places, s.events, s.names, s.raw = fresh.byKey, fresh.places, fresh.events, fresh.names, fresh.raw
		return
	}
	clear(s.byKey)
	clear(s.places)
	clear(s.events)
	clear(s.names)
	clear(s.raw)
}

// slab hands out small slices of large ones.
type slab[T any] struct {
	chunks [][]T
	chunk  int // the one in use
	used   int // of it
}

const slabChunk = 1024

// take returns n zero values; appending past n moves them elsewhere.
func (s *slab[T]) take(n int) []T {
	if n > slabChunk {
		return make([]T, n)
	}
	if s.chunk == len(s.chunks) || s.used+n > slabChunk {
		if s.chunk < len(s.chunks) {
			s.chunk++
		}
		if s.chunk == len(s.chunks) {
			s.chunks = append(s.chunks, make([]T, slabChunk))
		}
		s.used = 0
	}
	out := s.chunks[s.chunk][s.used : s.used+n : s.used+n]
	s.used += n
	return out
}

func (s *slab[T]) reset() {
	for i := range s.chunks[:min(s.chunk+1, len(s.chunks))] {
		clear(s.chunks[i])
	}
	s.chunk, s.used = 0, 0
}

// byteSlab is a slab of bytes, in chunks that are as large as all before them,
// from firstChunk to byteChunk bytes.
type byteSlab struct {
	chunks [][]byte
	chunk  int
	size   int // of all chunks
}

const (
	firstChunk = 4 << 10
	byteChunk  = 256 << 10
)

// room returns an empty slice with room for n bytes; what is appended to it is
// kept by calling keep with the result.
func (s *byteSlab) room(n int) []byte {
	if n > byteChunk/4 {
		return make([]byte, 0, n)
	}
	for ; s.chunk < len(s.chunks); s.chunk++ {
		if c := s.chunks[s.chunk]; cap(c)-len(c) >= n {
			return c[len(c):]
		}
	}
	size := min(max(s.size, firstChunk, n), byteChunk)
	s.size += size
	s.chunks = append(s.chunks, make([]byte, 0, size))
	return s.chunks[s.chunk]
}

// keep enters that the slice that room returned now holds b.
func (s *byteSlab) keep(b []byte) []byte {
	if s.chunk < len(s.chunks) {
		if c := s.chunks[s.chunk]; len(b) > 0 && cap(c) > len(c) && &c[:len(c)+1][len(c)] == &b[0] {
			s.chunks[s.chunk] = c[:len(c)+len(b)]
		}
	}
	return b[:len(b):len(b)]
}

func (s *byteSlab) copy(b []byte) []byte { return s.keep(append(s.room(len(b)), b...)) }

func (s *byteSlab) reset() {
	for i := range s.chunks {
		s.chunks[i] = s.chunks[i][:0]
	}
	s.chunk = 0
}

// bytesOf is a key's bytes, not to be changed.
func bytesOf(key string) []byte { return unsafe.Slice(unsafe.StringData(key), len(key)) }

// viewString is bytes as a string, for as long as they do not change.
func viewString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
