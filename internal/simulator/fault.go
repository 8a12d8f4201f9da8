package simulator

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Fault is something that goes wrong with requests. The first fault that
// matches a request and fires is the one it meets.
type Fault struct {
	// Kind is what goes wrong:
	//
	//	status           answers Status with an error body, nothing applied
	//	unreachable      refuses the connection (a listener resets it)
	//	reset_before     resets the connection, nothing applied
	//	reset_after      applies, then resets the connection
	//	slow             applies, then answers after Delay
	//	slow_before      waits Delay, then handles the request, if the client still waits
	//	truncate         applies, then breaks off inside the body
	//	html             answers 200 with a page of HTML, nothing applied
	//	redirect         answers Status (307 if 0) with Location
	//	empty_207        applies, then answers 207 without a body
	//	bad_index_207    applies, then answers 207 with a batch_index past the batch
	//	no_index_207     applies, then answers 207 with an error without batch_index
	//	double_index_207 applies, then answers 207 with one batch_index twice
	//	batch_400        answers 400 for a whole request if one item is invalid or holds Match
	Kind string `json:"kind"`

	// Workspace, API ("track" or "app"), Path (a part of it) and Match (a part
	// of the body) choose requests; what is empty chooses all.
	Workspace string `json:"workspace,omitempty"`
	API       string `json:"api,omitempty"`
	Path      string `json:"path,omitempty"`
	Match     string `json:"match,omitempty"`

	// After lets that many chosen requests pass first.
	After int `json:"after,omitempty"`
	// Times ends the fault after that many; 0 leaves it on.
	Times int `json:"times,omitempty"`
	// Probability fires it for that part of the chosen requests, seeded; 0 is
	// for all of them.
	Probability float64 `json:"probability,omitempty"`

	Status int `json:"status,omitempty"`
	// RetryAfter is sent with status faults, in seconds; 0 sends none.
	RetryAfter int `json:"retry_after,omitempty"`
	// Applied makes status and html faults happen after the request was
	// accepted, as when a proxy gives up on the service behind it.
	Applied  bool     `json:"applied,omitempty"`
	Delay    Duration `json:"delay,omitempty"`
	Location string   `json:"location,omitempty"`
}

var faultKinds = []string{
	"status", "unreachable", "reset_before", "reset_after", "slow", "slow_before", "truncate", "html",
	"redirect", "empty_207", "bad_index_207", "no_index_207", "double_index_207", "batch_400",
}

type activeFault struct {
	Fault
	chosen, fired int
}

// SetFaults replaces the faults in force; without any, nothing goes wrong.
func (s *Simulator) SetFaults(faults ...Fault) error {
	active := make([]*activeFault, len(faults))
	for i, f := range faults {
		switch {
		case !slices.Contains(faultKinds, f.Kind):
			return fmt.Errorf("fault %d: kind %q is none of %q", i, f.Kind, faultKinds)
		case f.Kind == "status" && (f.Status < 200 || f.Status > 599):
			return fmt.Errorf("fault %d: a status fault needs a status from 200 to 599", i)
		case f.Kind == "redirect" && f.Status == 0:
			f.Status = http.StatusTemporaryRedirect
		case f.Kind == "redirect" && (f.Status < 300 || f.Status > 399):
			return fmt.Errorf("fault %d: a redirect needs a status from 300 to 399", i)
		case f.API != "" && f.API != "track" && f.API != "app":
			return fmt.Errorf("fault %d: api %q is neither track nor app", i, f.API)
		case f.Workspace != "" && s.workspace(f.Workspace) == nil:
			return fmt.Errorf("fault %d: no workspace %q", i, f.Workspace)
		case f.Probability < 0 || f.Probability > 1:
			return fmt.Errorf("fault %d: a probability lies between 0 and 1", i)
		}
		active[i] = &activeFault{Fault: f}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = active
	return nil
}

// FaultStatus is a fault in force and how often it fired.
type FaultStatus struct {
	Fault
	Fired int `json:"fired"`
}

// Faults lists the faults in force.
func (s *Simulator) Faults() []FaultStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]FaultStatus, len(s.faults))
	for i, f := range s.faults {
		list[i] = FaultStatus{f.Fault, f.fired}
	}
	return list
}

// strike returns the fault that a request meets, or nil. s.mu is held.
func (s *Simulator) strike(c *call, workspace string) *Fault {
	for _, f := range s.faults {
		if f.Workspace != "" && f.Workspace != workspace || f.API != "" && f.API != c.api ||
			!strings.Contains(c.path, f.Path) || !bytes.Contains(c.body, []byte(f.Match)) {
			continue
		}
		f.chosen++
		if f.chosen <= f.After || f.Times > 0 && f.fired >= f.Times ||
			f.Probability > 0 && s.rng.Float64() >= f.Probability {
			continue
		}
		f.fired++
		return &f.Fault
	}
	return nil
}

// applies reports whether a request that meets the fault is handled.
func (f *Fault) applies() bool {
	switch f.Kind {
	case "unreachable", "reset_before", "redirect":
		return false
	case "status", "html":
		return f.Applied
	}
	return true
}

// spoil makes of a reply what the fault makes of it; it is nil when the request
// was not handled.
func (f *Fault) spoil(c *call, r *reply) *reply {
	switch f.Kind {
	case "unreachable":
		return &reply{cut: cutRefused}
	case "reset_before", "reset_after":
		return &reply{cut: cutReset}
	case "truncate":
		r.cut = cutTruncated
	case "status":
		// No source shows the body of these; it has the envelope of 400.
		r = errorReply(c, f.Status, "fault", http.StatusText(f.Status))
		if f.Status == http.StatusUnauthorized {
			r = &reply{status: f.Status}
		}
		if f.RetryAfter > 0 {
			r.set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
	case "html":
		r = &reply{status: http.StatusOK, body: []byte("<!doctype html><title>Sign in</title><p>Please sign in to the network.\n")}
		r.set("Content-Type", "text/html; charset=utf-8")
	case "redirect":
		r = &reply{status: f.Status}
		r.set("Location", f.Location)
	case "empty_207":
		r = &reply{status: http.StatusMultiStatus}
	case "bad_index_207":
		r = multiStatus([]itemError{{index: c.items, invalid: *bad("attributes", "index past the batch")}})
	case "no_index_207":
		r = multiStatus([]itemError{{index: -1, invalid: *bad("attributes", "no index")}})
	case "double_index_207":
		e := itemError{invalid: *bad("attributes", "index told twice")}
		r = multiStatus([]itemError{e, e})
	}
	return r
}
