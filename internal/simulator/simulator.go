package simulator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options are what a simulator starts with; the zero value is usable.
type Options struct {
	// Workspaces are those it holds; none means DefaultWorkspace alone.
	Workspaces []Workspace
	// Seed decides everything that is random.
	Seed uint64
	// LogSize bounds the request log and each workspace's record of
	// acceptances, in entries: 0 is 10,000, negative is no bound.
	LogSize int
	// NoLog keeps neither, for benchmarks.
	NoLog bool
}

// Simulator is a Customer.io of several workspaces.
type Simulator struct {
	workspaces []*workspace
	inspection http.Handler
	seed       uint64
	closed     chan struct{}
	closing    sync.Once

	mu       sync.Mutex // guards all below
	faults   []*activeFault
	rng      *rand.Rand
	requests int64 // arrived so far
	open     int   // arrived and unanswered
	lastSeen time.Time
	unknown  int64 // requests that named no workspace
	log      ring[Request]
}

// New returns a simulator. It starts nothing.
func New(o Options) (*Simulator, error) {
	if len(o.Workspaces) == 0 {
		o.Workspaces = []Workspace{DefaultWorkspace()}
	}
	size := o.LogSize
	switch {
	case o.NoLog:
		size = 0
	case size == 0:
		size = 10_000
	}
	s := &Simulator{seed: o.Seed, closed: make(chan struct{})}
	s.log.limit = size
	seen := make(map[string]string)
	for i, c := range o.Workspaces {
		if c.Name == "" {
			return nil, errors.New("a workspace of the simulator needs a name")
		}
		if c.Region == "" {
			c.Region = "us"
		}
		if c.Region != "us" && c.Region != "eu" {
			return nil, fmt.Errorf("workspace %s: region %q is neither us nor eu", c.Name, c.Region)
		}
		if c.Settings == nil {
			settings := DefaultSettings()
			c.Settings = &settings
		}
		if err := c.Settings.Validate(); err != nil {
			return nil, fmt.Errorf("workspace %s: %w", c.Name, err)
		}
		for what, value := range map[string]string{
			"name": c.Name, "Track credentials": c.SiteID + "\x00" + c.TrackKey, "App API key": c.AppKey,
		} {
			if other, taken := seen[what+"\x00"+value]; taken && value != "" {
				return nil, fmt.Errorf("workspaces %s and %s have the same %s", other, c.Name, what)
			}
			seen[what+"\x00"+value] = c.Name
		}
		s.workspaces = append(s.workspaces, newWorkspace(c, o.Seed+uint64(i)+1, size))
	}
	s.rng = rand.New(rand.NewPCG(o.Seed, 1))
	s.inspection = s.newInspection()
	return s, nil
}

// Close ends every delayed reply; requests after it meet a connection error.
func (s *Simulator) Close() { s.closing.Do(func() { close(s.closed) }) }

// Reset forgets everything written, logged and counted, and every fault; the
// settings stay.
func (s *Simulator) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	s.rng = rand.New(rand.NewPCG(s.seed, 1))
	s.unknown = 0
	s.log.clear()
	for _, w := range s.workspaces {
		w.mu.Lock()
		w.reset()
		w.mu.Unlock()
	}
}

// Settings returns how a workspace behaves now. It panics if there is no such
// workspace; "" names the only one.
func (s *Simulator) Settings(name string) Settings {
	w := s.must(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings
}

// Configure changes how a workspace behaves from now on. What was accepted
// before is applied before what comes after.
func (s *Simulator) Configure(name string, change func(*Settings)) error {
	w := s.must(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apply(time.Now())
	next := w.settings
	change(&next)
	if err := next.Validate(); err != nil {
		return fmt.Errorf("workspace %s: %w", w.Name, err)
	}
	w.settings = next
	w.queue.rebase()
	return nil
}

// Unauthorized counts the requests whose credentials opened no workspace.
func (s *Simulator) Unauthorized() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unknown
}

// Settle returns when everything accepted so far is applied.
func (s *Simulator) Settle(ctx context.Context) error {
	var last time.Time
	for _, w := range s.workspaces {
		w.look(time.Now(), func() {
			if t := w.lastDue(); t.After(last) {
				last = t
			}
		})
	}
	return s.sleep(ctx, time.Until(last))
}

// Idle returns when no request has been open for the given time and everything
// accepted is applied.
func (s *Simulator) Idle(ctx context.Context, quiet time.Duration) error {
	for {
		if err := s.Settle(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		since, open := time.Since(s.lastSeen), s.open
		s.mu.Unlock()
		wait := quiet - since
		if open > 0 {
			wait = max(quiet, time.Millisecond)
		}
		if wait <= 0 && s.pending() == 0 {
			return nil
		}
		if err := s.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (s *Simulator) pending() int {
	n := 0
	for _, w := range s.workspaces {
		w.look(time.Now(), func() { n += len(w.queue.waits) })
	}
	return n
}

var errClosed = errors.New("the simulator is closed")

// sleep waits for d, the end of ctx, or Close.
func (s *Simulator) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return errClosed
	}
}

func (s *Simulator) must(name string) *workspace {
	w := s.workspace(name)
	if w == nil {
		panic(fmt.Sprintf("simulator: no workspace %q", name))
	}
	return w
}

func (s *Simulator) workspace(name string) *workspace {
	if name == "" && len(s.workspaces) == 1 {
		return s.workspaces[0]
	}
	for _, w := range s.workspaces {
		if w.Name == name {
			return w
		}
	}
	return nil
}

// authorized finds the workspace that a request's credentials open on an API.
func (s *Simulator) authorized(c *call) *workspace {
	authorization := c.header.Get("Authorization")
	for _, w := range s.workspaces {
		if c.api == "app" {
			if scheme, key, _ := strings.Cut(authorization, " "); strings.EqualFold(scheme, "Bearer") && key != "" && key == w.AppKey {
				return w
			}
			continue
		}
		r := http.Request{Header: c.header}
		if user, password, ok := r.BasicAuth(); ok && user == w.SiteID && password == w.TrackKey {
			return w
		}
	}
	return nil
}
