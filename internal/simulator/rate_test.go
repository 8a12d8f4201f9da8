package simulator

import (
	"fmt"
	"testing"
	"time"
)

func TestTrackRateIsASlidingSecond(t *testing.T) {
	bubble(t, func(s *Settings) { s.TrackPerSecond = 3 }, func(t *testing.T, c *client) {
		send := func() (status int) {
			status, _ = c.batch(identifyItem(`{"id":"1"}`, `{}`, 0))
			return status
		}
		var got []int
		got = append(got, send(), send())
		time.Sleep(600 * time.Millisecond)
		got = append(got, send(), send()) // the fourth within a second
		time.Sleep(399 * time.Millisecond)
		got = append(got, send())
		time.Sleep(time.Millisecond) // a second after the first two
		got = append(got, send(), send(), send())
		equal(t, "statuses", fmt.Sprint(got), "[200 200 200 429 429 200 200 429]")
		s := c.State("")
		equal(t, "limited", s.Counters.Limited, 3)
		equal(t, "applied", s.Counters.Applied, 5)
		equal(t, "peak", s.Counters.PeakTrackPerSecond, 6)
	})
}

func TestTrackRateRefusals(t *testing.T) {
	for _, c := range []struct {
		name       string
		set        func(*Settings)
		status     int
		retryAfter string
	}{
		{"429", func(*Settings) {}, 429, ""},
		{"429 with Retry-After", func(s *Settings) { s.TrackRetryAfter = 2 }, 429, "2"},
		{"drop", func(s *Settings) { s.TrackOver = "drop" }, 200, ""},
	} {
		bubble(t, func(s *Settings) { s.TrackPerSecond = 1; c.set(s) }, func(t *testing.T, cl *client) {
			cl.must(identifyItem(`{"id":"1"}`, `{"n":1}`, 0))
			response, err := cl.http.Do(cl.request("POST", "/api/v2/entity", identifyItem(`{"id":"1"}`, `{"n":2}`, 0)))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			equal(t, c.name, response.StatusCode, c.status)
			equal(t, c.name, response.Header.Get("Retry-After"), c.retryAfter)
			equal(t, c.name, cl.person("id:1").Value("n"), "1")
			equal(t, c.name, cl.State("").Drops[DropOverRate] == 1, c.status == 200)
		})
	}
}

func TestAppRateIsHard(t *testing.T) {
	bubble(t, func(*Settings) {}, func(t *testing.T, c *client) {
		for range 10 {
			status, _ := c.do("GET", "/v1/customers?email=a", "")
			equal(t, "status", status, 200)
		}
		response, err := c.http.Do(c.request("GET", "/v1/customers?email=a", ""))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		equal(t, "status", response.StatusCode, 429)
		equal(t, "Retry-After", response.Header.Get("Retry-After"), "1")
		time.Sleep(time.Second)
		status, _ := c.do("GET", "/v1/customers?email=a", "")
		equal(t, "status", status, 200)
		equal(t, "Track is another limit", c.State("").Counters.PeakTrackPerSecond, 0)
	})
}
