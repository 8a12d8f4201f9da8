package sink

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPaceFitsAnyWindow: no second, wherever it is placed, holds more requests
// than configured; and of those that a backlog could use few are lost.
func TestPaceFitsAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.OneOf(rapid.IntRange(1, 200), rapid.SampledFrom([]int{50, 60, 66, 67, 100, 1000})).Draw(t, "requests per second")
		p := newPace(float64(limit), 0)
		now := time.Unix(1_800_000_000, 0)
		var at []time.Time
		busy := time.Duration(0)
		for len(at) < 4*limit {
			if rapid.IntRange(0, 20).Draw(t, "idle") == 0 {
				now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			}
			for range max(1, limit/2) {
				d := p.wait(now)
				now, busy = now.Add(d), busy+d
				if p.wait(now) > 0 {
					t.Fatal("waiting was not enough")
				}
				p.took(now, 1)
				at = append(at, now)
			}
		}
		for i := range at {
			n := 0
			for j := i; j < len(at) && at[j].Sub(at[i]) < time.Second; j++ {
				n++
			}
			if n > limit {
				t.Fatalf("%d requests within a second, %d are allowed", n, limit)
			}
		}
		if used := float64(len(at)) / (busy.Seconds() * float64(limit)); used < 0.98 {
			t.Fatalf("%.3f of what is allowed was used", used)
		}
	})
}

// TestPaceSlowsDownAndRecovers: by half for each second that has failures, in
// small steps back, never below the floor or above what is configured.
func TestPaceSlowsDownAndRecovers(t *testing.T) {
	p := newPace(100, 0)
	now := time.Unix(1_800_000_000, 0)
	for range 30 { // what was in flight together fails together
		p.failed(now, now.Add(-time.Second), 0)
		now = now.Add(10 * time.Millisecond)
	}
	if p.current != 50 || p.fails != 1 || p.wait(now) > firstRetry {
		t.Errorf("30 failures at once: %.1f requests a second, %d failures, silent for %s", p.current, p.fails, p.wait(now))
	}
	for range 20 {
		now = now.Add(time.Second)
		p.failed(now, now, 0)
	}
	if p.current != floor {
		t.Errorf("after 20 seconds of failures: %.1f requests a second", p.current)
	}
	seconds := 0
	for p.current < p.limit {
		now = now.Add(100 * time.Millisecond)
		before := p.current
		p.succeeded(now)
		if p.current-before > p.limit*recovery+1e-9 {
			t.Fatalf("a step of %.1f", p.current-before)
		}
		if seconds++; seconds > 300 {
			t.Fatalf("still %.1f requests a second after 30 s", p.current)
		}
	}
	if p.current != p.limit || math.Abs(float64(p.requests.Limit())-100*shortOf*part) > 1e-9 {
		t.Errorf("recovered to %.1f, the bucket to %.1f", p.current, p.requests.Limit())
	}
	// A rate below the floor stays what it is.
	slow := newPace(0.1, 0)
	slow.failed(now, now, 0)
	if slow.current != 0.1 {
		t.Errorf("0.1 a second became %.2f", slow.current)
	}
}

func TestPaceObeysRetryAfter(t *testing.T) {
	p := newPace(100, 1000)
	now := time.Unix(1_800_000_000, 0)
	p.failed(now, now.Add(-time.Second), 0)
	p.failed(now, now.Add(-time.Second), 20*time.Second) // of what was in flight together, too
	p.failed(now, now, 0)                                // another one that asks for nothing shortens nothing
	if d := p.wait(now); d < 20*time.Second || d > 21*time.Second {
		t.Errorf("silent for %s, 20 s were asked for", d)
	}
	now = now.Add(time.Minute)
	if d := p.wait(now); d != 0 {
		t.Errorf("silent for %s more", d)
	}
}

func TestJitterIsFullAndBounded(t *testing.T) {
	for fails, most := range map[int]time.Duration{0: firstRetry, 1: firstRetry, 2: time.Second, 5: 8 * time.Second, 8: lastRetry, 1 << 40: lastRetry} {
		low, high := time.Duration(math.MaxInt64), time.Duration(0)
		for range 2000 {
			d := jitter(fails)
			low, high = min(low, d), max(high, d)
		}
		if low <= 0 || low > most/10 || high > most+1 || high < most*9/10 {
			t.Errorf("after %d failures between %s and %s, want between 0 and %s", fails, low, high, most)
		}
	}
}
