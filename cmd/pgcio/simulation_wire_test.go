package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/pgcio/pgcio/internal/simulator"
)

// wire is the network: it carries requests as long as the process lives,
// watches what they say, and refuses some operations on Customer.io's behalf.
type wire struct {
	s    *schedule
	next http.RoundTripper

	mu     sync.Mutex // guards below
	rng    *rand.Rand
	part   float64
	sent   map[int][]sentItem // by the length of the body, which tells requests apart
	flying map[string]int     // names of identifies in flight
}

// sentItem is an operation as it went over the wire.
type sentItem struct {
	Type, Action  string
	Identifiers   map[string]string
	ID            string
	Timestamp     int64
	Attributes    map[string]json.RawMessage
	Device        struct{ Token string }
	Relationships []struct {
		Identifiers map[string]string
	} `json:"cio_relationships"`
}

func newWire(s *schedule) *wire {
	return &wire{s: s, next: s.sim.Transport(), rng: rand.New(rand.NewPCG(s.seed, 4)), part: -1, sent: map[int][]sentItem{}, flying: map[string]int{}}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.part = 0
}

// to is the wire as one workspace's sink has it.
func (w *wire) to(workspace string) http.RoundTripper { return port{w, workspace} }

type port struct {
	*wire
	workspace string
}

// RoundTrip carries a request.
func (p port) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.s.dead.Load() {
		return nil, errKilled
	}
	var (
		res     *http.Response
		err     error
		refused = -1
	)
	if r.Body != nil {
		body, rerr := io.ReadAll(r.Body)
		if rerr != nil {
			return nil, rerr
		}
		p.s.logf("to %s: %s", p.workspace, body)
		items := p.read(body)
		p.notHalfStored(body)
		done := p.inFlight(items)
		defer done()
		if refused = p.refuse(items); refused >= 0 {
			p.s.logf("to %s: without %d", p.workspace, refused)
			body, items = takeOut(body, items, refused)
		}
		r = r.Clone(r.Context())
		body = p.keep(body, items)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	res, err = p.next.RoundTrip(r)
	if err == nil && refused >= 0 {
		if err = partly(res, refused); err != nil {
			res = nil
		}
	}
	if err != nil {
		p.s.logf("from %s: %v", p.workspace, err)
	} else {
		p.s.logf("from %s: %s", p.workspace, res.Status)
	}
	if p.s.dead.Load() {
		return nil, errKilled
	}
	return res, err
}

// read parses a body: a batch, or one operation.
func (p port) read(body []byte) []sentItem {
	var request struct {
		Batch []sentItem
		sentItem
	}
	if err := json.Unmarshal(body, &request); err != nil {
		p.s.t.Errorf("a body is no JSON: %v: %.200s", err, body)
	}
	if request.Action != "" {
		return []sentItem{request.sentItem}
	}
	return request.Batch
}

var markPattern = regexp.MustCompile(`@(\d+)"`)

// notHalfStored checks that every value sent comes from a transaction that is
// wholly stored (law 7).
func (p port) notHalfStored(body []byte) {
	stored, _ := p.s.store.Stored()
	for _, m := range markPattern.FindAllSubmatch(body, -1) {
		xid, _ := strconv.ParseUint(string(m[1]), 10, 64)
		if end := p.s.world.endOf(xid); end > stored {
			p.s.t.Errorf("transaction %d ends at %s and %s is stored, but a value of it was sent: %s", xid, end, stored, body)
			return
		}
	}
}

// names are what an identify is addressed by and the address it writes; of
// another operation, the thing it is about.
func (i *sentItem) names() []string {
	var names []string
	switch {
	case i.Type == "object":
		return []string{"object:" + i.Identifiers["object_id"]}
	case i.Action == "add_device":
		return []string{"device:" + i.Device.Token}
	case i.Action == "add_relationships":
		return []string{"seat:" + i.Identifiers["id"] + " " + i.Relationships[0].Identifiers["object_id"]}
	}
	for kind, v := range i.Identifiers {
		names = append(names, kind+":"+v)
	}
	if email := i.text("email"); email != "" && !slices.Contains(names, "email:"+email) {
		names = append(names, "email:"+email)
	}
	return names
}

// text is an attribute that is a text; "" when it is not there.
func (i *sentItem) text(name string) (s string) {
	_ = json.Unmarshal(i.Attributes[name], &s) // null and numbers are no text
	return s
}

// inFlight checks that no two identifies of one person, or that write one
// address, are on their way together, and no two of one device, object or
// relationship (law 5).
func (p port) inFlight(items []sentItem) (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for i := range items {
		if items[i].Action == "event" {
			continue
		}
		for _, n := range items[i].names() {
			names = append(names, p.workspace+" "+n)
		}
	}
	for _, n := range names {
		if p.flying[n]++; p.flying[n] > 1 {
			p.s.t.Errorf("two operations on %s are on their way together", n)
		}
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, n := range names {
			p.flying[n]--
		}
	}
}

// refuse chooses an operation that Customer.io will not take; -1: none.
func (p port) refuse(items []sentItem) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.part < 0 {
		p.part = p.s.parting
	}
	if len(items) < 2 || p.rng.Float64() >= p.part {
		return -1
	}
	return p.rng.IntN(len(items))
}

// takeOut makes of a batch one without one of its operations.
func takeOut(body []byte, items []sentItem, at int) ([]byte, []sentItem) {
	var request struct {
		Batch []json.RawMessage `json:"batch"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		panic(err) // it has been read before
	}
	request.Batch = slices.Delete(request.Batch, at, at+1)
	body, err := json.Marshal(request)
	if err != nil {
		panic(err)
	}
	return body, slices.Delete(items, at, at+1)
}

// partly makes of a reply that accepts a request one that refuses one of its
// operations.
func partly(res *http.Response, refused int) error {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	switch {
	case res.StatusCode == http.StatusMultiStatus:
		return errors.New("its places are those of a shorter batch: cut off")
	case res.StatusCode == http.StatusOK && string(bytes.TrimSpace(body)) == "{}":
		res.StatusCode, res.Status = http.StatusMultiStatus, "207 Multi-Status"
		body = fmt.Appendf(nil, `{"errors":[{"batch_index":%d,"reason":"invalid","field":"attributes","message":"not today"}]}`, refused)
	}
	res.Header.Del("Content-Length")
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// keep remembers what a request said, and gives its body a length that no
// other has: by that the simulator's log tells which it was.
func (p port) keep(body []byte, items []sentItem) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.sent[len(body)] != nil {
		body = append(body, ' ')
	}
	p.sent[len(body)] = items
	return body
}

// acceptance is an operation that Customer.io has accepted, and what it said.
type acceptance struct {
	simulator.Acceptance
	*sentItem
}

// accepted lists what a workspace has accepted, in order of acceptance.
func (w *wire) accepted(workspace string) []acceptance {
	w.mu.Lock()
	defer w.mu.Unlock()
	requests := map[int64][]sentItem{}
	for _, r := range w.s.sim.Log() {
		requests[r.N] = w.sent[r.Bytes]
	}
	var list []acceptance
	for _, a := range w.s.sim.Accepted(workspace) {
		list = append(list, acceptance{a, &requests[a.Request][a.Index]})
	}
	return list
}
