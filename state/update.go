package state

import (
	"context"
	"errors"
)

// Update runs fn in a transaction and commits what it did, durably. When fn
// fails nothing of it has happened. When the commit fails the store is broken:
// every later call says so, and what was durable is found when it is opened
// again.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	commit, err := s.begin(ctx, fn)
	if err != nil {
		return err
	}
	return commit(func(error) {})
}

// Start is Update for a caller that has more to do: it returns once fn has run,
// while the commit goes on. The next transaction sees what this one did, and is
// durable after it; what this one touched does not leave before it is durable.
// done is called then, or with the error why it will never be.
func (s *Store) Start(ctx context.Context, fn func(*Tx) error, done func(error)) error {
	commit, err := s.begin(ctx, fn)
	if err != nil {
		return err
	}
	go func() { _ = commit(done) }() // done has the error, and so has every later call
	return nil
}

// begin runs fn and returns what makes it durable, which must be called.
func (s *Store) begin(ctx context.Context, fn func(*Tx) error) (commit func(done func(error)) error, err error) {
	if !acquire(ctx, s.writer) {
		return nil, ctx.Err()
	}
	tx, saved, err := s.transact(fn)
	if err == nil && !acquire(ctx, s.commits) {
		err = ctx.Err()
	} else if err == nil {
		if err = s.brokenBy(); err != nil {
			<-s.commits
		}
	}
	if err != nil {
		s.undo(saved)
		<-s.writer
		return nil, err
	}
	// All before this one is durable: it may be laid over that.
	writes := tx.gather()
	s.engine.add(writes)
	tx.published = s.registry.saveBooks()
	s.entered(tx)
	s.head = head{tx.position, tx.seq, tx.tally}
	s.registry.newAttrs = len(s.registry.attrs)
	s.quick.Lock()
	s.touched, s.leaving = s.leaving, s.touched
	s.quick.Unlock()
	s.scratch, s.spare = s.spare, nil // finish gives tx.mem back
	alone := len(tx.after) > 0        // what the next one reads is changed by these
	if !alone {
		<-s.writer
	}
	return func(done func(error)) error {
		err := s.finish(tx, len(writes) > 0)
		if s.spare = tx.mem; err != nil {
			s.spare = newScratch() // the next one, which fails too, may still look at this
		}
		s.spare.reset()
		done(err)
		if err == nil {
			s.broke(s.engine.relieve())
		}
		<-s.commits
		if alone {
			<-s.writer
		}
		return err
	}, nil
}

// undo forgets a transaction that is not to be.
func (s *Store) undo(saved []Books) {
	s.registry.restoreBooks(saved)
	s.scratch.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quick.Lock()
	clear(s.touched)
	s.quick.Unlock()
	for _, l := range s.lanes {
		l.unblock(untilCommit)
	}
	s.wake()
}

// broke enters that the state cannot be written to.
func (s *Store) broke(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
	s.wake()
}

// brokenBy is why a commit failed; nil when none has.
func (s *Store) brokenBy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// acquire takes the one token of a channel, unless ctx ends.
func acquire(ctx context.Context, token chan struct{}) bool {
	select {
	case token <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if ctx.Err() != nil {
		<-token
		return false
	}
	return true
}

// transact runs fn.
func (s *Store) transact(fn func(*Tx) error) (tx *Tx, saved []Books, err error) {
	s.mu.Lock()
	closed, broken := s.closed, s.broken
	s.mu.Unlock()
	saved = s.registry.saveBooks()
	switch {
	case closed:
		return nil, saved, errors.New("the state is closed")
	case broken != nil:
		return nil, saved, broken
	}
	mem := s.scratch
	tx = &Tx{
		s: s, now: now(), position: s.head.position, openAt: s.head.position.open.Commit, seq: s.head.seq, mem: mem,
		things: mem.byKey, places: mem.places, events: mem.events, names: mem.names, writes: mem.raw, books: map[*mapping]struct{}{}, tally: s.head.tally.clone(),
	}
	return tx, saved, s.engine.look(true, func(r reader) error {
		tx.r = r
		if err := fn(tx); err != nil {
			return err
		}
		return tx.err
	})
}

// finish makes a transaction durable and lets others see it.
func (s *Store) finish(tx *Tx, writes bool) (err error) {
	s.fail("before-commit")
	if writes {
		var due bool
		if due, err = s.engine.commit(); due {
			s.placeSoon()
		}
	}
	s.fail("after-commit")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quick.Lock()
	clear(s.leaving)
	s.quick.Unlock()
	if err != nil {
		s.broken = err
		s.wake()
		return err
	}
	moved := s.position.stored != tx.position.stored
	s.position, s.seq, s.tally = tx.position, tx.seq, tx.tally
	for _, fn := range tx.after {
		fn()
	}
	s.publish(tx, moved)
	s.wake()
	return nil
}

// saveBooks copies the books, which a failed transaction takes back.
func (g *registry) saveBooks() []Books {
	saved := make([]Books, len(g.mappings))
	for i, m := range g.mappings {
		saved[i] = m.books
	}
	return saved
}

func (g *registry) restoreBooks(saved []Books) {
	for i, b := range saved {
		g.mappings[i].books = b
	}
}
