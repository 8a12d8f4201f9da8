package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// shutdown is what must be undone at the end, last first, each under a name
// that a log can show when it takes long.
type shutdown struct {
	log   *slog.Logger
	steps []step
}

type step struct {
	name string
	undo func() error
}

// then adds a step, which is run before those that were added earlier.
func (s *shutdown) then(name string, undo func() error) {
	s.steps = append(s.steps, step{name, undo})
}

// run undoes everything. A step that fails does not keep the others from
// being run.
func (s *shutdown) run() error {
	var failed []error
	for i := len(s.steps) - 1; i >= 0; i-- {
		began := time.Now()
		err := s.steps[i].undo()
		s.log.Debug("stopped", "part", s.steps[i].name, "took", time.Since(began).Round(time.Millisecond))
		if err != nil {
			failed = append(failed, fmt.Errorf("stopping the %s: %w", s.steps[i].name, err))
		}
	}
	s.steps = nil
	return errors.Join(failed...)
}
