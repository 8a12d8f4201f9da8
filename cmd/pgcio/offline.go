package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/pgcio/pgcio/internal/status"
	"github.com/pgcio/pgcio/state"
)

// offlineDesk opens the state file to read from, when no daemon has it.
func offlineDesk(ctx context.Context, cfg *config) (d *desk, done func() error, err error) {
	if _, err := os.Stat(cfg.state.path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w, and there is no state file %s", errNoDaemon, cfg.state.path)
	}
	options := cfg.stateOptions(nil)
	options.ReadOnly = true
	store, err := state.Open(ctx, options)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the state: %w", err)
	}
	v := newView(cfg, store, nil)
	v.alarms.offline = true
	snapshot := func() status.Snapshot {
		s := v.snapshot()
		s.Postgres.Unknown = true
		// The last that a daemon does is to store how far it came, and why it ended.
		var since time.Time
		if info, err := os.Stat(cfg.state.path); err == nil {
			since = info.ModTime()
		}
		if gap := store.Source().Gap; gap != "" {
			s.Alarms = append([]status.Alarm{{Name: "gap", Since: since, Detail: gap}}, s.Alarms...)
		}
		s.Alarms = append([]status.Alarm{{Name: "not_running", Since: since, Detail: "no daemon is running; this is what the state file says"}}, s.Alarms...)
		return s
	}
	return &desk{snapshot: snapshot, store: store, mappings: cfg.mappingNames()}, store.Close, nil
}
