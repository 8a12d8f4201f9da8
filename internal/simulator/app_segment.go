package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// appSegment is a segment as the App API shows it.
// Customer.io docs: App API, segments.
type appSegment struct {
	ID            int64    `json:"id"`
	DeduplicateID string   `json:"deduplicate_id"`
	Name          string   `json:"name"`
	Description   string   `json:"description"`
	State         string   `json:"state"`
	Progress      *int     `json:"progress"`
	Type          string   `json:"type"`
	Tags          []string `json:"tags"`
	Created       int64    `json:"created_at"`
	Updated       int64    `json:"updated_at"`
}

func (s *segment) app() appSegment {
	kind := "manual"
	if s.dynamic {
		kind = "dynamic"
	}
	return appSegment{
		ID: s.id, DeduplicateID: fmt.Sprintf("%d:%d", s.id, s.updated.Unix()), Name: s.name, Description: s.description,
		State: "finished", Type: kind, Created: s.created.Unix(), Updated: s.updated.Unix(),
	}
}

// appSegments answers GET /v1/segments, which has no pages.
func (w *workspace) appSegments() *reply {
	list := []appSegment{}
	for _, s := range w.everySegment() {
		list = append(list, s.app())
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"segments": list}))
}

// appSegment answers GET /v1/segments/{id}.
func (w *workspace) appSegment(_ *call, s *segment) *reply {
	return jsonReply(http.StatusOK, encode(map[string]any{"segment": s.app()}))
}

// appSegmentCount answers GET …/customer_count.
func (w *workspace) appSegmentCount(_ *call, s *segment) *reply {
	return jsonReply(http.StatusOK, encode(map[string]any{"segment_id": s.id, "count": len(s.members)}))
}

// appSegmentMembers answers GET …/membership. Who has no id is "" among the
// ids. Customer.io docs: App API, list customers in a segment.
func (w *workspace) appSegmentMembers(c *call, s *segment) *reply {
	members := make([]*person, 0, len(s.members))
	for p := range s.members {
		members = append(members, p)
	}
	slices.SortFunc(members, byCioID)
	page, next, bad := paged(c, members, (*person).cioID, 1000, maxMembershipPage)
	if bad != nil {
		return bad
	}
	identifiers, ids := []map[string]*string{}, []string{}
	for _, p := range page {
		identifiers = append(identifiers, w.allowedIdentifiersOf(p))
		ids = append(ids, p.identifiers[kindID].value)
	}
	return jsonReply(http.StatusOK, encode(map[string]any{
		"segment_id": s.id, "identifiers": identifiers, "ids": ids, "next": next,
	}))
}

// appSegmentUsedBy answers GET …/used_by: nothing here uses segments.
func (w *workspace) appSegmentUsedBy(_ *call, s *segment) *reply {
	return jsonReply(http.StatusOK, encode(map[string]any{"segment_id": s.id, "used_by": map[string][]int{
		"campaigns": {}, "sent_newsletters": {}, "draft_newsletters": {},
	}}))
}

// appCreateSegment answers POST /v1/segments with an empty manual segment.
func (w *workspace) appCreateSegment(c *call, now time.Time) *reply {
	fields, refused := appBody(c)
	if refused != nil {
		return refused
	}
	var name, description string
	for _, m := range fields {
		if m.key != "segment" {
			w.notice(NoticeUnknownField)
			continue
		}
		inner, err := members(m.value)
		if err != nil {
			return appInvalid(c, bad("segment", "segment %s", err))
		}
		for _, m := range inner {
			var ok bool
			switch m.key {
			case "name":
				name, ok = asString(m.value)
			case "description":
				description, ok = asString(m.value)
			default:
				w.notice(NoticeUnknownField)
				continue
			}
			if !ok {
				return appInvalid(c, bad(m.key, "%s must be a string", m.key))
			}
		}
	}
	if strings.TrimSpace(name) == "" {
		return appInvalid(c, bad("name", "segment.name cannot be empty"))
	}
	for _, s := range w.everySegment() {
		if s.name == name && w.settings.DuplicateNames == "reject" {
			return appInvalid(c, bad("name", "there is a segment of that name"))
		}
	}
	return w.appSegment(c, w.createSegment(name, description, false, now))
}

// appDeleteSegment answers DELETE /v1/segments/{id}, for manual ones.
func (w *workspace) appDeleteSegment(c *call, s *segment) *reply {
	if s.dynamic {
		return appInvalid(c, bad("", "only manual segments can be deleted"))
	}
	w.removeSegment(s)
	return &reply{status: http.StatusNoContent}
}
