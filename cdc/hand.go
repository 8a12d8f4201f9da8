package cdc

import (
	"context"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// What the stream hands on, and when: batches of changes, positions of an idle
// server, and pages whose position it has passed.

// Limits of handing on.
const (
	// idleInterval: a position without changes costs the caller an fsync, so an
	// idle server's is handed on this often at most.
	idleInterval = time.Second
	// patience: a batch waits for the end of a transaction, but what was complete
	// before does not wait longer than this for one that trickles.
	patience = 100 * time.Millisecond
	// offerTime: a call of Next that has begun receives within microseconds, if the
	// machine lets it.
	offerTime = time.Millisecond
	// nudgeMin, nudgeMax: how often the server is asked where it is, while a page
	// waits for the stream to pass its position.
	nudgeMin, nudgeMax = 5 * time.Millisecond, 200 * time.Millisecond
)

// due tells whether the batch is to be handed on, or when it will be.
func (t *stream) due(now time.Time) (bool, time.Time) {
	b := t.batch
	switch {
	case len(b.Changes) > 0:
		at := t.first.Add(t.s.cfg.BatchDelay)
		if t.d.in && !now.Before(at) {
			at = t.first.Add(max(patience, t.s.cfg.BatchDelay))
		}
		if t.full() || t.reply && !t.d.in || !now.Before(at) {
			return true, time.Time{}
		}
		return false, at
	case b.Through > t.s.handed.through:
		at := t.lastIdle.Add(idleInterval)
		// A server that asks where we are may wait for us to stop: at once.
		if t.asked >= b.Through || !now.Before(at) {
			return true, time.Time{}
		}
		return false, at
	}
	return false, time.Time{}
}

// hand gives the batch to the caller, if there is one that waits.
func (t *stream) hand() bool {
	t.batch.Open = t.d.mark()
	to := position{t.batch.Through, t.batch.Open}
	idle := len(t.batch.Changes) == 0
	t.s.cfg.fail("before-hand")
	if !t.offer(t.batch) {
		return false
	}
	t.handedOn(to, idle)
	return true
}

// offer gives a batch to a caller that waits, and waits for none. A call of Next
// first wakes us and then receives: for one that is on its way we wait a moment,
// or it would not be met before something else comes due.
func (t *stream) offer(b *Batch) bool {
	select {
	case t.s.out <- b:
		return true
	default:
	}
	if t.s.waiting.Load() == 0 {
		return false
	}
	t.timer.Reset(offerTime)
	defer t.timer.Stop()
	select {
	case t.s.out <- b:
		return true
	case <-t.timer.C:
		return false
	}
}

// wait blocks until the caller takes the batch or something is due.
func (t *stream) wait(ctx context.Context, deadline time.Time) {
	t.batch.Open = t.d.mark()
	to := position{t.batch.Through, t.batch.Open}
	t.timer.Reset(time.Until(deadline))
	defer t.timer.Stop()
	select {
	case t.s.out <- t.batch:
		t.handedOn(to, false)
	case <-t.s.wakes:
	case <-t.timer.C:
	case <-ctx.Done():
	}
}

func (t *stream) handedOn(to position, idle bool) {
	now := time.Now()
	if to.through > 0 {
		t.s.handed.through = to.through
	}
	t.s.handed.open = to.open
	if idle {
		t.lastIdle = now
	}
	t.progressed = now
	t.first = time.Time{}
	t.batch = t.s.batch()
	t.d.cut()
	t.s.cfg.fail("after-hand")
}

// pages hands on the pages that the stream has passed, and asks the server
// where it is as long as one waits for that.
func (t *stream) pages(now time.Time) time.Time {
	for t.s.handed.open == nil {
		b := t.s.pager.passed(t.reached())
		if b == nil {
			break
		}
		if !t.offer(b) {
			if t.s.waiting.Load() > 0 {
				return now.Add(offerTime)
			}
			return time.Time{} // the next call of Next wakes us
		}
		t.s.pager.done(b)
		t.progressed = now
	}
	if !t.s.pager.waits(t.reached()) {
		t.quiet = 0
		return time.Time{}
	}
	gap := min(nudgeMin<<min(t.quiet, 10), nudgeMax)
	if at := t.nudged.Add(gap); now.Before(at) {
		return at
	}
	t.nudged = now
	t.quiet++
	t.reply = true
	return now.Add(gap)
}

// reached is how far everything was handed on. What the server says when it is
// idle counts, without being stored first: nothing lies between.
func (t *stream) reached() lsn.LSN {
	if len(t.batch.Changes) == 0 && !t.d.in && t.d.open == nil {
		return t.d.end
	}
	return t.s.handed.through
}
