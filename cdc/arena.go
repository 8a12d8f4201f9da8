package cdc

// arena holds what the changes of a batch point to: the messages' bytes, the
// places of the columns, the transactions. It grows by chunks that never move
// and is emptied, not freed, when the batch comes back, so that decoding a row
// allocates nothing.
type arena struct {
	bytes slab[byte]
	spans slab[span]
	txs   slab[Transaction]
}

// Sizes of a chunk. A batch of small rows should need few, an idle daemon
// should hold little.
const (
	byteChunk = 256 << 10
	spanChunk = 8 << 10
	txChunk   = 256
)

func (a *arena) copy(b []byte) []byte {
	to := a.bytes.take(len(b), byteChunk)
	copy(to, b)
	return to
}

func (a *arena) columns(n int) []span { return a.spans.take(n, spanChunk) }

func (a *arena) transaction(t Transaction) *Transaction {
	to := a.txs.take(1, txChunk)
	to[0] = t
	return &to[0]
}

func (a *arena) reset() {
	a.bytes.reset(byteChunk)
	a.spans.reset(spanChunk)
	a.txs.reset(txChunk)
}

// slab hands out pieces of chunks. A piece stays where it is until reset.
type slab[T any] struct {
	chunk []T // its length is what is taken of it
	used  [][]T
	free  [][]T
}

func (s *slab[T]) take(n, size int) []T {
	if cap(s.chunk)-len(s.chunk) < n {
		s.next(n, size)
	}
	i := len(s.chunk)
	s.chunk = s.chunk[:i+n]
	return s.chunk[i : i+n : i+n]
}

func (s *slab[T]) next(n, size int) {
	if cap(s.chunk) > 0 {
		s.used = append(s.used, s.chunk)
	}
	if last := len(s.free) - 1; last >= 0 && n <= size {
		s.chunk = s.free[last][:0]
		s.free = s.free[:last]
		return
	}
	s.chunk = make([]T, 0, max(n, size))
}

// reset takes everything back. A chunk made for one large value is let go:
// keeping it would hold the memory of the largest row ever seen.
func (s *slab[T]) reset(size int) {
	if cap(s.chunk) > 0 {
		s.used = append(s.used, s.chunk)
		s.chunk = nil
	}
	for _, c := range s.used {
		if cap(c) == size {
			s.free = append(s.free, c[:0])
		}
	}
	clear(s.used)
	s.used = s.used[:0]
}
