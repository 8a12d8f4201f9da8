package sink

import (
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// pace is how fast a workspace may be spoken to: a bucket of requests, one of
// operations, and how long to stay silent after a failure.
type pace struct {
	limit    float64 // requests a second, as configured
	current  float64
	requests *rate.Limiter
	items    *rate.Limiter // nil: no limit of its own
	slowed   time.Time     // when the rate was last halved
	raised   time.Time
	fails    int       // failures in a row, those of one moment counted once
	failedAt time.Time // when the last of them was counted
	silent   time.Time // nothing is sent before
}

const (
	// shortOf keeps a burst and the jitter of the network inside a window of one
	// second that Customer.io may place anywhere.
	shortOf = 0.99
	// floor is the slowest that failures make a workspace, in requests a second.
	floor = 0.5
	// recovery is the part of the configured rate that each second without a
	// failure gives back.
	recovery = 0.05

	firstRetry = 500 * time.Millisecond
	lastRetry  = 60 * time.Second
)

// part is how many parts of a request the bucket counts in: whole ones are too
// coarse to say how much may be saved up.
const part = 10

// saved is the most that a bucket saves up, in parts of a request. A timer that
// fires some milliseconds late must not lose its token; but what has been saved
// goes out as a burst, which must find room in any window of one second, and the
// less it is, the more room the jitter of the network finds there.
func saved(requests float64) int {
	room := math.Floor(requests) + 1 - requests*shortOf
	return min(max(int(room*part)-1, part), 16)
}

func newPace(requests, items float64) *pace {
	p := &pace{limit: requests, current: requests, requests: rate.NewLimiter(rate.Limit(requests*shortOf*part), saved(requests))}
	if items > 0 {
		p.items = rate.NewLimiter(rate.Limit(items), int(math.Ceil(items)))
	}
	return p
}

// wait is how long until a request may leave; 0: now.
func (p *pace) wait(now time.Time) time.Duration {
	if d := p.silent.Sub(now); d > 0 {
		return d
	}
	d := lacking(p.requests, now, part)
	if p.items != nil {
		d = max(d, lacking(p.items, now, 1))
	}
	return d
}

// lacking is how long the bucket takes to hold so many tokens.
func lacking(l *rate.Limiter, now time.Time, tokens float64) time.Duration {
	lack := tokens - l.TokensAt(now)
	if lack <= 0 {
		return 0
	}
	return time.Duration(lack/float64(l.Limit())*float64(time.Second)) + time.Microsecond
}

// room is how many operations the next request may hold, of at most most.
func (p *pace) room(now time.Time, most int) int {
	if p.items == nil {
		return most
	}
	return min(most, int(p.items.TokensAt(now)))
}

// took accounts for a request of n operations that leaves now.
func (p *pace) took(now time.Time, n int) {
	p.requests.AllowN(now, part)
	if p.items != nil {
		p.items.ReserveN(now, min(n, p.items.Burst()))
	}
}

// failed slows down after the failure of a request that left at sent. What was
// in flight together fails together, and that is one failure: each of them
// counted, a short outage would be answered with the longest pause there is.
func (p *pace) failed(now, sent time.Time, after time.Duration) {
	if !sent.Before(p.failedAt) {
		p.fails++
		p.failedAt = now
		if now.Sub(p.slowed) >= time.Second {
			p.set(now, p.current/2)
			p.slowed = now
		}
		after = max(after, jitter(p.fails))
	}
	if silent := now.Add(after); silent.After(p.silent) {
		p.silent = silent
	}
}

// jitter is how long to wait after so many failures: at random out of the
// whole of an exponential bound, so that the retries of many senders spread out.
func jitter(fails int) time.Duration {
	bound := lastRetry
	if fails < 8 {
		bound = min(lastRetry, firstRetry<<max(fails-1, 0))
	}
	return time.Duration(rand.Int64N(int64(bound))) + 1
}

func (p *pace) succeeded(now time.Time) {
	p.fails = 0
	if p.current < p.limit && now.Sub(p.slowed) >= time.Second && now.Sub(p.raised) >= time.Second {
		p.set(now, p.current+p.limit*recovery)
		p.raised = now
	}
}

func (p *pace) set(now time.Time, to float64) {
	p.current = min(max(to, min(floor, p.limit)), p.limit)
	p.requests.SetLimitAt(now, rate.Limit(p.current*shortOf*part))
}
