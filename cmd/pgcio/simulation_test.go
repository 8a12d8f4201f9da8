package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/strict"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

// simulatedMappings feed two workspaces: people by id with what hangs on them,
// by id and by address; and those who have left, with a history read from the
// table.
const simulatedMappings = `
[[mapping]]
name      = "people"
workspace = "main"
table     = "public.users"
object    = "person"
behavior  = "update_or_create"
person    = { id = "id" }
where     = "not deleted"
[mapping.attributes]
email   = "email"
plan    = "plan"
bio     = "bio"
has_bio = { expr = "bio != nil" }

[[mapping]]
name      = "profiles"
workspace = "main"
table     = "public.profiles"
object    = "person"
behavior  = "update_only"
person    = { id = "user_id" }
[mapping.attributes]
tier = "tier"

[[mapping]]
name      = "contacts"
workspace = "main"
table     = "public.contacts"
object    = "person"
behavior  = "update_only"
person    = { email = "address" }
[mapping.attributes]
score = "score"

[[mapping]]
name      = "orders"
workspace = "main"
table     = "public.orders"
object    = "event"
behavior  = "append"
person    = { id = "user_id" }
event     = "Ordered"
event_id  = "ref"
where     = "status != 'draft'"
[mapping.attributes]
total = "total"

[[mapping]]
name      = "visits"
workspace = "main"
table     = "public.visits"
object    = "event"
behavior  = "append"
person    = { email = "address" }
event     = "Visited"
event_id  = "id"

[[mapping]]
name      = "phones"
workspace = "main"
table     = "public.phones"
object    = "device"
behavior  = "update_or_create"
person    = { id = "user_id" }
token     = "token"
platform  = { value = "ios" }
[mapping.attributes]
build = "build"

[[mapping]]
name        = "seats"
workspace   = "main"
table       = "public.seats"
object      = "relationship"
behavior    = "update_or_create"
person      = { id = "user_id" }
object_type = "1"
object_id   = "account_id"
[mapping.attributes]
role = "role"

[[mapping]]
name        = "accounts"
workspace   = "main"
table       = "public.accounts"
object      = "object"
behavior    = "update_or_create"
object_type = "1"
object_id   = "id"
[mapping.attributes]
name = "name"

[[mapping]]
name      = "leavers"
workspace = "other"
table     = "public.users"
object    = "person"
behavior  = "update_or_create"
person    = { id = "id" }
where     = "deleted"
oversize  = "park"
[mapping.attributes]
plan = "plan"
bio  = "bio"

[[mapping]]
name      = "history"
workspace = "other"
table     = "public.orders"
object    = "event"
behavior  = "append"
person    = { id = "user_id" }
event     = "Ordered"
event_id  = "ref"
timestamp = "placed"
backfill  = true
where     = "status != 'draft'"
[mapping.attributes]
total = "total"
`

var simulatedWorkspaces = []string{"main", "other"}

// TestSimulation runs the pump, the mapper, the state and the sink against a
// scripted database and the simulated Customer.io, with crashes at every step
// and every fault of the network, in virtual time.
//
// PGCIO_SEEDS is how many schedules, PGCIO_FIRST_SEED where they begin.
// PGCIO_SEED runs one alone, up to PGCIO_SEEDS times until it fails, and tells
// what happened then. What a seed does not decide is the order in which
// goroutines run, which ready case a select takes, and how long the sink waits
// before it tries again; so a rare failure may need some runs to come again:
// the first twenty are on one processor, where more of that is the same.
func TestSimulation(t *testing.T) {
	if os.Getenv("PGCIO_SEED") != "" {
		seed := envNumber(t, "PGCIO_SEED", 0)
		processors := runtime.GOMAXPROCS(1)
		for run := range envNumber(t, "PGCIO_SEEDS", 1) {
			if run == 20 {
				runtime.GOMAXPROCS(processors)
			}
			if !t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { simulate(t, seed, true) }) {
				return
			}
		}
		return
	}
	first := envNumber(t, "PGCIO_FIRST_SEED", 1)
	end := first + envNumber(t, "PGCIO_SEEDS", 2000)
	var next atomic.Uint64
	next.Store(first)
	var failed atomic.Int32
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				if seed >= end || failed.Load() > 3 {
					return
				}
				if !t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { simulate(t, seed, false) }) {
					failed.Add(1)
					t.Logf("to see what happens: PGCIO_SEED=%d PGCIO_SEEDS=100 go test -count=1 -run '^TestSimulation$' ./cmd/pgcio", seed)
				}
			}
		})
	}
	wg.Wait()
}

func envNumber(t *testing.T, name string, otherwise uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// schedule is one run of the simulation.
type schedule struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	trace  bool
	world  *world
	sim    *simulator.Simulator
	wire   *wire
	memory *state.Memory

	healthy  bool    // nothing ever goes wrong but crashes
	alone    bool    // nor does anybody retry or drop what is parked
	slow     bool    // there is always more to send than may be sent
	parting  float64 // how probable it is that an operation is refused alone
	crashes  int
	refusing bool // some fault makes Customer.io refuse what is right

	fuse  atomic.Int64 // steps until the next crash
	dead  atomic.Bool  // this incarnation has been killed
	over  atomic.Bool  // no more is committed
	kill  func()
	store *state.Store // of this incarnation

	mu      sync.Mutex        // guards below
	dropped map[string]uint64 // what the operator has given up, and the newest transaction then
	parked  map[string]bool   // people of main of whom something is parked, and should be
	orphans map[string]bool   // events whose person is parked, at the end
}

var errKilled = errors.New("killed")

func simulate(t *testing.T, seed uint64, trace bool) {
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{
			t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), trace: trace, world: newWorld(seed), memory: state.NewMemory(),
			dropped: map[string]uint64{}, parked: map[string]bool{}, orphans: map[string]bool{},
		}
		var err error
		if s.sim, err = simulator.New(simulator.Options{Seed: seed, LogSize: -1, Workspaces: []simulator.Workspace{workspaceNamed("main", 1), workspaceNamed("other", 2)}}); err != nil {
			t.Fatal(err)
		}
		defer s.sim.Close()
		s.wire = newWire(s)
		s.run()
	})
}

func workspaceNamed(name string, environment int64) simulator.Workspace {
	ws := simulator.DefaultWorkspace()
	ws.Name, ws.SiteID, ws.AppKey, ws.EnvironmentID = name, ws.SiteID+name, ws.AppKey+name, environment
	settings := simulator.DefaultSettings()
	if name == "main" {
		// An event without a person stays one: it tells that its order was lost.
		settings.UnknownPerson = "orphan"
	}
	ws.Settings = &settings
	return ws
}

func (s *schedule) logf(format string, args ...any) {
	if s.trace {
		s.t.Logf("%s "+format, append([]any{time.Now().Format("04:05.000")}, args...)...)
	}
}

func (s *schedule) run() {
	s.healthy, s.slow = s.rng.IntN(4) == 0, s.rng.IntN(3) == 0
	s.alone = s.healthy && s.seed%4 == 3
	s.world.fixed = s.healthy && s.rng.IntN(2) == 0
	for range s.rng.IntN(8) {
		s.world.commit(1 + s.rng.IntN(6))
	}
	s.world.createSlot()
	if s.rng.IntN(2) == 0 {
		s.tardy()
	}
	if !s.healthy {
		s.faults()
	}
	var working sync.WaitGroup
	defer working.Wait()
	working.Go(s.work)
	s.crashes = s.rng.IntN(6)
	for range s.crashes {
		s.fuse.Store(int64(1 + s.rng.IntN(60)))
		s.incarnation(false)
	}
	s.fuse.Store(1 << 40)
	s.incarnation(true)
	s.check()
}

// work commits transactions for some minutes.
func (s *schedule) work() {
	rng := rand.New(rand.NewPCG(s.seed, 3))
	for range 10 + rng.IntN(40) {
		time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
		n := 1 + rng.IntN(6)
		if rng.IntN(12) == 0 {
			n = 40
		}
		s.world.commit(n)
	}
	s.over.Store(true)
}

// step is a failpoint: the process may be killed here.
func (s *schedule) step(point string) {
	if s.fuse.Add(-1) == 0 {
		s.logf("killed at %s", point)
		s.dead.Store(true)
		s.kill()
	}
}

// incarnation is one life of the process: until it is killed, or (last) until
// everything has been delivered.
func (s *schedule) incarnation(last bool) {
	t := s.t
	s.dead.Store(false)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.kill = cancel
	s.memory.Commit = s.disk()
	mapper := s.compile()
	store, err := s.open(ctx, mapper)
	if s.dead.Load() {
		s.memory.Crash()
		return
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	s.store = store
	stored, open := store.Stored()
	s.logf("starts at %s %+v", stored, open)
	source, err := newTape(s.world, s.seed+uint64(stored), stored, &cdc.Mark{Commit: open.Commit, XID: open.XID, Rows: open.Rows})
	if err != nil {
		t.Fatal(err)
	}
	source.fail, source.pause = t.Errorf, time.Duration(s.rng.Int64N(int64(time.Minute)))
	source.paused = func() { s.heldBack(source.pause) }
	log := slog.New(slog.DiscardHandler)
	if s.trace {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	rd := newReads(source, store, mapper.Mappings(), s.world.tables, log)
	p := &pump{source: source, mapper: mapper, store: store, reads: rd, beat: func() {}}
	running := []func(context.Context) error{p.run, rd.run, store.Run, func(ctx context.Context) error { return s.operate(ctx, last) }}
	for i, name := range simulatedWorkspaces {
		running = append(running, s.sinkOf(i, name, log).Run)
	}
	errs := make(chan error, len(running))
	for _, run := range running {
		wg.Go(func() {
			err := run(ctx)
			if !s.dead.Load() && !errors.Is(err, context.Canceled) {
				errs <- err
			}
			cancel()
		})
	}
	if last {
		s.settle(ctx)
		cancel()
	} else {
		// One that has nothing to do is killed all the same.
		killed := make(chan struct{})
		killer := time.AfterFunc(time.Duration(s.rng.Int64N(int64(2*time.Minute))), func() {
			defer close(killed)
			s.dead.Store(true)
			cancel()
		})
		defer func() {
			if !killer.Stop() {
				<-killed // or it might kill the next one
			}
		}()
	}
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatalf("ended: %v", err)
	default:
	}
	s.audit()
	// A commit that the pump has started ends beside it; a process that is killed
	// takes it along, before the next one opens the state.
	_ = store.Update(context.Background(), func(*state.Tx) error { return nil })
	s.memory.Crash()
}

// compile makes the mapper anew, as every start does.
func (s *schedule) compile() *mapping.Mapper {
	doc := strict.Open("simulation.toml", []byte(simulatedMappings))
	specs := mapping.Parse(doc.Root(), mapping.Environment{Workspaces: simulatedWorkspaces})
	if p := doc.Problems(); len(p) > 0 {
		s.t.Fatal(p)
	}
	mapper, problems := mapping.Compile(specs, s.world.tables)
	if len(problems) > 0 {
		s.t.Fatal(problems)
	}
	return mapper
}

func (s *schedule) open(ctx context.Context, mapper *mapping.Mapper) (*state.Store, error) {
	opts := state.Options{Memory: s.memory, Workspaces: simulatedWorkspaces, Fail: s.step, JournalSize: 1 << (12 + s.rng.IntN(7))}
	for _, m := range mapper.Mappings() {
		def := state.Mapping{Name: m.Name, Kind: m.Kind, UpdateOnly: m.Behavior == "update_only", Backfill: m.Backfill}
		if m.Workspace == simulatedWorkspaces[1] {
			def.Workspace = 1
		}
		opts.Mappings = append(opts.Mappings, def)
	}
	store, err := state.Open(ctx, opts)
	if err == nil && !store.Source().Known() {
		err = store.SetSource(ctx, state.Source{SystemID: "1", Slot: "pgcio"}, s.world.slot)
	}
	return store, err
}

func (s *schedule) sinkOf(place int, name string, log *slog.Logger) *sink.Sink {
	ws := workspaceNamed(name, 0)
	cfg := sink.Config{
		Workspace: place, Name: name, Region: "us", TrackURL: "http://track", AppURL: "http://app", SiteID: ws.SiteID, TrackAPIKey: ws.TrackKey,
		RequestsPerSecond: 100, ItemsPerSecond: 1000, Outbox: s.store, Logger: log, Transport: s.wire.to(name), Fail: s.step,
	}
	if s.slow {
		cfg.RequestsPerSecond, cfg.ItemsPerSecond = 1, 3
	}
	return sink.New(cfg)
}
