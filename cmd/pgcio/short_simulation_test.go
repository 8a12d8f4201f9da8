//go:build !mutations

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/strict"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

const simulatedMappings = `
[[mapping]]
name     = "people"
table    = "public.users"
object   = "person"
behavior = "update_or_create"
person   = { id = "id" }
where    = "not deleted"
[mapping.attributes]
email   = "email"
plan    = "plan"
bio     = "bio"
has_bio = { expr = "bio != nil" }

[[mapping]]
name     = "profiles"
table    = "public.profiles"
object   = "person"
behavior = "update_only"
person   = { id = "user_id" }
[mapping.attributes]
tier = "tier"

[[mapping]]
name     = "orders"
table    = "public.orders"
object   = "event"
behavior = "append"
person   = { id = "user_id" }
event    = "Ordered"
event_id = "id"
where    = "status != 'draft'"
[mapping.attributes]
total = "total"
`

// TestSimulation runs the pump, the mapper, the state and the sink against a
// scripted database and the simulated Customer.io, with crashes at every step
// and every fault of the network, in virtual time. PGCIO_SEEDS is how many
// schedules; PGCIO_SEED runs one alone, and says what happens.
func TestSimulation(t *testing.T) {
	if s := os.Getenv("PGCIO_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		simulate(t, seed)
		return
	}
	seeds := uint64(2000)
	if s := os.Getenv("PGCIO_SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = n
	}
	first := uint64(1)
	if s := os.Getenv("PGCIO_FIRST_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first = n
	}
	var next atomic.Uint64
	next.Store(first)
	var wg sync.WaitGroup
	var failed atomic.Int32
	for range 2 {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				if seed >= first+seeds || failed.Load() > 3 {
					return
				}
				if !t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { simulate(t, seed) }) {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
}

// schedule is one run of the simulation.
type schedule struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	world  *world
	sim    *simulator.Simulator
	memory *state.Memory
	fuse   atomic.Int64 // steps until the next crash
	dead   atomic.Bool  // this incarnation has been killed
	kill   func()
	trace  bool
	parked map[string]bool // things of which a step is parked, and should be
	slotAt lsn.LSN         // where the slot begins
}

var errKilled = errors.New("killed")

func simulate(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), world: newWorld(seed), memory: state.NewMemory(), parked: map[string]bool{}, trace: os.Getenv("PGCIO_SEED") != ""}
		var err error
		if s.sim, err = simulator.New(simulator.Options{Seed: seed, LogSize: -1}); err != nil {
			t.Fatal(err)
		}
		defer s.sim.Close()
		s.run()
	})
}

func (s *schedule) logf(format string, args ...any) {
	if s.trace {
		s.t.Logf("%s "+format, append([]any{time.Now().Format("05.000")}, args...)...)
	}
}

// compile makes the mapper anew, as every start does.
func (s *schedule) compile() *mapping.Mapper {
	doc := strict.Open("simulation.toml", []byte(simulatedMappings))
	specs := mapping.Parse(doc.Root(), mapping.Environment{Workspaces: []string{"main"}})
	if p := doc.Problems(); len(p) > 0 {
		s.t.Fatal(p)
	}
	mapper, problems := mapping.Compile(specs, s.world.tables)
	if len(problems) > 0 {
		s.t.Fatal(problems)
	}
	return mapper
}

func (s *schedule) run() {
	for range s.rng.IntN(8) {
		s.world.commit(1+s.rng.IntN(6), false)
	}
	s.slotAt, s.world.slotXID = s.world.end, s.world.xid
	if s.rng.IntN(2) == 0 {
		_ = s.sim.Configure("", func(c *simulator.Settings) {
			c.Lag, c.LagJitter = simulator.Duration(time.Duration(s.rng.IntN(3))*time.Second), simulator.Duration(500*time.Millisecond)
			c.ReplyDelay, c.ReorderRequests, c.ReorderItems = simulator.Duration(time.Duration(s.rng.IntN(400))*time.Millisecond), true, true
			c.Tie = "random"
		})
	}
	s.faults()
	stop := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() { s.work(stop) })
	crashes := s.rng.IntN(6)
	for range crashes {
		s.fuse.Store(int64(1 + s.rng.IntN(40)))
		s.incarnation(false)
	}
	working.Wait()
	close(stop)
	if err := s.sim.SetFaults(); err != nil {
		s.t.Fatal(err)
	}
	s.fuse.Store(1 << 40)
	s.incarnation(true)
	s.check()
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
		}
	}
	if err := s.sim.SetFaults(faults...); err != nil {
		s.t.Fatal(err)
	}
}

// work commits transactions for some minutes.
func (s *schedule) work(<-chan struct{}) {
	rng := rand.New(rand.NewPCG(s.seed, 3))
	for range 10 + rng.IntN(40) {
		time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
		n := 1 + rng.IntN(5)
		if rng.IntN(12) == 0 {
			n = 40
		}
		s.world.commit(n, true)
	}
}

// step is a failpoint: the process may be killed here.
func (s *schedule) step(point string) {
	if s.fuse.Add(-1) == 0 {
		s.logf("killed at %s", point)
		s.dead.Store(true)
		s.kill()
	}
}

// transport is the network as long as the process lives.
type transport struct {
	s    *schedule
	next http.RoundTripper
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.s.dead.Load() {
		return nil, errKilled
	}
	if t.s.trace && r.Body != nil {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		defer func(at time.Time) {
			t.s.logf("sent %s", body)
		}(time.Now())
	}
	res, err := t.next.RoundTrip(r)
	if t.s.trace {
		if err != nil {
			t.s.logf("got %v", err)
		} else {
			t.s.logf("got %s", res.Status)
		}
	}
	if t.s.dead.Load() {
		return nil, errKilled
	}
	return res, err
}

// incarnation is one life of the process: until it is killed, or (last) until
// everything has been delivered.
func (s *schedule) incarnation(last bool) {
	t := s.t
	s.dead.Store(false)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.kill = cancel
	s.memory.Commit = func() error {
		if s.dead.Load() {
			return errKilled
		}
		return nil
	}
	mapper := s.compile()
	opts := state.Options{Memory: s.memory, Workspaces: []string{"main"}, Fail: s.step}
	for _, m := range mapper.Mappings() {
		kind := customerio.Person
		if m.Object == "event" {
			kind = customerio.Event
		}
		opts.Mappings = append(opts.Mappings, state.Mapping{Name: m.Name, Kind: kind, UpdateOnly: m.Behavior == "update_only", Backfill: m.Backfill})
	}
	store, err := state.Open(ctx, opts)
	if err == nil && !store.Source().Known() {
		err = store.SetSource(ctx, state.Source{SystemID: "1", Slot: "pgcio"}, s.slotAt)
	}
	if s.dead.Load() {
		s.memory.Crash()
		return
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	stored, open := store.Stored()
	s.logf("starts at %s %+v", stored, open)
	source, err := newTape(s.world, s.seed+uint64(stored), stored, &cdc.Mark{Commit: open.Commit, XID: open.XID, Rows: open.Rows})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if s.trace {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	rd := newReads(source, store, mapper.Mappings(), s.world.tables, log)
	p := &pump{source: source, mapper: mapper, store: store, reads: rd, beat: func() {}}
	ws := simulator.DefaultWorkspace()
	out := sink.New(sink.Config{
		Name: "main", Region: "us", TrackURL: "http://track", AppURL: "http://app", SiteID: ws.SiteID, TrackAPIKey: ws.TrackKey,
		RequestsPerSecond: 100, ItemsPerSecond: 1000, Outbox: store, Logger: log, Transport: transport{s, s.sim.Transport()}, Fail: s.step,
	})
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for _, run := range []func(context.Context) error{p.run, rd.run, out.Run, store.Run} {
		wg.Go(func() {
			err := run(ctx)
			if !s.dead.Load() && !errors.Is(err, context.Canceled) {
				errs <- err
			}
			cancel()
		})
	}
	if last {
		s.settle(ctx, store)
		cancel()
	} else {
		// One that has nothing to do is killed all the same.
		defer time.AfterFunc(time.Duration(s.rng.Int64N(int64(2*time.Minute))), func() {
			s.dead.Store(true)
			cancel()
		}).Stop()
	}
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatalf("ended: %v", err)
	default:
	}
	st, err := store.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range st.Mappings {
		if !m.Books.Balanced() {
			t.Fatalf("the books of %s do not balance: %+v", m.Name, m.Books)
		}
	}
	s.memory.Crash()
}

// settle waits until there is nothing left to do.
func (s *schedule) settle(ctx context.Context, store *state.Store) {
	deadline := time.Now().Add(24 * time.Hour)
	retried := false
	for quiet := 0; quiet < 3; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
		st, err := store.Status()
		if err != nil {
			s.t.Fatal(err)
		}
		busy := st.Rereads > 0 || st.Stored < s.world.end
		for _, m := range st.Mappings {
			busy = busy || m.Books.Waiting > 0 || m.Backfill.Running
		}
		quiet++
		if busy {
			quiet = 0
		}
		if quiet == 1 && !retried {
			// What a fault made Customer.io refuse it takes now.
			if _, err := store.Retry(ctx, "", nil); err != nil {
				s.t.Fatal(err)
			}
			retried, quiet = true, 0
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not settled after a day: %+v", st)
		}
	}
	if err := s.sim.Settle(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	asides, err := store.Asides("", false, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	// A person whose row has gone keeps the address it had at Customer.io,
	// whatever its row said afterwards; so does one whose own next address
	// cannot be had.
	out := func(id string) bool {
		row := s.world.current("public.users", id)
		return row == nil || value(row[4]) == "t" || s.parked["id:"+id]
	}
	for range asides {
		for _, a := range asides {
			if _, holder, held := strings.Cut(a.Reason, "is still held by id:"); held && (out(holder) || out(strings.TrimPrefix(a.Thing, "id:"))) {
				s.parked[a.Thing] = true
			}
		}
	}
	for _, a := range asides {
		if !s.parked[a.Thing] {
			s.t.Errorf("%+v is parked", a)
		}
	}
}

// check compares what Customer.io holds with what the tables say.
func (s *schedule) check() {
	t, w := s.t, s.world
	held := s.sim.State("")
	for _, id := range w.living("public.users") {
		row := w.current("public.users", id)
		if value(row[4]) == "t" || s.parked["id:"+id] {
			continue
		}
		p, ok := held.Person("id:" + id)
		if !ok {
			t.Errorf("user %s is not there", id)
			continue
		}
		want := map[string]string{"plan": strconv.Quote(value(row[2])), "has_bio": "true", "bio": strconv.Quote(value(row[3]))}
		if row[3].State == cdc.Null {
			want["has_bio"], want["bio"] = "false", ""
		}
		for name, v := range want {
			if got := p.Value(name); got != v {
				t.Errorf("user %s: %s is %s, want %s", id, name, got, v)
			}
		}
		if p.Email != value(row[1]) {
			t.Errorf("user %s: email is %q, want %q", id, p.Email, value(row[1]))
		}
		for _, pid := range w.living("public.profiles") {
			if profile := w.current("public.profiles", pid); value(profile[1]) == id && p.Value("tier") != strconv.Quote(value(profile[2])) {
				t.Errorf("user %s: tier is %s, want %q", id, p.Value("tier"), value(profile[2]))
			}
		}
	}
	seen := map[string]bool{}
	for _, e := range held.Events {
		seen[e.ID] = true
	}
	for id := range w.events {
		if ulid := customerio.EventULID("orders", id); !seen[ulid] {
			t.Errorf("order %s has no event", id)
		} else {
			delete(seen, ulid)
		}
	}
	for ulid := range seen {
		t.Errorf("event %s is of no order", ulid)
	}
	for name, n := range held.Notices {
		if n > 0 && name == simulator.NoticeEventIDReused {
			t.Errorf("%s: %d", name, n)
		}
	}
	if n := held.Drops[simulator.DropIdentifierConflict]; n > 0 {
		t.Errorf("%d identifier conflicts: %+v", n, held.FailedAttributeChanges)
	}
	if t.Failed() && s.trace {
		var b strings.Builder
		for _, a := range s.sim.Accepted("") {
			fmt.Fprintf(&b, "%s %s %v\n", a.At.Format("05.000"), a.Action, a.Names())
		}
		t.Log(b.String())
	}
}
