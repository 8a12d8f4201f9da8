package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/status"
)

// demoView shows the demo's counts: in place on a terminal, else a line every
// few seconds.
type demoView struct {
	console
	shop   *shop
	sim    *simulator.Simulator
	daemon *controlClient

	drawn int // lines that stand on the terminal
}

const (
	demoRedraw = 200 * time.Millisecond
	demoLine   = 3 * time.Second
	// demoFinish is how long the end waits for what is on its way.
	demoFinish = 10 * time.Second
)

// follow shows the counts until ctx ends.
func (v *demoView) follow(ctx context.Context) {
	interval := demoLine
	if isTerminal(v.stdout) {
		interval = demoRedraw
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s, err := v.status(ctx); err == nil {
			v.show(s)
		}
	}
}

// finish waits a moment for what was traded to arrive, and shows the sum.
func (v *demoView) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, demoFinish)
	defer cancel()
	var last status.Snapshot
	for ctx.Err() == nil {
		s, err := v.status(ctx)
		if err == nil {
			last = s
		}
		if err == nil && s.CaughtUp {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	if last.State == "" {
		return // the daemon has never answered, and says itself why
	}
	v.show(last)
	c := sum(last)
	switch {
	case last.CaughtUp:
		fmt.Fprintf(v.stdout, "\nall of it has arrived: %d commits, %d changes, %d operations\n", v.shop.commits.Load(), c.changes.Received, c.operations)
	default:
		fmt.Fprintf(v.stdout, "\nended with %d changes on their way\n", c.changes.Waiting+c.changes.InFlight)
	}
}

func (v *demoView) show(s status.Snapshot) {
	c := sum(s)
	if !isTerminal(v.stdout) {
		fmt.Fprintf(v.stdout, "%s: %d commits, %d changes, %d operations in %d requests, %d waiting, lag %s\n",
			s.State, v.shop.commits.Load(), c.changes.Received, c.operations, v.requests(), c.changes.Waiting+c.changes.InFlight, lag(s))
		return
	}
	lines := []string{
		fmt.Sprintf("  %-12s %12d", "commits", v.shop.commits.Load()),
		fmt.Sprintf("  %-12s %12d", "changes", c.changes.Received),
		fmt.Sprintf("  %-12s %12d", "operations", c.operations),
		fmt.Sprintf("  %-12s %12d", "requests", v.requests()),
		fmt.Sprintf("  %-12s %12d", "waiting", c.changes.Waiting+c.changes.InFlight),
		fmt.Sprintf("  %-12s %12s", "lag", lag(s)),
		fmt.Sprintf("  %-12s %12s", "state", s.State),
	}
	if v.drawn > 0 {
		fmt.Fprintf(v.stdout, "\x1b[%dA", v.drawn)
	}
	fmt.Fprint(v.stdout, "\x1b[J"+strings.Join(lines, "\n")+"\n")
	v.drawn = len(lines)
}

// requests is how many the simulated Customer.io has seen.
func (v *demoView) requests() int64 {
	return v.sim.State("").Counters.TrackRequests
}

func lag(s status.Snapshot) string {
	return fmt.Sprintf("%s, %.1fs", status.Bytes(s.Postgres.LagBytes), s.Postgres.LagSeconds)
}

type sums struct {
	changes    status.Changes
	operations int64
}

func sum(s status.Snapshot) (all sums) {
	for _, m := range s.Mappings {
		all.changes.Add(m.Changes)
		all.operations += m.OperationsSent
	}
	return all
}

// status asks as `pgcio status` does.
func (v *demoView) status(ctx context.Context) (s status.Snapshot, err error) {
	return s, v.daemon.call(ctx, "/status", nil, nil, &s)
}
