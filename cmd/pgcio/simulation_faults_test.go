package main

import (
	"math/rand/v2"
	"time"

	"github.com/pgcio/pgcio/internal/simulator"
)

// tardy lets Customer.io take its time, and do what it may in any order.
func (s *schedule) tardy() {
	lag, delay := simulator.Duration(s.rng.IntN(3))*simulator.Duration(time.Second), simulator.Duration(s.rng.IntN(400))*simulator.Duration(time.Millisecond)
	for _, name := range simulatedWorkspaces {
		err := s.sim.Configure(name, func(c *simulator.Settings) {
			c.Lag, c.LagJitter = lag, simulator.Duration(500*time.Millisecond)
			c.ReplyDelay, c.ReorderRequests, c.ReorderItems = delay, true, true
			c.Tie = "random"
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// faults lets the network and Customer.io misbehave.
func (s *schedule) faults() {
	all := []simulator.Fault{
		{Kind: "status", Status: 429}, {Kind: "status", Status: 429, RetryAfter: 2}, {Kind: "status", Status: 500}, {Kind: "status", Status: 503, Applied: true},
		{Kind: "reset_before"}, {Kind: "reset_after"}, {Kind: "slow", Delay: simulator.Duration(40 * time.Second)}, {Kind: "truncate"}, {Kind: "html"},
		{Kind: "empty_207"}, {Kind: "bad_index_207"}, {Kind: "no_index_207"}, {Kind: "double_index_207"}, {Kind: "unreachable"},
		{Kind: "status", Status: 413, API: "track", Path: "batch"}, {Kind: "status", Status: 401}, {Kind: "redirect"},
	}
	var faults []simulator.Fault
	for _, f := range all {
		if s.rng.IntN(3) == 0 {
			f.Probability = 0.02 + 0.1*s.rng.Float64()
			faults = append(faults, f)
			s.refusing = s.refusing || f.Status == 413
		}
	}
	if s.rng.IntN(3) == 0 {
		s.parting, s.refusing = 0.1, true
	}
	if s.keen() {
		s.parting, s.refusing = 0.25, true
	}
	if err := s.sim.SetFaults(faults...); err != nil {
		s.t.Fatal(err)
	}
}

// mend ends all faults.
func (s *schedule) mend() {
	s.wire.mend()
	if err := s.sim.SetFaults(); err != nil {
		s.t.Fatal(err)
	}
}

// disk is how the state's file behaves in this incarnation: it stalls, and
// takes nothing once the process is dead.
func (s *schedule) disk() func() error {
	rng := rand.New(rand.NewPCG(s.seed, s.rng.Uint64()))
	stalls := rng.IntN(3) == 0
	return func() error {
		if stalls && rng.IntN(12) == 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(4 * time.Second))))
		}
		if s.dead.Load() {
			return errKilled
		}
		return nil
	}
}
