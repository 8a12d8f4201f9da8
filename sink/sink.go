package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// maxInFlight bounds the requests of one workspace that wait for their reply.
// At 100 requests a second it covers replies that take 640 ms.
const maxInFlight = 64

// probeEvery is how often a stopped workspace is tried again.
const probeEvery = time.Minute

// Outbox is what the sink needs of the state.
type Outbox interface {
	Draw(workspace, room int, fits func(*customerio.Operation) bool) ([]*state.Item, time.Time, error)
	Settle(context.Context, []state.Settled) error
	Abandon([]*state.Item)
	Woken() <-chan struct{}
}

// Config is one workspace.
type Config struct {
	Workspace         int    // its place among those in force
	Name              string // for logs and errors
	Region            string // "us" or "eu"
	TrackURL, AppURL  string
	SiteID            string
	TrackAPIKey       string
	AppAPIKey         string
	RequestsPerSecond float64
	ItemsPerSecond    float64 // operations; 0: no limit
	UserAgent         string
	Outbox            Outbox
	Logger            *slog.Logger
	Transport         http.RoundTripper // nil: net/http's own
	// Expected judges the workspace that answers, before anything is sent to
	// it. An error ends Run: this is not the workspace the state belongs to.
	Expected func(context.Context, Region) error
	// Observe is told of every request: its status (0: no reply) and duration.
	Observe func(api string, code int, took time.Duration)
	// Accepted is told of every operation that was accepted.
	Accepted func(mapping string, action customerio.Action, committed time.Time)
	// Fail is called at named points, for tests that kill the process there.
	Fail func(point string)
}

// Sink sends what one workspace's outbox lets leave.
type Sink struct {
	cfg    Config
	client *client
	pace   *pace
	log    *slog.Logger

	results chan result
	settled chan []state.Settled
	again   []*unit // to be sent before anything new, in order
	retried int     // units of again that were sent since anything new was
	flying  int
	blocked bool // the last reply was that nothing gets through
	good    int  // requests that were settled, ever
	bad     int  // requests that failed and nobody suspects, ever

	mu     sync.Mutex // guards status
	status Status
}

// Status is how a workspace is doing.
type Status struct {
	State             string // "sending", "waiting" (nothing may leave yet) or "blocked"
	RequestsPerSecond float64
	LastError         string // "": none since the last success
	Since             time.Time
	Verified          bool // the workspace has said who it is
}

// New returns a sink that does nothing until Run.
func New(cfg Config) *Sink {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Fail == nil {
		cfg.Fail = func(string) {}
	}
	return &Sink{
		cfg:     cfg,
		client:  newClient(&cfg),
		pace:    newPace(cfg.RequestsPerSecond, cfg.ItemsPerSecond),
		log:     cfg.Logger.With("workspace", cfg.Name),
		results: make(chan result, maxInFlight),
		settled: make(chan []state.Settled, maxInFlight),
		status:  Status{State: "waiting", RequestsPerSecond: cfg.RequestsPerSecond},
	}
}

// Status returns how the workspace is doing.
func (s *Sink) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Sink) setState(state, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.State != state {
		s.status.State, s.status.Since = state, time.Now()
	}
	s.status.LastError = problem
	s.status.RequestsPerSecond = s.pace.current
}

type result struct {
	unit  *unit
	reply customerio.Reply
	code  int // 0: no reply came
}

// Run sends until ctx ends, then finishes what is in flight, gives back what
// has not left, and returns ctx's error; or it returns why this workspace must
// not be sent anything.
func (s *Sink) Run(ctx context.Context) error {
	var settling sync.WaitGroup
	settleErr := make(chan error, 1)
	settling.Go(func() { settleErr <- s.settle() })
	err := s.verify(ctx)
	if err == nil {
		err = s.send(ctx, settleErr)
	}
	close(s.settled)
	settling.Wait()
	select {
	case serr := <-settleErr:
		err = errors.Join(err, serr)
	default:
	}
	return err
}

// verify asks the workspace who it is until it answers.
func (s *Sink) verify(ctx context.Context) error {
	for {
		region, err := s.client.region(ctx)
		if err == nil && region.Region != "" && region.Region != s.cfg.Region {
			err = &refusedError{fmt.Sprintf("the workspace is in region %q, the configuration says %q", region.Region, s.cfg.Region)}
		}
		if err == nil {
			if s.cfg.Expected != nil {
				if err := s.cfg.Expected(ctx, region); err != nil {
					return err
				}
			}
			s.mu.Lock()
			s.status.Verified = true
			s.mu.Unlock()
			s.pace.fails = 0
			s.setState("sending", "")
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait := probeEvery
		var refused *refusedError
		if errors.As(err, &refused) {
			s.log.Error("workspace stopped, nothing is sent", "error", err, "again_in", wait)
			s.setState("blocked", err.Error())
		} else {
			s.pace.fails++
			wait = jitter(s.pace.fails)
			var later *laterError
			if errors.As(err, &later) {
				wait = max(wait, later.after)
			}
			s.log.Warn("workspace cannot be reached", "error", err, "again_in", wait.Round(time.Millisecond))
			s.setState("waiting", err.Error())
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// send is the loop: it alone decides what leaves when.
func (s *Sink) send(ctx context.Context, failed <-chan error) error {
	// Requests in hand are finished when ctx ends; requestTimeout bounds them,
	// and the daemon's own limit on its shutdown.
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer func() {
		for _, u := range s.again {
			s.cfg.Outbox.Abandon(u.items)
		}
	}()
	for {
		wait, woken, err := s.step(requests)
		if err != nil {
			cancel()
			s.drain()
			return err
		}
		timer := time.NewTimer(wait)
		if wait == 0 {
			timer.Stop() // only something else can change anything
		}
		select {
		case <-ctx.Done():
			s.finish(cancel)
			return ctx.Err()
		case err := <-failed:
			cancel()
			s.drain()
			return err
		case r := <-s.results:
			s.took(r)
		case <-woken:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// finishWithin is how long a stopping sink waits for replies: past it they are
// given up, and what they were about is sent again by the next run.
const finishWithin = 5 * time.Second

func (s *Sink) finish(cancel func()) {
	timer := time.AfterFunc(finishWithin, cancel)
	defer timer.Stop()
	s.drain()
}

// drain waits for every request in flight.
func (s *Sink) drain() {
	for s.flying > 0 {
		s.took(<-s.results)
	}
}

// step sends what may leave. It returns how long nothing can happen by the
// passing of time (0: nothing will), and what else to wait for.
func (s *Sink) step(ctx context.Context) (wait time.Duration, woken <-chan struct{}, err error) {
	for s.flying < maxInFlight {
		now := time.Now()
		if d := s.pace.wait(now); d > 0 {
			return d, nil, nil
		}
		ailing := s.pace.fails > 0 || s.blocked
		if ailing && s.flying > 0 {
			return 0, nil, nil // one at a time until one succeeds
		}
		woken = s.cfg.Outbox.Woken()
		// While requests fail, what has failed is tried again rather than more
		// taken from the outbox, where it could still merge. But when all of it
		// has had its turn something new has one: it may be that only what is in
		// hand fails.
		var u *unit
		var next time.Time
		fresh := ailing && s.retried >= len(s.again) && len(s.again) < maxInFlight
		if !fresh {
			u = s.retry(now)
		}
		if u == nil {
			if u, next, err = s.draw(now); err != nil {
				return 0, nil, err
			}
			s.retried = 0
		}
		if u == nil && fresh {
			u = s.retry(now)
		}
		if u == nil {
			return s.idle(now, next), woken, nil
		}
		if err := s.launch(ctx, time.Now(), u); err != nil { // drawing may have taken a while
			return 0, nil, err
		}
	}
	return 0, nil, nil
}

// draw takes as much from the outbox as one request holds; nil when nothing
// may leave before next.
func (s *Sink) draw(now time.Time) (u *unit, next time.Time, err error) {
	var room customerio.Room
	items, next, err := s.cfg.Outbox.Draw(s.cfg.Workspace, s.pace.room(now, customerio.MaxItems), room.Take)
	if err != nil {
		return nil, next, fmt.Errorf("draw from the outbox: %w", err)
	}
	if items = s.withhold(items); len(items) == 0 {
		return nil, next, nil
	}
	return &unit{items: items}, next, nil
}

// withhold settles what must not be sent.
func (s *Sink) withhold(items []*state.Item) []*state.Item {
	var refused []state.Settled
	send := items[:0:0]
	for _, it := range items {
		if it.Refuse == "" {
			send = append(send, it)
			continue
		}
		refused = append(refused, state.Settled{Item: it, Verdict: customerio.Verdict{Kind: customerio.Rejected, Reason: it.Refuse}})
	}
	if refused != nil {
		s.settled <- refused
	}
	return send
}

// launch sends a unit's request. It fails when one of the operations has no place
// in it: what is not sent must not be settled with the rest.
func (s *Sink) launch(ctx context.Context, now time.Time, u *unit) error {
	path, body, err := encode(u)
	if err != nil {
		s.later(u) // not sent: given back when the sink ends
		return err
	}
	s.flying++
	u.sent = now
	for _, it := range u.items {
		it.Rest(false)
	}
	s.pace.took(now, len(u.items))
	s.cfg.Fail("before-request")
	go func() {
		res, err := s.client.send(ctx, path, body)
		s.cfg.Fail("after-request")
		if err != nil {
			s.results <- result{unit: u, reply: customerio.Reply{Reason: err.Error()}}
			return
		}
		s.results <- result{unit: u, reply: customerio.ReadReply(res.status, res.header, res.body, len(u.items), time.Now()), code: res.status}
	}()
	return nil
}

// encode writes a unit's request.
func encode(u *unit) (path string, body []byte, err error) {
	if u.single {
		return "/api/v2/entity", u.items[0].Operation.AppendJSON(nil), nil
	}
	var p customerio.Packer
	for n, it := range u.items {
		if op := &it.Operation; !p.Add(op) {
			return "", nil, fmt.Errorf("put the %s of %s (mapping %q, %d bytes) into a request: it does not fit behind the %d before it", op.Action, op.Thing(), it.Mapping, op.Size(), n)
		}
	}
	return "/api/v2/batch", p.Body(), nil
}

// took acts on a reply.
func (s *Sink) took(r result) {
	s.flying--
	now := time.Now()
	u := r.unit
	s.blocked = r.reply.Do == customerio.Stop && (s.blocked || !s.ownFault(u))
	switch r.reply.Do {
	case customerio.Settle:
		s.good++
		s.pace.succeeded(now)
		s.setState("sending", "")
		settled := make([]state.Settled, len(u.items))
		for i, it := range u.items {
			settled[i] = state.Settled{Item: it, Verdict: r.reply.Verdicts[i]}
			if r.reply.Verdicts[i].Kind == customerio.Accepted && s.cfg.Accepted != nil {
				s.cfg.Accepted(it.Mapping, it.Operation.Action, it.Committed)
			}
		}
		s.settled <- settled
	case customerio.Bisect:
		s.pace.succeeded(now)
		s.setState("sending", "") // it answers
		s.halve(u)
	case customerio.Singly:
		if u.single {
			s.backoff(now, r)
			return
		}
		s.log.Warn("a reply cannot be trusted, operations are sent one by one", "error", r.reply.Reason, "operations", len(u.items))
		for _, it := range u.items {
			s.later(&unit{items: []*state.Item{it}, single: true})
		}
	case customerio.Stop:
		if s.blocked {
			s.stop(now, r)
			return
		}
		u.suspect = true
		s.backoff(now, r)
	default:
		s.backoff(now, r)
	}
}

// settleAtOnce bounds how many verdicts go into one commit.
const settleAtOnce = 20_000

// settle enters verdicts: all that have come in while the state was busy, in
// one commit.
func (s *Sink) settle() error {
	for batch := range s.settled {
		s.cfg.Fail("before-settle")
	gather:
		for len(batch) < settleAtOnce {
			select {
			case more, ok := <-s.settled:
				if !ok {
					break gather
				}
				batch = append(batch, more...)
			default:
				break gather
			}
		}
		// What Customer.io has accepted is entered even while stopping.
		if err := s.cfg.Outbox.Settle(context.Background(), batch); err != nil {
			go func() {
				for range s.settled {
				}
			}()
			return fmt.Errorf("enter what was accepted: %w", err)
		}
		s.cfg.Fail("after-settle")
	}
	return nil
}
