package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// loops are the daemon's goroutines. Each ends by itself only when something is
// wrong, which fails them all; otherwise the shutdown ends them, in its order.
type loops struct {
	end    *shutdown
	fail   context.CancelCauseFunc // of the daemon's context
	reason func() error            // what it was ended for
}

// start runs a loop until its place in the shutdown comes.
func (l *loops) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = fmt.Errorf("the %s ended without a reason", name)
			}
			l.fail(err) // the first failure is the reason
		}
		done <- err
	}()
	l.end.then(name, func() error {
		cancel()
		err := <-done
		if cancelled(err) || errors.Is(l.reason(), origin(err)) {
			return nil // it is what was asked for, or has been said
		}
		return err
	})
}

// cancelled tells whether an error says that a context has ended, and nothing else.
func cancelled(err error) bool {
	if joined, is := err.(interface{ Unwrap() []error }); is {
		return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !cancelled(err) })
	}
	if next := errors.Unwrap(err); next != nil {
		return cancelled(next)
	}
	return err == nil || err == context.Canceled
}

// origin is the error that others wrap: two loops may meet with the same one, as
// whoever reads the stream does with what ended it.
func origin(err error) error {
	for {
		switch wrapped := err.(type) {
		case interface{ Unwrap() error }:
			if wrapped.Unwrap() == nil {
				return err
			}
			err = wrapped.Unwrap()
		case interface{ Unwrap() []error }:
			err = wrapped.Unwrap()[0]
		default:
			return err
		}
	}
}
