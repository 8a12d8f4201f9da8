package state_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/state"
)

// post sends without settling.
func (h *house) post(items []*state.Item) {
	var p customerio.Packer
	n := 0
	for _, it := range items {
		if it.Refuse == "" {
			h.sent = append(h.sent, string(it.Operation.AppendJSON(nil)))
			p.Add(&it.Operation)
			n++
		}
	}
	if n == 0 {
		return
	}
	req, _ := http.NewRequestWithContext(h.t.Context(), http.MethodPost, "http://track/api/v2/batch", bytes.NewReader(p.Body()))
	ws := simulator.DefaultWorkspace()
	req.SetBasicAuth(ws.SiteID, ws.TrackKey)
	res, err := h.sim.Transport().RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
}

func (h *house) rawDraw(room int) ([]*state.Item, time.Time) {
	var p customerio.Packer
	items, next, err := h.store.Draw(0, room, p.Add)
	if err != nil {
		h.t.Fatal(err)
	}
	return items, next
}

// unrest delivers with random trouble; quiet: none.
func (h *house) unrest(r *rand.Rand, rounds int, log func(string, ...any)) {
	for range rounds {
		h.sweep()
		if r.IntN(8) == 0 && h.rows != nil {
			h.reread()
		}
		if r.IntN(6) == 0 {
			log("retry")
			if _, err := h.store.Retry(h.t.Context(), "", nil); err != nil {
				h.t.Fatal(err)
			}
			h.balanced()
		}
		items, next := h.rawDraw(1 + r.IntN(4))
		if len(items) == 0 {
			if !next.IsZero() && r.IntN(2) == 0 {
				time.Sleep(max(time.Until(next), time.Millisecond))
			}
			continue
		}
		switch k := r.IntN(12); {
		case k == 0:
			log("crash after sending %d", len(items))
			h.post(items)
			h.open()
			continue
		case k == 1:
			log("crash before sending")
			h.open()
			continue
		case k == 2:
			h.store.Abandon(items)
			continue
		}
		var settled []state.Settled
		for _, it := range items {
			v := customerio.Verdict{Kind: customerio.Accepted}
			switch {
			case it.Refuse != "":
				v = customerio.Verdict{Kind: customerio.Rejected, Reason: it.Refuse}
			case r.IntN(5) == 0:
				v = customerio.Verdict{Kind: customerio.Rejected, Reason: "no"}
			}
			log("%s %v %s", it.Operation.AppendJSON(nil), v.Kind, v.Reason)
			if v.Kind == customerio.Accepted {
				h.post([]*state.Item{it})
			}
			settled = append(settled, state.Settled{Item: it, Verdict: v})
		}
		h.settle(settled...)
	}
}

// quiet delivers without trouble.
func (h *house) quiet() {
	for range 5000 {
		h.sweep()
		items, next := h.rawDraw(1000)
		switch {
		case len(items) > 0:
			var settled []state.Settled
			for _, it := range items {
				v := customerio.Verdict{Kind: customerio.Accepted}
				if it.Refuse != "" {
					v = customerio.Verdict{Kind: customerio.Rejected, Reason: it.Refuse}
				}
				settled = append(settled, state.Settled{Item: it, Verdict: v})
			}
			h.post(items)
			h.settle(settled...)
		case !next.IsZero():
			time.Sleep(max(time.Until(next), time.Millisecond))
		case h.rows != nil && h.reread():
		default:
			if err := h.sim.Settle(h.t.Context()); err != nil {
				h.t.Fatal(err)
			}
			return
		}
	}
	h.t.Fatal("it never ends")
}

func TestTroubledScripts(t *testing.T) { troubled(t) }

// TestTroubledScriptsWithoutMemory: nearly all that waits is forgotten, and found
// again.
func TestTroubledScriptsWithoutMemory(t *testing.T) {
	state.KeepWaiting(t, 2, 1)
	troubled(t)
}

func troubled(t *testing.T) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawScript(rt)
		seed := rapid.Uint64().Draw(rt, "seed")
		problem := ""
		synctest.Test(t, func(t *testing.T) {
			rep := &reporter{TB: t}
			var lines []string
			defer func() {
				if p := recover(); p != nil {
					if _, ok := p.(failed); !ok {
						panic(p)
					}
					problem = rep.problem + "\n" + strings.Join(lines, "\n")
				}
			}()
			log := func(f string, a ...any) { lines = append(lines, fmt.Sprintf(f, a...)) }
			r := rand.New(rand.NewPCG(seed, 1))
			h := newHouse(rep)
			at := 0
			h.rows = func(mapping int, row []byte) *customerio.Ask {
				if ask, ok := s.steps[at].rows[fmt.Sprint(mapping, " ", string(row))]; ok {
					return &ask
				}
				return nil
			}
			var gathered []customerio.Ask
			for i, c := range s.steps {
				at = i
				if c.ask.Mapping != orders { // an event may make a person nobody knows of
					gathered = append(gathered, c.ask)
				}
				log("%s %d", c.text, s.cuts[i])
				if s.cuts[i] != together {
					h.part(gathered, s.cuts[i] == ends)
					gathered = nil
					h.unrest(r, r.IntN(6), log)
					if s.cuts[i] == ends && r.IntN(3) == 0 {
						var keys []string
						for k, a := range c.rows {
							if a.Mapping != orders {
								keys = append(keys, k)
							}
						}
						slices.Sort(keys)
						if len(keys) > 0 {
							a := c.rows[keys[r.IntN(len(keys))]]
							log("read %d %s", a.Mapping, a.Row)
							h.read(a)
						}
					}
				}
			}
			if len(s.steps) == 0 {
				return
			}
			log("quiet")
			h.quiet()
			for range 12 {
				n, err := h.store.Retry(h.t.Context(), "", nil)
				if err != nil {
					rep.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				h.quiet()
				if n == 0 {
					break
				}
			}
			st := h.status()
			if st.Workspaces[0].Entries != 0 {
				rep.Fatalf("entries %d", st.Workspaces[0].Entries)
			}
			if st.Workspaces[0].InFlight != 0 {
				rep.Fatalf("in flight %d", st.Workspaces[0].InFlight)
			}
			for m := range h.opts.Mappings {
				if b := h.books(m); b.Waiting > 0 || b.Parked > 0 {
					rep.Fatalf("%d still waiting or parked: %+v\n%+v", m, b, h.asides())
				}
			}
			for key, ask := range s.steps[len(s.steps)-1].rows {
				if ask.Mapping == orders {
					continue
				}
				who := ask.Operation.Person.String()
				if _, ok := h.sim.State("").Person(who); !ok {
					if ask.Mapping == people {
						rep.Fatalf("%s is not there", who)
					}
					continue
				}
				for _, a := range ask.Operation.Attributes {
					if string(a.Value) == "null" {
						continue
					}
					if a.Name == "email" {
						p, _ := h.sim.State("").Person(who)
						if !strings.EqualFold(fmt.Sprintf("%q", p.Email), string(a.Value)) {
							rep.Fatalf("%s: email is %s, the row says %s\nsent\n%s", key, p.Email, a.Value, strings.Join(h.sent, "\n"))
						}
						continue
					}
					if v := h.value(who, a.Name); v != string(a.Value) {
						rep.Fatalf("%s: %s is %s, the row says %s\nsent\n%s", key, a.Name, v, a.Value, strings.Join(h.sent, "\n"))
					}
				}
			}
		})
		if problem != "" {
			rt.Fatalf("%s", problem)
		}
	})
}
