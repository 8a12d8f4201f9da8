package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// pulse tells whether the daemon's loops go round. Each of them ends its waits
// within a few seconds, whether or not there is anything to do, so a loop that
// has not finished a round for long is stuck: idleness and an outage at
// Customer.io are not.
type pulse struct {
	limit time.Duration

	mu    sync.Mutex
	beats []*beat
}

// beat is one loop's sign of life.
type beat struct {
	loop string
	last atomic.Int64 // Unix nanoseconds; 0: the loop does not run
}

// roundLimit is how long one round may take: the slowest is a commit on a disk
// that is much too slow.
const roundLimit = time.Minute

// restLimit is how long a loop waits before it goes round with nothing to do.
const restLimit = 5 * time.Second

func newPulse(limit time.Duration) *pulse { return &pulse{limit: limit} }

// loop makes a loop known; it is watched from its first round on.
func (p *pulse) loop(name string) *beat {
	b := &beat{loop: name}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats = append(p.beats, b)
	return b
}

// round says that the loop has finished a round.
func (b *beat) round() { b.last.Store(time.Now().UnixNano()) }

// end says that the loop has ended, as it should.
func (b *beat) end() { b.last.Store(0) }

// alive says which loops are stuck.
func (p *pulse) alive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var stuck []error
	for _, b := range p.beats {
		last := b.last.Load()
		if last == 0 {
			continue
		}
		if since := time.Since(time.Unix(0, last)); since > p.limit {
			stuck = append(stuck, fmt.Errorf("%s has not gone round for %s", b.loop, since.Round(time.Second)))
		}
	}
	return errors.Join(stuck...)
}
