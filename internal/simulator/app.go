package simulator

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// routeApp answers a request to the App API. What it shows is applied; what it
// writes is there when it has answered.
func (s *Simulator) routeApp(c *call, w *workspace) *reply {
	if w == nil {
		return errorReply(c, http.StatusUnauthorized, "", "unauthorized")
	}
	var r *reply
	w.look(c.now, func() {
		if limit := w.settings.AppPerSecond; !w.appRate.allow(c.now, limit) {
			// Customer.io docs: App API, rate limit, with Retry-After in seconds.
			r = errorReply(c, http.StatusTooManyRequests, "",
				fmt.Sprintf("rate limited to %d requests per 1s (reference %d)", limit, c.n))
			r.set("Retry-After", "1")
			return
		}
		if c.method == http.MethodGet {
			r = w.appRead(c, unescape(c.path))
			return
		}
		// Between arrival and reply, as any write.
		r = &reply{}
		r.commit = func(now, _ time.Time) {
			w.look(now, func() {
				done := w.appWrite(c, unescape(c.path), now)
				r.status, r.header, r.body = done.status, done.header, done.body
			})
		}
	})
	return r
}

// matches reports whether a path has these parts, "*" standing for any.
func matches(path []string, parts ...string) bool {
	return slices.EqualFunc(path, parts, func(has, want string) bool { return want == "*" || has == want })
}

func (w *workspace) appRead(c *call, path []string) *reply {
	switch {
	case matches(path, "v1", "customers"):
		return w.appLookup(c)
	case matches(path, "v1", "activities"):
		return w.appActivities(c)
	case matches(path, "v1", "customers", "*", "attributes"):
		return w.appOfPerson(c, path[2], w.appAttributes)
	case matches(path, "v1", "customers", "*", "segments"):
		return w.appOfPerson(c, path[2], w.appSegmentsOf)
	case matches(path, "v1", "customers", "*", "relationships"):
		return w.appOfPerson(c, path[2], w.appRelationshipsOf)
	case matches(path, "v1", "object_types"):
		return w.appObjectTypes()
	case matches(path, "v1", "objects", "*", "*", "attributes"):
		return w.appOfObject(c, path[2], path[3], w.appObjectAttributes)
	case matches(path, "v1", "objects", "*", "*", "relationships"):
		return w.appOfObject(c, path[2], path[3], w.appObjectRelationships)
	case matches(path, "v1", "segments"):
		return w.appSegments()
	case matches(path, "v1", "segments", "*"):
		return appOfNumber(c, path[2], w.segments, w.appSegment)
	case matches(path, "v1", "segments", "*", "customer_count"):
		return appOfNumber(c, path[2], w.segments, w.appSegmentCount)
	case matches(path, "v1", "segments", "*", "membership"):
		return appOfNumber(c, path[2], w.segments, w.appSegmentMembers)
	case matches(path, "v1", "segments", "*", "used_by"):
		return appOfNumber(c, path[2], w.segments, w.appSegmentUsedBy)
	case matches(path, "v1", "collections"):
		return w.appCollections()
	case matches(path, "v1", "collections", "*"):
		return appOfNumber(c, path[2], w.collections, w.appCollection)
	case matches(path, "v1", "collections", "*", "content"):
		return appOfNumber(c, path[2], w.collections, w.appCollectionContent)
	}
	w.notice(NoticeNotSimulatedYet)
	return errorReply(c, http.StatusNotFound, "", "not found (not simulated yet)")
}

func (w *workspace) appWrite(c *call, path []string, now time.Time) *reply {
	switch {
	case c.method == http.MethodPost && matches(path, "v1", "segments"):
		return w.appCreateSegment(c, now)
	case c.method == http.MethodDelete && matches(path, "v1", "segments", "*"):
		return appOfNumber(c, path[2], w.segments, w.appDeleteSegment)
	case c.method == http.MethodPost && matches(path, "v1", "collections"):
		return w.appCreateCollection(c, now)
	case c.method == http.MethodPut && matches(path, "v1", "collections", "*"):
		return appOfNumber(c, path[2], w.collections, func(c *call, of *collection) *reply { return w.appChangeCollection(c, of, now) })
	case c.method == http.MethodDelete && matches(path, "v1", "collections", "*"):
		return appOfNumber(c, path[2], w.collections, w.appDeleteCollection)
	case c.method == http.MethodPut && matches(path, "v1", "collections", "*", "content"):
		return appOfNumber(c, path[2], w.collections, func(c *call, of *collection) *reply { return w.appPutContent(c, of, now) })
	}
	w.notice(NoticeNotSimulatedYet)
	return errorReply(c, http.StatusNotImplemented, "", c.method+" "+c.path+": not simulated yet")
}

// appOfNumber answers for what a path names by number.
func appOfNumber[T any](c *call, number string, all map[int64]T, answer func(*call, T) *reply) *reply {
	id, err := strconv.ParseInt(number, 10, 64)
	if found, ok := all[id]; err == nil && ok {
		return answer(c, found)
	}
	return notFound(c)
}

// notFound is a 404 as it was recorded.
func notFound(c *call) *reply {
	return errorReply(c, http.StatusNotFound, "", fmt.Sprintf("not found (reference %d)", c.n))
}

func appInvalid(c *call, inv *invalid) *reply {
	return errorReply(c, http.StatusBadRequest, "", inv.message)
}

// appBody reads the body of a write: an object.
func appBody(c *call) ([]member, *reply) {
	if !wellFormed(c.body) {
		return nil, errorReply(c, http.StatusBadRequest, "", "malformed JSON")
	}
	fields, err := members(c.body)
	if err != nil {
		return nil, errorReply(c, http.StatusBadRequest, "", "the body "+err.Error())
	}
	return fields, nil
}

// paged cuts the page out of a list that ?start= and ?limit= ask for, and
// returns the token of the next. The list is in the order of its keys; a token
// says behind which key to go on, and nothing to a client.
func paged[T any](c *call, list []T, key func(T) string, limit, most int) (page []T, next string, bad *reply) {
	if text := c.query.Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > most {
			return nil, "", errorReply(c, http.StatusBadRequest, "", fmt.Sprintf("limit must be from 1 to %d", most))
		}
	}
	from := 0
	if start := c.query.Get("start"); start != "" {
		raw, err := base64.RawURLEncoding.DecodeString(start)
		behind, ok := strings.CutPrefix(string(raw), "after ")
		if err != nil || !ok {
			return nil, "", errorReply(c, http.StatusBadRequest, "", "start is no token of this list")
		}
		for from < len(list) && key(list[from]) <= behind {
			from++
		}
	}
	page = list[from:]
	if len(page) > limit {
		page = page[:limit]
		next = base64.RawURLEncoding.EncodeToString([]byte("after " + key(page[limit-1])))
	}
	return page, next, nil
}
