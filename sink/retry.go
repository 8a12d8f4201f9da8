package sink

import (
	"net/http"
	"slices"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// unit is a request's worth of operations, kept together until it is settled.
type unit struct {
	items  []*state.Item
	single bool // to /entity, so that the reply can mean nothing else
	sent   time.Time
	fails  int // in a row: lost replies, 5xx and what says nothing of the operations

	// A unit that fails while others succeed is suspected: what it fails of is
	// its own, so that it slows down nobody but itself.
	suspect   bool
	due       time.Time // of a suspect: not sent before
	since     time.Time // since when others have succeeded while it failed; zero: they have not
	good, bad int       // Sink.good and Sink.bad when it last failed
	stopped   bool      // it has been answered that nothing gets through
}

// retry takes the first unit that may be sent again now, if there is one.
func (s *Sink) retry(now time.Time) *unit {
	at := slices.IndexFunc(s.again, func(u *unit) bool { return s.blocked || !u.due.After(now) })
	if at < 0 {
		return nil
	}
	u := s.again[at]
	s.again = slices.Delete(s.again, at, at+1)
	s.retried++
	return u
}

// later keeps a unit to be sent again.
func (s *Sink) later(u *unit) {
	for _, it := range u.items {
		it.Rest(true)
	}
	s.again = append(s.again, u)
}

// idle is how long it takes until the outbox (next) or a suspect has something
// to send; 0: neither will.
func (s *Sink) idle(now, next time.Time) time.Duration {
	for _, u := range s.again {
		if next.IsZero() || u.due.Before(next) {
			next = u.due
		}
	}
	if next.IsZero() {
		return 0
	}
	return max(next.Sub(now), time.Millisecond)
}

// halve sends the two halves of a unit instead.
func (s *Sink) halve(u *unit) {
	half := len(u.items) / 2
	for _, items := range [][]*state.Item{u.items[:half], u.items[half:]} {
		s.later(&unit{items: items, single: len(items) == 1, suspect: u.suspect, good: s.good, bad: s.bad})
	}
}

// ownFault tells of a unit that is answered that nothing gets through, as others
// last were not, whether that is the unit's own: others have got through since
// it was last answered so. A firewall before Customer.io may dislike the text of
// one operation, and that is no reason to stop.
func (s *Sink) ownFault(u *unit) bool { return u.suspect || u.stopped && s.good > u.good }

func (s *Sink) stop(now time.Time, r result) {
	if !r.unit.suspect {
		s.bad++
	}
	r.unit.stopped = true
	r.unit.good, r.unit.bad = s.good, s.bad
	s.later(r.unit)
	s.pace.silent = now.Add(probeEvery)
	s.log.Error("workspace stopped", "error", r.reply.Reason, "again_in", probeEvery)
	s.setState("blocked", r.reply.Reason)
}

const (
	// failsToBisect is how often a request may fail, while others succeed,
	// before one of its operations is suspected.
	failsToBisect = 3
	// poisonAfter is how long a single operation may fail, while others succeed,
	// before it is parked.
	poisonAfter = 24 * time.Hour
)

// backoff sends a unit again later, or in halves when it alone fails.
func (s *Sink) backoff(now time.Time, r result) {
	u := r.unit
	if !slower(r.code) {
		s.suspect(now, u)
	}
	switch {
	case !u.suspect:
		s.pace.failed(now, u.sent, r.reply.After)
		s.log.Warn("request failed, it is sent again", "error", r.reply.Reason, "operations", len(u.items), "again_in", s.pace.silent.Sub(now).Round(time.Millisecond))
		s.setState("waiting", r.reply.Reason)
	case u.since.IsZero():
		u.due = now.Add(max(r.reply.After, jitter(u.fails))) // everything fails: nothing is learned
	case len(u.items) > 1:
		s.log.Warn("a request fails while others succeed, it is halved", "error", r.reply.Reason, "operations", len(u.items))
		s.halve(u)
		return
	case now.Sub(u.since) >= poisonAfter:
		s.log.Error("an operation has failed for 24 hours while others succeeded, it is parked", "error", r.reply.Reason, "mapping", u.items[0].Mapping)
		s.settled <- []state.Settled{{Item: u.items[0], Verdict: customerio.Verdict{Kind: customerio.Rejected,
			Reason: "Customer.io has failed on it for 24 hours: " + r.reply.Reason}}}
		return
	default:
		u.due = now.Add(max(r.reply.After, jitter(u.fails)))
		s.log.Warn("an operation fails while others succeed, it is sent again", "error", r.reply.Reason, "mapping", u.items[0].Mapping, "again_in", u.due.Sub(now).Round(time.Millisecond))
	}
	s.later(u)
}

// slower tells whether a status asks for patience, whatever was sent.
func slower(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return false
}

// suspect judges a unit that was answered 5xx, with what says nothing, or not at
// all, by what became of others since it last was.
func (s *Sink) suspect(now time.Time, u *unit) {
	if !u.suspect {
		s.bad++
	}
	if u.fails++; u.fails > 1 || u.suspect {
		switch {
		case s.good > u.good:
			if u.since.IsZero() {
				u.since = now
			}
		case s.bad > u.bad+1, u.suspect && s.bad > u.bad:
			u.since = time.Time{} // others have failed too, and none has succeeded
		}
		u.suspect = u.suspect || u.fails >= failsToBisect && !u.since.IsZero()
	}
	u.good, u.bad = s.good, s.bad
}
