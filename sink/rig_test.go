package sink_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

// rig is a sink between a real outbox and the simulated Customer.io, in a
// bubble of virtual time.
type rig struct {
	t     *testing.T
	sim   *simulator.Simulator
	store *state.Store
	cfg   sink.Config
	sink  *sink.Sink
	end   lsn.LSN
	stop  context.CancelFunc
	ended chan error

	delay time.Duration // of every reply, whatever it is

	mu   sync.Mutex
	sent []sent
}

// sent is a request as it left.
type sent struct {
	at   time.Time
	path string
	body string
}

const (
	people = 0
	orders = 1
)

// inBubble runs fn on a rig whose sink has not started.
func inBubble(t *testing.T, fn func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, end: 0x1000}
		var err error
		if r.sim, err = simulator.New(simulator.Options{Seed: 1, LogSize: -1}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.sim.Close)
		r.store, err = state.Open(t.Context(), state.Options{
			Memory: state.NewMemory(), Workspaces: []string{"main"},
			Mappings: []state.Mapping{{Name: "people", Kind: customerio.Person}, {Name: "orders", Kind: customerio.Event}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ws := simulator.DefaultWorkspace()
		r.cfg = sink.Config{
			Name: "main", Region: "us", TrackURL: "http://track", AppURL: "http://app/", SiteID: ws.SiteID, TrackAPIKey: ws.TrackKey, AppAPIKey: ws.AppKey,
			RequestsPerSecond: 100, ItemsPerSecond: 1000, Outbox: r.store, Transport: r,
		}
		fn(r)
		if r.stop != nil {
			r.finish()
		}
	})
}

// RoundTrip notes what is sent and hands it to the simulator.
func (r *rig) RoundTrip(req *http.Request) (*http.Response, error) {
	s := sent{at: time.Now(), path: req.URL.Path}
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		s.body = string(b)
		req.Body = io.NopCloser(bytes.NewReader(b))
	}
	r.mu.Lock()
	r.sent = append(r.sent, s)
	r.mu.Unlock()
	res, err := r.sim.Transport().RoundTrip(req)
	time.Sleep(r.delay)
	return res, err
}

// writes are the requests so far that write something.
func (r *rig) writes() (list []sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sent {
		if strings.HasPrefix(s.path, "/api/v2/") {
			list = append(list, s)
		}
	}
	return list
}

func (r *rig) start() {
	r.sink = sink.New(r.cfg)
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	r.stop, r.ended = cancel, ended
	go func() { ended <- r.sink.Run(ctx) }()
}

// finish stops the sink and returns what Run returned.
func (r *rig) finish() error {
	r.stop()
	r.stop = nil
	return <-r.ended
}

// configure changes how the simulated workspace behaves.
func (r *rig) configure(change func(*simulator.Settings)) {
	r.t.Helper()
	if err := r.sim.Configure("", change); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) faults(faults ...simulator.Fault) {
	r.t.Helper()
	if err := r.sim.SetFaults(faults...); err != nil {
		r.t.Fatal(err)
	}
}

// commit stores the asks of one transaction.
func (r *rig) commit(asks ...customerio.Ask) {
	r.t.Helper()
	err := r.store.Update(r.t.Context(), func(tx *state.Tx) error {
		o := state.Origin{Commit: r.end + 8, XID: uint64(r.end), Time: time.Now(), Insert: true}
		tx.Begin(0)
		tx.From(&o)
		for i := range asks {
			tx.Apply(&asks[i])
		}
		r.end += 0x10
		tx.Through(r.end, state.Mark{})
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// person asks for a person with this plan.
func person(id, plan string) customerio.Ask {
	return customerio.Ask{Mapping: people, Row: []byte(id), Answer: customerio.In, Operation: customerio.Operation{
		Kind: customerio.Person, Action: customerio.Identify, Person: customerio.Identifier{Type: customerio.ID, Value: id},
		Attributes: []customerio.Attribute{{Name: "plan", Value: customerio.AppendString(nil, plan)}},
	}}
}

// order asks for an event of a person.
func order(id, of string) customerio.Ask {
	return customerio.Ask{Mapping: orders, Row: []byte(id), Answer: customerio.In, EventKey: customerio.EventKey("orders", id), Operation: customerio.Operation{
		Kind: customerio.Event, Action: customerio.Track, Person: customerio.Identifier{Type: customerio.ID, Value: of}, Name: "Ordered",
		ID: customerio.EventULID("orders", id), Timestamp: time.Now().Unix(), Attributes: []customerio.Attribute{{Name: "order", Value: customerio.AppendString(nil, id)}},
	}}
}

// books are the sums over both mappings.
func (r *rig) books() (b state.Books) {
	r.t.Helper()
	st, err := r.store.Status()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range st.Mappings {
		if !m.Books.Balanced() {
			r.t.Fatalf("the books of %s do not balance: %+v", m.Name, m.Books)
		}
		b.Waiting += m.Books.Waiting
		b.Parked += m.Books.Parked
		b.Delivered += m.Books.Delivered
	}
	return b
}

// settled waits until nothing waits any more, and fails after so long.
func (r *rig) settled(within time.Duration) {
	r.t.Helper()
	deadline := time.Now().Add(within)
	for r.books().Waiting > 0 {
		if time.Now().After(deadline) {
			r.t.Fatalf("not settled within %s: %+v, %+v", within, r.books(), r.sink.Status())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// parked are the reasons of what is parked, by thing.
func (r *rig) parked() map[string]string {
	r.t.Helper()
	asides, err := r.store.Asides("", false, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, a := range asides {
		reasons[a.Thing] = a.Reason
	}
	return reasons
}

// brokenOutbox cannot enter what was accepted.
type brokenOutbox struct {
	sink.Outbox
	err error
}

func (b brokenOutbox) Settle(context.Context, []state.Settled) error { return b.err }

// deafOutbox draws whatever there is, whether it fits or not.
type deafOutbox struct {
	sink.Outbox
	given *[]*state.Item // what was given back
}

func (o deafOutbox) Draw(workspace, room int, _ func(*customerio.Operation) bool) ([]*state.Item, time.Time, error) {
	return o.Outbox.Draw(workspace, room, func(*customerio.Operation) bool { return true })
}

func (o deafOutbox) Abandon(items []*state.Item) {
	*o.given = append(*o.given, items...)
	o.Outbox.Abandon(items)
}
