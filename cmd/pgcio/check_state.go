package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/status"
	"github.com/pgcio/pgcio/state"
)

// keptState is what the state file says of where it belongs.
type keptState struct {
	source     cdc.Kept
	workspaces []keptWorkspace // in the order of the configuration; nil: not known
}

// keptWorkspace is whom the state has sent to under a workspace's name.
type keptWorkspace struct {
	region      string
	environment int64 // 0: nobody yet
}

// checkState looks at the state file, and changes nothing of it. While a daemon
// has it, the daemon is asked how it is instead.
func checkState(ctx context.Context, cfg *config) (kept keptState, found []finding) {
	subject := "state " + cfg.state.path
	kept.source.Path = cfg.state.place()
	var s status.Snapshot
	switch err := newControlClient(cfg.state.socket()).call(ctx, "/status", nil, nil, &s); {
	case err == nil:
		return kept, daemonFindings(cfg, subject, &s)
	case !errors.Is(err, errNoDaemon):
		return kept, []finding{{warning, subject, fmt.Sprintf("cannot be looked at: %v", err), "run check as the daemon's user"}}
	}
	if _, err := os.Stat(cfg.state.path); errors.Is(err, fs.ErrNotExist) {
		kept.source.None = true
		return kept, []finding{unmade(subject, cfg.state.path)}
	}
	options := cfg.stateOptions(nil)
	options.ReadOnly = true
	store, err := state.Open(ctx, options)
	switch {
	case errors.Is(err, state.ErrLocked):
		return kept, []finding{{warning, subject, "cannot be looked at: a process holds it that does not answer at " + cfg.state.socket(),
			"see which one: fuser " + cfg.state.path}}
	case errors.Is(err, fs.ErrPermission):
		return kept, []finding{{failure, subject, fmt.Sprintf("cannot be looked at: %v", err), "run check as the daemon's user"}}
	case err != nil:
		return kept, []finding{{failure, subject, err.Error(), "put a good copy in its place; or, to start over from what the tables hold now: `pgcio teardown`, move the state file aside, `pgcio run`"}}
	}
	for i := range cfg.workspaces {
		region, environment := store.Workspace(i)
		kept.workspaces = append(kept.workspaces, keptWorkspace{region, environment})
	}
	switch resume, known := storedResume(store); {
	case known:
		kept.source.Resume = &resume
		found = append(found, finding{fine, subject, fmt.Sprintf("ends at %s of slot %s", resume.Stored, resume.Identity.Slot), ""})
	case store.Source().Intent:
		found = append(found, finding{fine, subject, "the last start was cut short while it made the slot: the next one makes it anew", ""})
	default:
		kept.source.None = true
		found = append(found, finding{fine, subject, "belongs to no slot yet: pgcio setup, or the first pgcio run, makes one", ""})
	}
	if err := store.Close(); err != nil {
		found = append(found, finding{warning, subject, err.Error(), ""})
	}
	return kept, found
}

// unmade looks at where a state file is to be made. The directory may be missing
// before the first start, for which systemd makes it.
func unmade(subject, path string) finding {
	const mayWrite, mayEnter = 2, 1
	dir := filepath.Dir(path)
	switch err := syscall.Access(dir, mayWrite|mayEnter); {
	case err == nil:
		return finding{fine, subject, "does not exist yet: pgcio setup, or the first pgcio run, makes it", ""}
	case errors.Is(err, fs.ErrNotExist):
		return finding{warning, subject, "does not exist yet, nor does the directory " + dir,
			"make it, for the daemon's user alone (systemd makes the unit's), or correct state.path"}
	default:
		return finding{warning, subject, fmt.Sprintf("does not exist yet, and cannot be made in %s: %v", dir, err),
			"run check as the daemon's user, or let that write there"}
	}
}

// daemonFindings are what a running daemon says of itself.
func daemonFindings(cfg *config, subject string, s *status.Snapshot) []finding {
	found := []finding{{fine, subject, fmt.Sprintf("the running daemon has it, which compares it with the source by itself: it is %s, and has stored up to %s", s.State, s.Postgres.Stored), ""}}
	if s.Postgres.Slot != cfg.postgres.slot {
		found = append(found, finding{failure, "daemon", fmt.Sprintf("it reads slot %s, the configuration says %s", s.Postgres.Slot, cfg.postgres.slot), "start it again, or correct postgres.slot"})
	}
	for _, alarm := range s.Alarms {
		found = append(found, finding{warning, "daemon", alarm.Name + ": " + alarm.Detail, ""})
	}
	return found
}
