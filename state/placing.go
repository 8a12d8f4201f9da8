package state

import (
	"context"
	"time"
)

// restAfter is how long nothing is stored before what the journal keeps is put
// into its place: soon enough that an idle state is small and quick to open.
const restAfter = 2 * time.Second

// placeSoon tells runPlacing that there is something to do.
func (s *Store) placeSoon() {
	select {
	case s.placing <- struct{}{}:
	default:
	}
}

// runPlacing puts what the journal keeps into place, beside the transactions
// that go on meanwhile, until ctx ends.
func (s *Store) runPlacing(ctx context.Context) error {
	for {
		s.mu.Lock()
		woken, broken := s.woken, s.broken
		s.mu.Unlock()
		if broken != nil {
			return broken
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.placing:
			for owed := 1; owed > 0; {
				var err error
				if owed, err = s.engine.place(s.engine.limit / pieces); err != nil {
					return err
				}
			}
		case <-woken:
		case <-time.After(restAfter):
			if err := s.rest(ctx, woken); err != nil {
				return err
			}
		}
	}
}

// rest empties the journal while nothing is stored, and then waits until
// something is.
func (s *Store) rest(ctx context.Context, woken <-chan struct{}) error {
	for more := true; more; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
			return nil
		case s.commits <- struct{}{}:
		}
		var err error
		if s.closed {
			more = false
		} else {
			more, err = s.engine.rest()
		}
		<-s.commits
		if err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-woken:
		return nil
	}
}
