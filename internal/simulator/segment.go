package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// segment is a set of people.
type segment struct {
	id                int64
	name, description string
	dynamic           bool                 // data-driven: nobody's to write
	members           map[*person]struct{} // person.segments has it too
	created, updated  time.Time
}

func (s *segment) add(p *person) {
	if p.segments == nil {
		p.segments = make(map[*segment]struct{})
	}
	s.members[p], p.segments[s] = struct{}{}, struct{}{}
}

func (s *segment) remove(p *person) {
	delete(s.members, p)
	delete(p.segments, s)
}

func (w *workspace) createSegment(name, description string, dynamic bool, now time.Time) *segment {
	w.segmentIDs++
	s := &segment{
		id: w.segmentIDs, name: name, description: description, dynamic: dynamic,
		members: make(map[*person]struct{}), created: now, updated: now,
	}
	w.segments[s.id] = s
	return s
}

func (w *workspace) removeSegment(s *segment) {
	delete(w.segments, s.id)
	for p := range s.members {
		delete(p.segments, s)
	}
}

// AddSegment makes a segment as somebody at Customer.io's pages would, which is
// the only way to a data-driven one; that stays empty here. It returns its id.
func (s *Simulator) AddSegment(workspace, name string, dynamic bool) int64 {
	w := s.must(workspace)
	var id int64
	now := time.Now()
	w.look(now, func() { id = w.createSegment(name, "", dynamic, now).id })
	return id
}

// v1Segment answers POST /api/v1/segments/{id}/add_customers and
// remove_customers, each id of it one operation. Who is not there, or is not
// named by ?id_type=, is ignored with success; the docs tell no count.
// Customer.io docs: Track API v1, segments.
func (t *track) v1Segment(path []string) *reply {
	it := &item{settings: &t.settings, v1: true, kind: "person", action: path[2]}
	t.items = 1
	if t.method != http.MethodPost || path[2] != "add_customers" && path[2] != "remove_customers" {
		return errorReply(t.call, http.StatusNotFound, "not found", "no such endpoint")
	}
	if !wellFormed(t.body) {
		return t.badRequest("malformed JSON")
	}
	var err error
	if it.fields, err = members(t.body); err != nil {
		return t.badRequest("the body " + err.Error())
	}
	it.only("ids")
	idType := t.query.Get("id_type")
	if idType == "" {
		idType = kindID.String()
	}
	k := kind(slices.Index(kindNames[:], idType))
	if !slices.Contains([]kind{kindID, kindEmail, kindCioID}, k) {
		return t.v1Refused(it, bad("id_type", "id_type must be id, email or cio_id"))
	}
	if !t.settings.identifies(k) {
		return t.v1Refused(it, bad("id_type", "%s is not an identifier in this workspace", k))
	}
	ids, inv := readIDs(it.field("ids"))
	if inv != nil {
		return t.v1Refused(it, inv)
	}
	id, err := strconv.ParseInt(path[1], 10, 32)
	if err != nil {
		return t.v1Refused(it, bad("segment_id", "segment_id must be an integer"))
	}
	t.workspace.look(t.now, func() {
		switch s := t.workspace.segments[id]; {
		case s == nil:
			inv = bad("segment_id", "there is no segment %d", id)
		case s.dynamic:
			inv = bad("segment_id", "segment %d is data-driven, not manual", id)
		}
	})
	if inv != nil {
		return t.v1Refused(it, inv)
	}
	t.items = len(ids)
	ops, its := make([]indexed, len(ids)), make([]*item, len(ids))
	for i, who := range ids {
		ops[i] = indexed{&membership{id, address{k, who}, it.action == "remove_customers"}, i}
		its[i] = &item{}
	}
	its[0] = it
	return t.take(success(), ops, its...)
}

func readIDs(raw json.RawMessage) ([]string, *invalid) {
	if raw == nil {
		return nil, missing("ids")
	}
	list, err := elements(raw)
	if err != nil {
		return nil, bad("ids", "ids %s", err)
	}
	switch {
	case len(list) == 0:
		return nil, bad("ids", "ids cannot be empty")
	case len(list) > maxSegmentIDs:
		return nil, over("ids", "ids cannot hold more than %d", maxSegmentIDs)
	}
	ids := make([]string, len(list))
	for i, e := range list {
		var ok bool
		if ids[i], ok = asString(e); !ok {
			return nil, bad("ids", "ids must be strings")
		}
	}
	return ids, nil
}

// membership puts one person into a manual segment, or takes them out.
type membership struct {
	segment int64
	address address
	out     bool
}

func (op *membership) action() string {
	if op.out {
		return "remove_customers"
	}
	return "add_customers"
}

func (op *membership) names(list []address) []address {
	who := op.address.key()
	return append(list, who, address{kindMembership, fmt.Sprint(op.segment, " ", who)})
}

func (op *membership) apply(w *workspace, a *accepted) {
	s := w.segments[op.segment]
	if s == nil {
		w.drop(DropUnknownSegment) // it was deleted meanwhile
		return
	}
	if w.isSuppressed([]address{op.address}) {
		w.drop(DropSuppressed)
		return
	}
	p := w.find(op.address)
	if p == nil && !op.out && op.address.kind != kindCioID && strings.TrimSpace(op.address.value) != "" &&
		w.settings.UnknownMember == "create" {
		p = w.createGhost(op.address, a)
	}
	_, member := s.members[p]
	switch {
	case p == nil:
		w.drop(DropUnknownMember)
	case !op.out:
		s.add(p)
		s.updated = a.due
	case p.identifiers[kindID].value == "" && w.settings.RemoveMemberWithoutID == "ignore":
		w.drop(DropMemberWithoutID)
	case !member:
		w.notice(NoticeNotAMember)
	default:
		s.remove(p)
		s.updated = a.due
	}
}

// Segment is one segment.
type Segment struct {
	ID          int64    `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Dynamic     bool     `json:"dynamic,omitempty"` // data-driven
	Members     []string `json:"members,omitempty"` // such as "id:42", sorted
}

// everySegment lists the segments, by id.
func (s *store) everySegment() []*segment { return byNumber(s.segments) }

func (s *segment) public() Segment {
	public := Segment{ID: s.id, Name: s.name, Description: s.description, Dynamic: s.dynamic}
	for p := range s.members {
		public.Members = append(public.Members, p.label())
	}
	slices.Sort(public.Members)
	return public
}

// publicSegments are the names of the segments a person is in, sorted.
func (p *person) publicSegments() []string {
	var list []string
	for s := range p.segments {
		list = append(list, s.name)
	}
	slices.Sort(list)
	return list
}
