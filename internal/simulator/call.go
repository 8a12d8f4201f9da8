package simulator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// call is a request as both doors hand it over.
type call struct {
	method, host string
	path         string // still escaped
	query        url.Values
	header       http.Header
	body         []byte

	api   string // "track" or "app"
	n     int64  // its number in the request log
	now   time.Time
	items int    // operations in it, valid or not
	fault *Fault // what it meets
}

// cut is how a connection ends that does not end well.
type cut uint8

const (
	cutNone cut = iota
	cutRefused
	cutReset
	cutTruncated // inside the body
)

// reply is an answer as both doors give it.
type reply struct {
	status int
	header http.Header
	body   []byte
	cut    cut

	// commit makes an accepted request happen, at the moment chosen for that.
	commit func(now, replied time.Time)
}

func (r *reply) set(key, value string) {
	if r.header == nil {
		r.header = make(http.Header)
	}
	r.header.Set(key, value)
}

func jsonReply(status int, body []byte) *reply {
	r := &reply{status: status, body: append(body, '\n')}
	r.set("Content-Type", "application/json; charset=utf-8")
	return r
}

// success is what every accepted Track write gets: "{}" and a newline, before
// anything is applied. Customer.io, recorded traffic.
func success() *reply { return jsonReply(http.StatusOK, []byte("{}")) }

// errorReply is an error of a whole request in the envelope of its API:
// v2 {"errors":[{reason,field,message}]}, v1 {"meta":{"errors":[text]}}, App
// {"errors":[{detail,status}]}, with the status as text.
// Customer.io docs: Track API, App API, invalid API requests.
func errorReply(c *call, status int, reason, message string) *reply {
	var body any
	switch {
	case c.api == "app":
		body = map[string]any{"errors": []map[string]string{{"detail": message, "status": strconv.Itoa(status)}}}
	case strings.HasPrefix(c.path, "/api/v1/"):
		body = map[string]any{"meta": map[string]any{"errors": []string{message}}}
	default:
		body = map[string]any{"errors": []map[string]string{{"reason": reason, "field": "", "message": message}}}
	}
	return jsonReply(status, encode(body))
}

// itemError is an invalid item of a batch; a negative index is not written.
type itemError struct {
	index int
	invalid
}

func (e itemError) MarshalJSON() ([]byte, error) {
	out := struct {
		Index   *int   `json:"batch_index,omitempty"`
		Reason  string `json:"reason"`
		Field   string `json:"field"`
		Message string `json:"message"`
	}{nil, e.reason, e.field, e.message}
	if e.index >= 0 {
		out.Index = &e.index
	}
	return json.Marshal(out)
}

func multiStatus(errs []itemError) *reply {
	return jsonReply(http.StatusMultiStatus, encode(map[string]any{"errors": errs}))
}

// handle answers a request. The error is the end of ctx, or Close, while the
// reply was delayed.
func (s *Simulator) handle(ctx context.Context, c *call) (*reply, error) {
	c.now = time.Now()
	c.api = "app"
	if strings.HasPrefix(c.path, "/api/") {
		c.api = "track"
	}
	w := s.authorized(c)
	name := ""
	if w != nil {
		name = w.Name
	}
	s.mu.Lock()
	s.requests++
	c.n = s.requests
	s.open++
	c.fault = s.strike(c, name)
	s.mu.Unlock()

	r, err := s.answer(ctx, c, w)

	entry := Request{
		N: c.n, At: c.now, Took: Duration(time.Since(c.now)), Workspace: name, Method: c.method, Path: c.path,
		Items: c.items, Bytes: len(c.body),
	}
	if err == nil && r.cut != cutReset && r.cut != cutRefused {
		entry.Status = r.status
	}
	if c.fault != nil {
		entry.Fault = c.fault.Kind
	}
	s.mu.Lock()
	s.open--
	s.lastSeen = time.Now()
	if w == nil {
		s.unknown++
	}
	s.log.add(entry)
	s.mu.Unlock()
	if w != nil {
		w.look(time.Now(), func() { w.counters.reply(c.api, entry) })
	}
	return r, err
}

// answer handles the request as far as its fault lets it.
func (s *Simulator) answer(ctx context.Context, c *call, w *workspace) (*reply, error) {
	f := c.fault
	if f != nil && f.Kind == "slow_before" {
		if err := s.sleep(ctx, time.Duration(f.Delay)); err != nil {
			return nil, err
		}
	}
	if f != nil && !f.applies() {
		return f.spoil(c, nil), nil
	}
	r := s.route(c, w)
	if err := s.deliver(ctx, c, w, r); err != nil {
		return nil, err
	}
	if f != nil {
		return f.spoil(c, r), nil
	}
	return r, nil
}

// deliver accepts what the reply accepts and waits until it is due. A request
// whose client gives up stays accepted, once it was.
func (s *Simulator) deliver(ctx context.Context, c *call, w *workspace, r *reply) error {
	var delay, before time.Duration
	if w != nil && (c.api == "track" || c.method != http.MethodGet) {
		w.mu.Lock()
		delay = time.Duration(w.settings.ReplyDelay)
		if w.settings.ReorderRequests && delay > 0 {
			before = time.Duration(w.rng.Int64N(int64(delay) + 1))
		}
		w.mu.Unlock()
	}
	if c.fault != nil && c.fault.Kind == "slow" {
		delay += time.Duration(c.fault.Delay)
	}
	if err := s.sleep(ctx, before); err != nil {
		return err
	}
	if r.commit != nil {
		now := time.Now()
		r.commit(now, now.Add(delay-before))
	}
	return s.sleep(ctx, delay-before)
}

// route finds what answers the request.
func (s *Simulator) route(c *call, w *workspace) *reply {
	if c.api == "app" {
		return s.routeApp(c, w)
	}
	return s.routeTrack(c, w)
}

// unescape splits an escaped path and decodes its parts.
func unescape(path string) []string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, p := range parts {
		if u, err := url.PathUnescape(p); err == nil {
			parts[i] = u
		}
	}
	return parts
}
