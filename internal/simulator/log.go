package simulator

import (
	"slices"
	"time"
)

// Request is one request in the log.
type Request struct {
	N         int64     `json:"n"` // order of arrival, from 1
	At        time.Time `json:"at"`
	Took      Duration  `json:"took"`
	Workspace string    `json:"workspace,omitempty"` // "" when unauthorised
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"` // 0 when the client got none
	Items     int       `json:"items"`
	Bytes     int       `json:"bytes"`
	Fault     string    `json:"fault,omitempty"`
}

// Log lists the requests answered so far, or the newest of them where
// Options.LogSize bounds it, in the order in which they were answered.
func (s *Simulator) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.all()
}

// Acceptance is one accepted operation.
type Acceptance struct {
	Seq     int64     `json:"seq"` // order of acceptance in its workspace, from 1
	At      time.Time `json:"at"`
	Request int64     `json:"request"` // Request.N
	Index   int       `json:"index"`   // place in its batch
	Action  string    `json:"action"`

	names []address
}

// Names are the people, objects and identifying values it is about, such as
// "id:42", "email:a@b.c", "token:…", "object:1/acme" or, for the membership of
// a segment, "membership:7 id:42".
func (a Acceptance) Names() []string {
	list := make([]string, len(a.names))
	for i, n := range a.names {
		list[i] = n.String()
	}
	return list
}

// Accepted lists the operations accepted in a workspace that are about any of
// the names, in order of acceptance; without names, all of them. Where
// Options.LogSize bounds the record, the oldest are gone.
func (s *Simulator) Accepted(workspace string, names ...string) []Acceptance {
	w := s.must(workspace)
	w.mu.Lock()
	list := w.acceptances.all()
	w.mu.Unlock()
	if len(names) == 0 {
		return list
	}
	return slices.DeleteFunc(list, func(a Acceptance) bool {
		return !slices.ContainsFunc(a.names, func(n address) bool { return slices.Contains(names, n.String()) })
	})
}

// Counters count what happened in one workspace.
type Counters struct {
	TrackRequests int64 `json:"track_requests"`
	AppRequests   int64 `json:"app_requests"`
	// OK, Partial (207), Limited (429), Refused (other 3xx and 4xx), Failed
	// (5xx) and Cut (no reply) are those requests by outcome.
	OK      int64 `json:"ok"`
	Partial int64 `json:"partial"`
	Limited int64 `json:"limited"`
	Refused int64 `json:"refused"`
	Failed  int64 `json:"failed"`
	Cut     int64 `json:"cut"`

	Items      int64 `json:"items"`      // operations that arrived
	Invalid    int64 `json:"invalid"`    // of them, refused as invalid
	Operations int64 `json:"operations"` // accepted
	Applied    int64 `json:"applied"`
	Pending    int64 `json:"pending"` // accepted, not applied
	Created    int64 `json:"created"` // people
	Deleted    int64 `json:"deleted"` // people, suppressed ones too

	// PeakTrackPerSecond and PeakAppPerSecond are the most requests that
	// arrived within any one second, refused ones too. Requests cut off by a
	// fault before the service saw them are not among them.
	PeakTrackPerSecond int `json:"peak_track_per_second"`
	PeakAppPerSecond   int `json:"peak_app_per_second"`
}

func (c *Counters) reply(api string, r Request) {
	if api == "track" {
		c.TrackRequests++
	} else {
		c.AppRequests++
	}
	c.Items += int64(r.Items)
	switch {
	case r.Status == 0:
		c.Cut++
	case r.Status == 200:
		c.OK++
	case r.Status == 207:
		c.Partial++
	case r.Status == 429:
		c.Limited++
	case r.Status >= 500:
		c.Failed++
	default:
		c.Refused++
	}
}
