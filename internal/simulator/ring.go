package simulator

// ring keeps the newest entries up to a limit; a negative limit keeps all.
type ring[T any] struct {
	limit   int
	entries []T
	next    int // the oldest, once full
	dropped int64
}

func (r *ring[T]) add(e T) {
	switch {
	case r.limit == 0:
		r.dropped++
	case r.limit < 0 || len(r.entries) < r.limit:
		r.entries = append(r.entries, e)
	default:
		r.entries[r.next] = e
		r.next = (r.next + 1) % r.limit
		r.dropped++
	}
}

// all returns a copy, oldest first.
func (r *ring[T]) all() []T {
	list := make([]T, 0, len(r.entries))
	list = append(list, r.entries[r.next:]...)
	return append(list, r.entries[:r.next]...)
}

func (r *ring[T]) clear() { r.entries, r.next, r.dropped = nil, 0, 0 }
