package sink_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/simulator"
)

func backlog(n int) (asks []customerio.Ask) {
	for i := range n {
		asks = append(asks, order(strconv.Itoa(i), "1"))
	}
	return asks
}

// TestUsesThePermittedRate: of a large backlog at 100 requests a second, to a
// Customer.io that counts in sliding windows and takes 200 ms to answer.
func TestUsesThePermittedRate(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.configure(func(s *simulator.Settings) {
			s.ReplyDelay, s.TrackPerSecond = simulator.Duration(200*time.Millisecond), 100
		})
		r.commit(backlog(12_000)...)
		r.start()
		r.settled(20 * time.Second)
		c := r.sim.State("").Counters
		if c.Limited != 0 {
			t.Errorf("%d requests were answered 429", c.Limited)
		}
		sent := r.writes()
		const seconds = 10
		n := 0
		for n < len(sent) && sent[n].at.Sub(sent[0].at) < seconds*time.Second {
			n++
		}
		used := float64(n) / (100 * seconds)
		t.Logf("%.1f %% of the permitted requests were used, at most %d in a second", 100*used, c.PeakTrackPerSecond)
		if used < 0.98 {
			t.Errorf("%.1f %% of the permitted requests were used", 100*used)
		}
	})
}

// TestOperationsPerSecond: beside the requests, what is in them is paced, with
// one second's worth at once.
func TestOperationsPerSecond(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.cfg.ItemsPerSecond = 200
		r.commit(backlog(2400)...)
		r.start()
		began := time.Now()
		for r.books().Waiting > 0 {
			time.Sleep(50 * time.Millisecond)
			passed := time.Since(began)
			if n := r.sim.State("").Counters.Operations; float64(n) > 200*(passed.Seconds()+1)+1 {
				t.Fatalf("%d operations within %s", n, passed)
			}
			if passed > 12*time.Second {
				t.Fatalf("not done after %s: %+v", passed, r.books())
			}
		}
	})
}

// TestTooManyRequests: 429 silences for as long as it asks, slows down, loses
// nothing, and is forgotten in time.
func TestTooManyRequests(t *testing.T) {
	for _, after := range []int{0, 7} {
		t.Run("Retry-After "+strconv.Itoa(after), func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.commit(backlog(5000)...)
				r.faults(simulator.Fault{Kind: "status", Status: 429, RetryAfter: after, Path: "/api/v2/", After: 20, Times: 1})
				r.start()
				time.Sleep(100 * time.Millisecond)
				for len(r.sim.Faults()) > 0 && r.sim.Faults()[0].Fired == 0 {
					time.Sleep(time.Millisecond)
				}
				refused := time.Now()
				st := r.sink.Status()
				if st.State != "waiting" || st.RequestsPerSecond != 50 {
					t.Errorf("the status is %+v", st)
				}
				n := len(r.writes())
				time.Sleep(time.Duration(after)*time.Second - 5*time.Millisecond)
				if more := len(r.writes()) - n; after > 0 && more > 0 {
					t.Errorf("%d requests within the %d seconds", more, after)
				}
				r.settled(time.Minute)
				for i := 0; r.sink.Status().RequestsPerSecond < 100; i++ {
					r.commit(order("more "+strconv.Itoa(i), "1"))
					time.Sleep(time.Second)
					if time.Since(refused) > time.Minute {
						t.Fatalf("a minute later: %+v", r.sink.Status())
					}
				}
				if b := r.books(); b.Parked != 0 {
					t.Errorf("%d parked", b.Parked)
				}
			})
		})
	}
}

// TestFindsTheRateItIsAllowed: a Customer.io that allows less than configured
// gets everything all the same, and is not hammered.
func TestFindsTheRateItIsAllowed(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.configure(func(s *simulator.Settings) {
			s.TrackPerSecond, s.ReplyDelay = 20, simulator.Duration(50*time.Millisecond)
		})
		r.commit(backlog(6000)...)
		r.start()
		r.settled(3 * time.Minute)
		c := r.sim.State("").Counters
		if c.Limited > c.OK {
			t.Errorf("%d requests were answered 429, %d were taken", c.Limited, c.OK)
		}
		if n := len(r.sim.State("").Events); n != 6000 {
			t.Errorf("%d events", n)
		}
	})
}
