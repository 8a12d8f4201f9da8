package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// errNotOurs answers what must not be done to a server that was running before.
var errNotOurs = errors.New("the server that PGCIO_TEST_POSTGRES names was not started here")

// Mode is how a cluster shuts down.
type Mode syscall.Signal

// The modes of pg_ctl stop.
const (
	Smart     = Mode(syscall.SIGTERM) // waits for the sessions to end
	Fast      = Mode(syscall.SIGINT)  // ends the sessions, waits for replication
	Immediate = Mode(syscall.SIGQUIT) // as a crash, without writing anything
)

// Stop shuts the cluster down as `pg_ctl stop` does and says how long that took:
// until the last process was gone. When ctx ends first it returns its error, and
// the shutdown goes on.
func (c *Cluster) Stop(ctx context.Context, mode Mode) (time.Duration, error) {
	if c.running != nil {
		return 0, errNotOurs
	}
	if !c.Running() {
		return 0, errors.New("stopping postgres: it is not running")
	}
	began := time.Now()
	if err := c.pm.signal(syscall.Signal(mode)); err != nil {
		return 0, fmt.Errorf("stopping postgres: %w", err)
	}
	select {
	case <-c.pm.gone:
		took := time.Since(began)
		c.pm.release()
		return took, nil
	case <-ctx.Done():
		return time.Since(began), fmt.Errorf("stopping postgres: %w", ctx.Err())
	}
}

// Kill kills the postmaster with SIGKILL and returns when its children have
// noticed and are gone.
func (c *Cluster) Kill() error {
	if c.running != nil {
		return errNotOurs
	}
	if !c.Running() {
		return nil
	}
	if err := c.pm.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing postgres: %w", err)
	}
	c.pm.release()
	return nil
}

// Restart starts the cluster again on the same port, after a fast shutdown if it
// is running.
func (c *Cluster) Restart(ctx context.Context) error {
	if c.running != nil {
		return errNotOurs
	}
	if c.Running() {
		ctx, cancel := withTimeout(ctx)
		defer cancel()
		if _, err := c.Stop(ctx, Fast); err != nil {
			return err
		}
	}
	return c.launch(ctx)
}

// Running reports whether any process of the cluster is there.
func (c *Cluster) Running() bool {
	return c.running != nil || c.pm != nil && c.pm.running()
}

// Close ends the cluster at once and removes its files. Of a server that was
// running before, it drops the database that Start made there.
func (c *Cluster) Close() error {
	if c.running != nil {
		return c.disown()
	}
	if c.home == "" {
		return nil
	}
	if c.Running() {
		// Immediate, then the hard way: a stopped (SIGSTOP) or wedged one ends too.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_, err := c.Stop(ctx, Immediate)
		cancel()
		if err != nil {
			if err := c.Kill(); err != nil {
				return err
			}
		}
	}
	home := c.home
	c.home = ""
	return os.RemoveAll(home)
}
