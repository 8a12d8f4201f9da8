package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// passages are a daemon's named points, and at which passage of each it is killed.
type passages []struct {
	point string
	nth   []int
}

// The kills of a first start, of which something is left each time, and those of
// a daemon that streams.
var (
	killsOfStart = passages{
		{"publication-created", []int{1}},
		{"slot-created", []int{1}},
		{"page-read", []int{1}},
		{"before-commit", []int{1, 2, 3}},
		{"after-commit", []int{1, 2, 3}},
	}
	killsOfStream = passages{
		{"before-commit", []int{1, 2, 3, 5, 9}},
		{"after-commit", []int{1, 2, 3, 5, 9}},
		{"after-receive", []int{1, 2, 8}},
		{"before-hand", []int{1, 2, 5}},
		{"after-hand", []int{1, 2, 5}},
		{"before-request", []int{1, 2, 4}},
		{"after-request", []int{1, 2, 4}},
		{"before-settle", []int{1, 2, 4}},
		{"after-settle", []int{1, 2, 4}},
		{"before-status", []int{1, 2, 3}},
		{"after-status", []int{1, 2, 3}},
	}
)

// at starts daemons that are killed there, one after the other.
func (ps passages) at(r *rig, meanwhile func(*process)) {
	r.t.Helper()
	for _, p := range ps {
		for _, n := range p.nth {
			d := r.start(fmt.Sprintf("%s=%s:%d", failpointEnv, p.point, n))
			meanwhile(d)
			if got := d.wait(slowly); got != -int(syscall.SIGKILL) {
				r.t.Fatalf("at %s:%d the daemon ended with %d", p.point, n, got)
			}
			r.offline() // the books balance
		}
	}
}

// kill -9 of the daemon between every two of its steps, again and again on one
// state while the application writes: nothing is lost, no event is doubled, and
// every change is counted once.
func TestKilledBetweenEveryTwoSteps(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, tradeSchema)
	r := newRig(t, db, tradeMappings)
	w := newTrade(t, db, 1)
	// The tables are empty until the first start is over, so that every row comes
	// by the stream and is counted once.
	killsOfStart.at(r, func(*process) {})
	d := r.start()
	d.caughtUp()
	d.kill()
	killsOfStream.at(r, func(d *process) { w.until(t, d.end, 2*time.Millisecond) })
	s := r.start().caughtUp()
	r.judge(s, false)
	t.Logf("%d users, %d orders; the books: %+v", w.users, w.orders, s.Mappings)
}
