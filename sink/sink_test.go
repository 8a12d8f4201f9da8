package sink_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

func TestDelivers(t *testing.T) {
	inBubble(t, func(r *rig) {
		accepted := 0
		r.cfg.Accepted = func(mapping string, action customerio.Action, committed time.Time) { accepted++ }
		r.commit(person("1", "pro"), order("900", "1"))
		r.start()
		r.settled(time.Second)
		p, ok := r.sim.State("").Person("id:1")
		if !ok || p.Value("plan") != `"pro"` {
			t.Errorf("person 1 is %+v", p)
		}
		events := r.sim.State("").EventsOf("id:1")
		if len(events) != 1 || events[0].ID != customerio.EventULID("orders", "900") {
			t.Errorf("the events are %+v", events)
		}
		// The event waits for its person, so that they never share a batch.
		if n := len(r.writes()); n != 2 {
			t.Errorf("%d requests, want the identify and then the event", n)
		}
		if st := r.sink.Status(); st.State != "sending" || st.LastError != "" || !st.Verified {
			t.Errorf("the status is %+v", st)
		}
		if accepted != 2 {
			t.Errorf("told of %d accepted operations", accepted)
		}
		// What comes while the workspace is idle leaves at once.
		time.Sleep(time.Minute)
		r.commit(order("901", "1"))
		r.settled(100 * time.Millisecond)
	})
}

// TestLargeBacklogMeansLargeBatches: a free token takes everything.
func TestLargeBacklogMeansLargeBatches(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.cfg.ItemsPerSecond = 0
		var asks []customerio.Ask
		for i := range 2500 {
			asks = append(asks, order(strconv.Itoa(i), "1"))
		}
		r.commit(asks...)
		r.start()
		r.settled(time.Second)
		if n := len(r.writes()); n != 3 {
			t.Errorf("%d requests for 2,500 operations, want 3", n)
		}
	})
}

// TestLostRepliesSendTheSameAgain: byte for byte, so that timestamps and ids
// make the second harmless.
func TestLostRepliesSendTheSameAgain(t *testing.T) {
	for _, kind := range []string{"reset_after", "truncate", "reset_before", "slow", "html", "unreachable"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.commit(person("1", "pro"), order("1", "2"))
				r.faults(simulator.Fault{Kind: kind, Path: "/api/v2/", Times: 2, Delay: simulator.Duration(40 * time.Second)})
				r.start()
				r.settled(5 * time.Minute)
				sent := r.writes()
				if len(sent) != 3 {
					t.Fatalf("%d requests, want 3", len(sent))
				}
				for _, s := range sent[1:] {
					if s.body != sent[0].body {
						t.Errorf("sent %s, and then %s", sent[0].body, s.body)
					}
				}
				st := r.sim.State("")
				if len(st.Events) != 1 || st.Notices[simulator.NoticeEventIDReused] != 0 {
					t.Errorf("events %+v, notices %v", st.Events, st.Notices)
				}
			})
		})
	}
}

// TestServerErrorsAreRetriedForEver: through a day of 5xx, with more and more
// patience, never at even intervals, and with no more in hand than it takes.
func TestServerErrorsAreRetriedForEver(t *testing.T) {
	inBubble(t, func(r *rig) {
		var asks []customerio.Ask
		for i := range 500 {
			asks = append(asks, order(strconv.Itoa(i), "1"))
		}
		r.commit(asks...)
		r.cfg.ItemsPerSecond = 20
		r.faults(simulator.Fault{Kind: "status", Status: 503, Path: "/api/v2/"})
		r.start()
		time.Sleep(30 * time.Hour)
		sent := r.writes()
		gaps := map[time.Duration]bool{}
		var longest time.Duration
		for i := 1; i < len(sent); i++ {
			gap := sent[i].at.Sub(sent[i-1].at)
			gaps[gap], longest = true, max(longest, gap)
		}
		if len(sent) < 1000 || longest > time.Minute+2*time.Second || longest < 50*time.Second {
			t.Errorf("%d requests in 30 hours, the longest pause %s", len(sent), longest)
		}
		if len(gaps) < len(sent)/2 {
			t.Errorf("%d different pauses between %d requests: there is no jitter", len(gaps), len(sent))
		}
		if st := r.sink.Status(); st.State != "waiting" || !strings.Contains(st.LastError, "503") {
			t.Errorf("the status is %+v", st)
		}
		r.faults()
		r.settled(2 * time.Minute)
		if b := r.books(); b.Parked != 0 {
			t.Errorf("an outage parked %d", b.Parked)
		}
		if n := len(r.sim.State("").Events); n != 500 {
			t.Errorf("%d events", n)
		}
	})
}

// TestOutageKeepsWhatCanMerge: what comes in while requests fail stays in the
// outbox, where newer changes join it.
func TestOutageKeepsWhatCanMerge(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.faults(simulator.Fault{Kind: "unreachable", Path: "/api/v2/"})
		r.start()
		for i := range 40 {
			for p := range 5 {
				r.commit(person(strconv.Itoa(p), "plan "+strconv.Itoa(i)))
			}
			time.Sleep(15 * time.Second)
		}
		r.faults()
		from := r.sim.State("").Counters.Operations
		r.settled(10 * time.Minute)
		if n := r.sim.State("").Counters.Operations - from; n > 10 {
			t.Errorf("40 updates each of 5 people became %d operations", n)
		}
		for p := range 5 {
			if p, _ := r.sim.State("").Person("id:" + strconv.Itoa(p)); p.Value("plan") != `"plan 39"` {
				t.Errorf("%s has %s", p.Name(), p.Value("plan"))
			}
		}
	})
}

// TestStopsAndGoesOnByItself: wrong credentials, a wrong address and redirects
// are asked about once a minute, park nothing, and need nobody when mended.
func TestStopsAndGoesOnByItself(t *testing.T) {
	for _, fault := range []simulator.Fault{
		{Kind: "status", Status: 401}, {Kind: "status", Status: 403}, {Kind: "status", Status: 404}, {Kind: "redirect", Location: "https://track-eu.customer.io/api/v2/batch"},
		{Kind: "redirect", Status: 301, Location: "/elsewhere"},
	} {
		t.Run(fmt.Sprint(fault.Kind, fault.Status), func(t *testing.T) {
			for _, path := range []string{"", "/api/v2/"} { // from the start, and later
				inBubble(t, func(r *rig) {
					fault := fault
					fault.Path = path
					r.delay = 200 * time.Millisecond
					var asks []customerio.Ask
					for i := range 3000 {
						asks = append(asks, order(strconv.Itoa(i), "1"))
					}
					r.commit(asks...)
					r.start()
					r.faults(fault)
					time.Sleep(10*time.Minute + 30*time.Second)
					st := r.sink.Status()
					if st.State != "blocked" || st.LastError == "" {
						t.Errorf("the status is %+v", st)
					}
					r.mu.Lock()
					n := len(r.sent)
					r.mu.Unlock()
					// The region, what was on its way when the first answer came, and ten probes.
					if most := 1 + 22 + 10; n > most || n < 10 {
						t.Errorf("%d requests in ten minutes", n)
					}
					r.commit(order("meanwhile", "1"))
					r.faults()
					r.settled(62 * time.Second)
					if b := r.books(); b.Parked != 0 {
						t.Errorf("%d parked", b.Parked)
					}
					if st := r.sink.Status(); st.State != "sending" || st.LastError != "" {
						t.Errorf("the status is %+v", st)
					}
				})
			}
		})
	}
}

// TestBisectFindsTheBadItem, and nothing else, in few requests.
func TestBisectFindsTheBadItem(t *testing.T) {
	for _, fault := range []simulator.Fault{
		{Kind: "batch_400", Match: `"bad`}, {Kind: "status", Status: 400, Match: `"bad`}, {Kind: "status", Status: 413, Match: `"bad`}, {Kind: "status", Status: 422, Match: `"bad`},
	} {
		t.Run(fmt.Sprint(fault.Kind, fault.Status), func(t *testing.T) {
			for _, bad := range [][]int{{0}, {199}, {77}, {3, 4, 120}} {
				inBubble(t, func(r *rig) {
					var asks []customerio.Ask
					for i := range 200 {
						id := strconv.Itoa(i)
						if slices.Contains(bad, i) {
							id = "bad" + id
						}
						asks = append(asks, order(id, "1"))
					}
					r.commit(asks...)
					r.faults(fault)
					r.start()
					r.settled(time.Minute)
					if b := r.books(); b.Parked != uint64(len(bad)) || b.Delivered != uint64(200-len(bad)) {
						t.Errorf("%+v, want %d parked", b, len(bad))
					}
					if n, most := len(r.writes()), 1+2*8*len(bad); n > most {
						t.Errorf("%d requests, %d are enough", n, most)
					}
					for _, e := range r.sim.State("").Events {
						if strings.Contains(string(e.Data), "bad") {
							t.Errorf("%s was taken", e.Data)
						}
					}
					for thing, reason := range r.parked() {
						if !strings.Contains(reason, "Customer.io answered 4") {
							t.Errorf("%s is parked for %q", thing, reason)
						}
					}
				})
			}
		})
	}
}

// TestMultiStatusIsReadItemByItem: what is named is parked with its reason, the
// rest is done.
func TestMultiStatusIsReadItemByItem(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.commit(person("1", "pro"), person("2", strings.Repeat("x", 1001)), person("3", "free"))
		r.start()
		r.settled(time.Second)
		if n := len(r.writes()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		if parked := r.parked(); len(parked) != 1 || !strings.Contains(parked["id:2"], "1000 bytes") {
			t.Errorf("parked %v", parked)
		}
		if n := len(r.sim.State("").People); n != 2 {
			t.Errorf("%d people", n)
		}
	})
}

// TestUntrustworthyListIsCheckedSingly: a 207 that does not add up settles
// nothing; each operation is sent alone, where the answer can mean nothing else.
func TestUntrustworthyListIsCheckedSingly(t *testing.T) {
	for _, kind := range []string{"empty_207", "bad_index_207", "no_index_207", "double_index_207"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.commit(order("1", "1"), person("2", strings.Repeat("x", 1001)), order("3", "1"))
				r.faults(simulator.Fault{Kind: kind, Path: "batch", Times: 1})
				r.start()
				r.settled(time.Minute)
				paths := map[string]int{}
				for _, s := range r.writes() {
					paths[s.path]++
				}
				if paths["/api/v2/batch"] != 1 || paths["/api/v2/entity"] != 3 {
					t.Errorf("requests %v", paths)
				}
				if parked := r.parked(); len(parked) != 1 || parked["id:2"] == "" {
					t.Errorf("parked %v", parked)
				}
				if n := len(r.sim.State("").Events); n != 2 {
					t.Errorf("%d events", n)
				}
			})
		})
	}
}

// TestPoisonHoldsUpNobody: one operation that Customer.io answers 5xx, or with
// what says nothing, does not keep the others waiting, does not slow them down,
// and is parked after a day on which others succeeded.
func TestPoisonHoldsUpNobody(t *testing.T) {
	for _, fault := range []simulator.Fault{{Kind: "status", Status: 500, Match: "poison"}, {Kind: "reset_before", Match: "poison"}, {Kind: "html", Match: "poison"}} {
		t.Run(fault.Kind, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.faults(fault)
				asks := []customerio.Ask{order("poison", "1")}
				for i := range 300 {
					asks = append(asks, order(strconv.Itoa(i), "1"))
				}
				r.commit(asks...)
				r.start()
				began := time.Now()
				time.Sleep(10 * time.Second)
				r.commit(order("later", "2"))
				for r.books().Waiting > 1 {
					if time.Sleep(time.Second); time.Since(began) > 2*time.Minute {
						t.Fatalf("the others wait: %+v", r.books())
					}
				}
				t.Logf("301 others were delivered within %s, in %d requests", time.Since(began), len(r.writes()))
				for i := range 1439 {
					time.Sleep(time.Minute)
					id := "after " + strconv.Itoa(i)
					r.commit(order(id, "2"))
					if i == 1000 {
						time.Sleep(20 * time.Millisecond)
						if n := r.books().Waiting; n > 1 {
							t.Errorf("a new event waits behind the poison: %d wait", n)
						}
						if st := r.sink.Status(); st.State != "sending" || st.RequestsPerSecond != 100 {
							t.Errorf("the status is %+v", st)
						}
					}
					if b := r.books(); b.Parked > 0 && time.Since(began) < 24*time.Hour {
						t.Fatalf("parked after %s", time.Since(began))
					}
				}
				time.Sleep(2 * time.Minute)
				r.commit(order("last", "2"))
				r.settled(5 * time.Minute)
				parked := r.parked()
				if len(parked) != 1 || !strings.Contains(parked["Ordered of id:1"], "24 hours") {
					t.Errorf("parked %v", parked)
				}
			})
		})
	}
}

func TestWrongWorkspaceIsSentNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		wrong := errors.New("not the workspace that the state belongs to")
		var seen sink.Region
		r.cfg.Expected = func(_ context.Context, region sink.Region) error {
			seen = region
			return wrong
		}
		r.commit(person("1", "pro"))
		r.start()
		if err := <-r.ended; !errors.Is(err, wrong) {
			t.Errorf("Run ended with %v", err)
		}
		r.stop()
		r.stop = nil
		if n := len(r.writes()); n != 0 {
			t.Errorf("%d requests were sent", n)
		}
		if seen.Region != "us" || seen.Environment != simulator.DefaultWorkspace().EnvironmentID {
			t.Errorf("judged %+v", seen)
		}
		if r.books().Waiting != 1 {
			t.Errorf("the books are %+v", r.books())
		}
	})
}

// TestRegionObeysRetryAfter as everything else does.
func TestRegionObeysRetryAfter(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.faults(simulator.Fault{Kind: "status", Status: 429, RetryAfter: 90, Path: "/accounts/region", Times: 1})
		r.start()
		time.Sleep(2 * time.Minute)
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.sent) != 2 || r.sent[1].at.Sub(r.sent[0].at) < 90*time.Second {
			t.Errorf("asked at %v, 90 s were to lie between", r.sent)
		}
	})
}

// TestOneForbiddenOperationDoesNotStopTheOthers: where only what is in hand is
// answered 403, as by a firewall that dislikes its text, the others get their
// turn, whatever else shares its batch is found to be fine, and it is parked
// after a day.
func TestOneForbiddenOperationDoesNotStopTheOthers(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.faults(simulator.Fault{Kind: "status", Status: 403, Path: "/api/v2/", Match: "forbidden"})
		r.commit(order("forbidden", "1"), order("beside it", "1"), order("and", "1"))
		r.start()
		time.Sleep(time.Minute)
		began := time.Now()
		for i := range 100 {
			r.commit(order(strconv.Itoa(i), "2"))
		}
		for r.books().Waiting > 1 {
			if time.Sleep(time.Second); time.Since(began) > 5*time.Minute {
				t.Fatalf("the others wait: %+v", r.books())
			}
		}
		for i := range 26 * 60 {
			time.Sleep(time.Minute)
			r.commit(order("after "+strconv.Itoa(i), "2"))
			if i == 100 {
				time.Sleep(100 * time.Millisecond)
				if b, st := r.books(), r.sink.Status(); b.Waiting != 1 || st.State != "sending" {
					t.Errorf("%d wait, the status is %+v", b.Waiting, st)
				}
			}
		}
		if parked := r.parked(); len(parked) != 1 || !strings.Contains(parked["Ordered of id:1"], "403") {
			t.Errorf("parked %v", parked)
		}
	})
}

func TestRegionThatIsNotTheConfiguredOneBlocks(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.cfg.Region = "eu"
		r.commit(person("1", "pro"))
		r.start()
		time.Sleep(time.Hour)
		st := r.sink.Status()
		if st.State != "blocked" || !strings.Contains(st.LastError, `"us"`) || !strings.Contains(st.LastError, `"eu"`) || st.Verified {
			t.Errorf("the status is %+v", st)
		}
		if n := len(r.writes()); n != 0 {
			t.Errorf("%d requests were sent", n)
		}
		if err := r.finish(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
}

// TestShutdownFinishesTheRequestInHand and gives back what has not left.
func TestShutdownFinishesTheRequestInHand(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.configure(func(s *simulator.Settings) { s.ReplyDelay = simulator.Duration(2 * time.Second) })
		r.cfg.RequestsPerSecond, r.cfg.ItemsPerSecond = 1, 0
		var asks []customerio.Ask
		for i := range 1500 {
			asks = append(asks, order(strconv.Itoa(i), "1"))
		}
		r.commit(asks...)
		r.start()
		time.Sleep(2500 * time.Millisecond) // the region took two seconds
		began := time.Now()
		if err := r.finish(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if b := r.books(); b.Delivered != 1000 || b.Waiting != 500 {
			t.Errorf("after it stopped: %+v", b)
		}
		r.start()
		r.settled(time.Minute)
		for _, e := range r.sim.State("").Events {
			if e.Received != 1 {
				t.Errorf("%s was sent %d times", e.Data, e.Received)
			}
		}
	})
}

// TestShutdownWaitsNotForEver: a reply that does not come is given up, and what
// it was about is sent again by the next run.
func TestShutdownWaitsNotForEver(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.faults(simulator.Fault{Kind: "slow", Path: "/api/v2/", Delay: simulator.Duration(time.Minute), Times: 1})
		r.commit(person("1", "pro"))
		r.start()
		time.Sleep(time.Second)
		began := time.Now()
		_ = r.finish()
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if b := r.books(); b.Waiting != 1 {
			t.Errorf("after it stopped: %+v", b)
		}
		r.start()
		r.settled(time.Second)
	})
}

// TestStateThatCannotBeWrittenEndsTheRun: what was accepted is not forgotten
// silently.
func TestStateThatCannotBeWrittenEndsTheRun(t *testing.T) {
	inBubble(t, func(r *rig) {
		full := errors.New("disk full")
		r.cfg.Outbox = brokenOutbox{r.store, full}
		r.commit(person("1", "pro"))
		r.start()
		if err := <-r.ended; !errors.Is(err, full) {
			t.Errorf("Run ended with %v", err)
		}
		r.stop()
		r.stop = nil
	})
}

// TestFailingTogetherIsOneFailure: of a short outage that catches many requests
// on their way nothing is left soon after. Each of them counted would mean the
// longest pause there is.
func TestFailingTogetherIsOneFailure(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.delay = 300 * time.Millisecond
		r.start()
		for i := range 40 { // a request each
			time.Sleep(20 * time.Millisecond)
			r.commit(order(strconv.Itoa(i), strconv.Itoa(i)))
			if i == 20 {
				r.faults(simulator.Fault{Kind: "status", Status: 503, Path: "/api/v2/"})
			}
		}
		time.Sleep(200 * time.Millisecond)
		r.faults()
		r.settled(5 * time.Second)
	})
}

// TestWhatDoesNotFitIsNotSent: the sink fails, naming it, instead of settling it
// with a request that it was no part of.
func TestWhatDoesNotFitIsNotSent(t *testing.T) {
	inBubble(t, func(r *rig) {
		var asks []customerio.Ask
		for i := range 600 {
			ask := order(strconv.Itoa(i), "1")
			ask.Operation.Attributes[0].Value = customerio.AppendString(nil, strings.Repeat("x", 900))
			asks = append(asks, ask)
		}
		r.commit(asks...)
		var given []*state.Item
		r.cfg.Outbox = deafOutbox{r.store, &given}
		r.start()
		err := <-r.ended
		r.stop()
		r.stop = nil
		if err == nil || !strings.Contains(err.Error(), `the event of id:1 (mapping "orders", `) || !strings.Contains(err.Error(), "does not fit behind the 4") {
			t.Errorf("the sink ended with %v", err)
		}
		if b := r.books(); len(r.writes()) != 0 || b.Waiting != 600 || b.Delivered != 0 || len(given) != 600 {
			t.Errorf("%d requests, %d given back, the books are %+v", len(r.writes()), len(given), b)
		}
	})
}
