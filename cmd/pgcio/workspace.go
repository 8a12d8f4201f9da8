package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/status"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

// workspaceError says that another workspace answers than the one that is
// expected: the pinned one, or the one that the state has sent to.
type workspaceError struct {
	name       string
	have, want int64
	advice     string
}

func (e *workspaceError) Error() string {
	return fmt.Sprintf("workspace %q is another one than expected: its id is %d, not %d; %s", e.name, e.have, e.want, e.advice)
}

// Refused makes it end in status 4.
func (e *workspaceError) Refused() {}

// otherWorkspace is what to do when the state has sent to another one.
const otherWorkspace = "correct its credentials; or, to send everything to the new one and remove nothing in the old, run with --accept-new-workspace"

// newSink makes the sink of one workspace.
func newSink(cfg *config, place int, store *state.Store, opts daemonOptions, recorder *status.Recorder, alive *pulse) *sink.Sink {
	w := &cfg.workspaces[place]
	c := w.sink(place, opts.log)
	c.Fail = opts.fail
	c.Outbox = watchedOutbox{
		Outbox:  store,
		draws:   alive.loop("drawing from the outbox for workspace " + w.name),
		settles: alive.loop("settling for workspace " + w.name),
	}
	c.Expected = func(ctx context.Context, r sink.Region) error {
		return expected(ctx, store, place, w, r, opts.acceptNewWorkspace)
	}
	c.Observe = func(api string, code int, took time.Duration) { recorder.Request(w.name, api, code, took) }
	c.Accepted = func(_ string, _ customerio.Action, committed time.Time) {
		if !committed.IsZero() { // what a backfill read was committed long ago
			recorder.Delivery(time.Since(committed))
		}
	}
	return sink.New(c)
}

// expected judges the workspace that answers, and notes who it is.
func expected(ctx context.Context, store *state.Store, place int, w *workspaceConfig, r sink.Region, acceptNew bool) error {
	if w.id != 0 && w.id != r.Environment {
		return &workspaceError{w.name, r.Environment, w.id, fmt.Sprintf("correct its credentials, or [workspace.%s] id", w.name)}
	}
	region, known := store.Workspace(place)
	if known != 0 && (known != r.Environment || region != w.region) && !acceptNew {
		return &workspaceError{w.name, r.Environment, known, otherWorkspace}
	}
	if err := store.AcceptWorkspace(ctx, place, w.region, r.Environment); err != nil {
		return fmt.Errorf("storing who workspace %q is: %w", w.name, err)
	}
	return nil
}
