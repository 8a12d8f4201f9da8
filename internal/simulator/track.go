package simulator

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The hosts of the Track API. Customer.io docs: regions.
const (
	trackUS = "track.customer.io"
	trackEU = "track-eu.customer.io"
)

// indexed is an operation with its place in the batch.
type indexed struct {
	operation
	index int
}

// routeTrack answers a request to the Track API, v1 or v2.
func (s *Simulator) routeTrack(c *call, w *workspace) *reply {
	if w == nil {
		return &reply{status: http.StatusUnauthorized}
	}
	host, _, _ := strings.Cut(c.host, ":")
	switch {
	case host == trackUS && w.Region == "eu":
		// Customer.io docs: such requests are redirected. Which status, they
		// do not say; 307 is the one that keeps method and body.
		u := url.URL{Scheme: "https", Host: trackEU, RawQuery: c.query.Encode()}
		r := &reply{status: http.StatusTemporaryRedirect}
		r.set("Location", u.Scheme+"://"+u.Host+c.path+query(u.RawQuery))
		return r
	case host == trackEU && w.Region == "us":
		return &reply{status: http.StatusUnauthorized}
	}
	settings, over := w.admitTrack(c.now)
	if over {
		if settings.TrackOver == "drop" {
			w.look(c.now, func() { w.drop(DropOverRate) })
			return success()
		}
		r := errorReply(c, http.StatusTooManyRequests, "rate limited",
			"more than "+strconv.Itoa(settings.TrackPerSecond)+" requests per second")
		if settings.TrackRetryAfter > 0 {
			r.set("Retry-After", strconv.Itoa(settings.TrackRetryAfter))
		}
		return r
	}
	if c.header.Get("Content-Encoding") != "" {
		return errorReply(c, http.StatusBadRequest, "invalid", "compressed bodies are not accepted")
	}
	t := &track{call: c, workspace: w, settings: settings}
	switch {
	case c.path == "/api/v1/accounts/region":
		return t.only(http.MethodGet, t.region)
	case c.path == "/api/v2/batch":
		return t.only(http.MethodPost, t.batch)
	case c.path == "/api/v2/entity":
		return t.only(http.MethodPost, t.entity)
	case strings.HasPrefix(c.path, "/api/v1/"):
		return t.v1(unescape(strings.TrimPrefix(c.path, "/api/v1/")))
	}
	return errorReply(c, http.StatusNotFound, "not found", "no such endpoint")
}

func query(raw string) string {
	if raw == "" {
		return ""
	}
	return "?" + raw
}

// admitTrack returns the settings in force and whether the request is past the
// rate.
func (w *workspace) admitTrack(now time.Time) (settings Settings, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings, !w.trackRate.allow(now, w.settings.TrackPerSecond)
}

// track is one request to the Track API while it is answered.
type track struct {
	*call
	workspace *workspace
	settings  Settings
}

func (t *track) only(method string, answer func() *reply) *reply {
	if t.method != method {
		return errorReply(t.call, http.StatusMethodNotAllowed, "invalid", "use "+method)
	}
	return answer()
}

// region tells where the workspace lives. Customer.io docs: Track API, get your
// account region.
func (t *track) region() *reply {
	host := trackUS
	if t.workspace.Region == "eu" {
		host = trackEU
	}
	return jsonReply(http.StatusOK, encode(struct {
		URL           string `json:"url"`
		Region        string `json:"region"`
		EnvironmentID int64  `json:"environment_id"`
	}{"https://" + host, t.workspace.Region, t.workspace.EnvironmentID}))
}

// take answers with r and, when the moment comes, accepts the operations.
func (t *track) take(r *reply, ops []indexed, its ...*item) *reply {
	w := t.workspace
	drops := 0
	for _, it := range its {
		if it == nil {
			drops++
		}
	}
	r.commit = func(now, replied time.Time) {
		w.look(now, func() {
			for _, it := range its {
				if it == nil {
					w.drop(DropOverLimit)
					continue
				}
				for _, n := range it.notices {
					w.notice(n)
				}
			}
			w.counters.Invalid += int64(len(its) - drops - len(ops))
			w.accept(ops, t.n, now, replied)
		})
	}
	return r
}

// silently reports whether an invalid item is to be answered like a valid one.
func (t *track) silently(inv *invalid) bool {
	return inv.over && t.settings.OverLimit == "drop"
}

// badRequest refuses a whole request, or loses it.
func (t *track) badRequest(message string) *reply {
	if t.settings.BadRequest == "drop" {
		r := success()
		r.commit = func(now, _ time.Time) {
			t.workspace.look(now, func() { t.workspace.drop(DropBadRequest) })
		}
		return r
	}
	return errorReply(t.call, http.StatusBadRequest, "invalid", message)
}
