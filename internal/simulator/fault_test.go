package simulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaults meets every fault through both doors.
func TestFaults(t *testing.T) {
	const ok = "200 {}"
	for _, c := range []struct {
		fault   Fault
		want    string // "status body", or "error"
		applied bool
	}{
		{Fault{Kind: "status", Status: 429}, `429 {"errors":[{"field":"","message":"Too Many Requests","reason":"fault"}]}`, false},
		{Fault{Kind: "status", Status: 429, RetryAfter: 3}, `429 3 {"errors":[{"field":"","message":"Too Many Requests","reason":"fault"}]}`, false},
		{Fault{Kind: "status", Status: 401}, `401 `, false},
		{Fault{Kind: "status", Status: 524}, `524 {"errors":[{"field":"","message":"","reason":"fault"}]}`, false},
		{Fault{Kind: "status", Status: 502, Applied: true}, `502 {"errors":[{"field":"","message":"Bad Gateway","reason":"fault"}]}`, true},
		{Fault{Kind: "unreachable"}, "error", false},
		{Fault{Kind: "reset_before"}, "error", false},
		{Fault{Kind: "reset_after"}, "error", true},
		{Fault{Kind: "truncate"}, "error", true},
		{Fault{Kind: "slow", Delay: Duration(time.Millisecond)}, ok, true},
		{Fault{Kind: "slow_before", Delay: Duration(time.Millisecond)}, ok, true},
		{Fault{Kind: "html"}, "200 <!doctype html><title>Sign in</title><p>Please sign in to the network.", false},
		{Fault{Kind: "redirect", Location: "https://elsewhere/"}, "307 https://elsewhere/ ", false},
		{Fault{Kind: "redirect", Status: 301, Location: "/"}, "301 / ", false},
		{Fault{Kind: "empty_207"}, "207 ", true},
		{Fault{Kind: "bad_index_207"}, `207 {"errors":[{"batch_index":1,"reason":"invalid","field":"attributes","message":"index past the batch"}]}`, true},
		{Fault{Kind: "no_index_207"}, `207 {"errors":[{"reason":"invalid","field":"attributes","message":"no index"}]}`, true},
		{Fault{Kind: "double_index_207"}, `207 {"errors":[{"batch_index":0,"reason":"invalid","field":"attributes","message":"index told twice"},{"batch_index":0,"reason":"invalid","field":"attributes","message":"index told twice"}]}`, true},
		{Fault{Kind: "batch_400", Match: `"id":"1"`}, `400 {"errors":[{"field":"","message":"one item is invalid","reason":"invalid"}]}`, false},
		{Fault{Kind: "batch_400"}, ok, true},
		{Fault{Kind: "status", Status: 500, API: "app"}, ok, true},
		{Fault{Kind: "status", Status: 500, Path: "/v1/"}, ok, true},
		{Fault{Kind: "status", Status: 500, Match: "poison"}, ok, true},
		{Fault{Kind: "status", Status: 500, After: 1}, ok, true},
	} {
		for _, door := range []string{"memory", "listener"} {
			t.Run(c.fault.Kind+" "+door, func(t *testing.T) {
				cl := newClient(t)
				base := "https://track.customer.io"
				if door == "listener" {
					server := httptest.NewServer(cl)
					defer server.Close()
					cl.http.Transport = &http.Transport{DisableKeepAlives: true} // Go sends again on a kept connection
					base = server.URL
				}
				c.fault.Times = 1
				if err := cl.SetFaults(c.fault); err != nil {
					t.Fatal(err)
				}
				answer := func() string {
					r := cl.request("POST", "/api/v2/batch", `{"batch":[`+identifyItem(`{"id":"1"}`, `{}`, 0)+`]}`)
					r.URL.Host, r.Host = strings.TrimPrefix(strings.TrimPrefix(base, "https://"), "http://"), ""
					r.URL.Scheme, _, _ = strings.Cut(base, ":")
					response, err := cl.http.Do(r)
					if err != nil {
						return "error"
					}
					defer response.Body.Close()
					body, err := io.ReadAll(response.Body)
					if err != nil {
						return "error"
					}
					header := ""
					for _, key := range []string{"Retry-After", "Location"} {
						if v := response.Header.Get(key); v != "" {
							header += v + " "
						}
					}
					return text(response.StatusCode, header+strings.TrimSuffix(string(body), "\n"))
				}
				equal(t, "answer", answer(), c.want)
				equal(t, "applied", people(cl.State("")) == "id:1", c.applied)
				if c.fault.After == 0 {
					equal(t, "afterwards", answer(), ok)
				}
			})
		}
	}
}

func TestFaultErrorsAreThoseOfADialer(t *testing.T) {
	c := newClient(t)
	for kind, want := range map[string]error{"unreachable": syscall.ECONNREFUSED, "reset_after": syscall.ECONNRESET} {
		if err := c.SetFaults(Fault{Kind: kind}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.http.Do(c.request("POST", "/api/v2/batch", `{"batch":[]}`)); !errors.Is(err, want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	equal(t, "cut", c.State("").Counters.Cut, 2)
}

func TestSlowPastTheClientsTimeout(t *testing.T) {
	for kind, applied := range map[string]bool{"slow": true, "slow_before": false} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t)
			if err := c.SetFaults(Fault{Kind: kind, Delay: Duration(time.Minute)}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			start := time.Now()
			_, err := c.http.Do(c.request("POST", "/api/v2/entity", identifyItem(`{"id":"1"}`, `{}`, 0)).WithContext(ctx))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", kind, err)
			}
			equal(t, "gave up after", time.Since(start), 30*time.Second)
			if err := c.Settle(context.Background()); err != nil {
				t.Fatal(err)
			}
			equal(t, kind, people(c.State("")) == "id:1", applied)
			equal(t, "log", text(c.Log()[0].Status, c.Log()[0].Fault), "0 "+kind)
		})
	}
}

func TestOnePoisonedItem(t *testing.T) {
	c := newClient(t)
	if err := c.SetFaults(Fault{Kind: "batch_400"}); err != nil {
		t.Fatal(err)
	}
	good, bad := identifyItem(`{"id":"1"}`, `{}`, 0), identifyItem(`{"id":1}`, `{}`, 0)
	status, body := c.batch(good, bad)
	equal(t, "whole", text(status, strings.Contains(body, "batch_index"), people(c.State(""))), "400 false ")
	status, _ = c.batch(good)
	equal(t, "half", text(status, people(c.State(""))), "200 id:1")
}

func TestFaultsAreSeeded(t *testing.T) {
	run := func(seed uint64) (pattern string) {
		c := newClientOf(t, Options{Seed: seed})
		if err := c.SetFaults(Fault{Kind: "status", Status: 500, Probability: 0.5, Times: 10}); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			status, _ := c.batch()
			pattern += map[int]string{200: ".", 500: "x"}[status]
		}
		equal(t, "fired", c.Faults()[0].Fired, 10)
		return pattern
	}
	equal(t, "again", run(1), run(1))
	if run(1) == run(2) {
		t.Error("two seeds, one pattern")
	}
}

func TestFaultsInOrder(t *testing.T) {
	c := newClient(t)
	if err := c.SetFaults(Fault{Kind: "status", Status: 503, Times: 2}, Fault{Kind: "status", Status: 500, Times: 1}); err != nil {
		t.Fatal(err)
	}
	var got []int
	for range 4 {
		status, _ := c.batch()
		got = append(got, status)
	}
	equal(t, "statuses", text(got), "[503 503 500 200]")
	equal(t, "failed", c.State("").Counters.Failed, 3)
	for _, bad := range []Fault{{}, {Kind: "status"}, {Kind: "redirect", Status: 200}, {Kind: "html", API: "x"}, {Kind: "html", Workspace: "x"}, {Kind: "html", Probability: 2}} {
		if c.SetFaults(bad) == nil {
			t.Errorf("accepted: %+v", bad)
		}
	}
	equal(t, "in force", len(c.Faults()), 2)
}
