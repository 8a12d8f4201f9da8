package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
)

// v1 answers the writes of API v1, which older clients use: each is one
// operation, brought into the shape of v2. path is what follows /api/v1/.
// Customer.io docs: Track API v1.
func (t *track) v1(path []string) *reply {
	switch {
	case len(path) == 3 && path[0] == "segments":
		return t.v1Segment(path)
	case len(path) == 1 && path[0] == "merge_customers":
		return t.only(http.MethodPost, t.v1Merge)
	case len(path) < 2 || path[0] != "customers":
		return t.v1Refused(&item{notices: []Notice{NoticeNotSimulatedYet}}, bad("", "%s: not simulated yet", strings.Join(path, "/")))
	}
	it := &item{settings: &t.settings, now: t.now.Unix(), v1: true, kind: "person"}
	t.items = 1
	if len(t.body) > 0 {
		if !wellFormed(t.body) {
			return t.badRequest("malformed JSON")
		}
		fields, err := members(t.body)
		if err != nil {
			return t.badRequest("the body " + err.Error())
		}
		it.fields = fields
	}
	it.address = t.v1Address(path[1])
	if inv := it.checkAddress("identifier", it.address); inv != nil {
		return t.v1Refused(it, inv)
	}
	var op operation
	var inv *invalid
	switch t.method + " " + strings.Join(path[2:], "/") {
	case "PUT ":
		op, inv = it.v1Identify()
	case "DELETE ":
		op, inv = parseDelete(it)
	case "POST events":
		op, inv = it.v1Event()
	case "PUT devices":
		op, inv = parseAddDevice(it)
	case "POST suppress":
		op, inv = parseSuppress(it)
	case "POST unsuppress":
		op, inv = parseUnsuppress(it)
	default:
		if t.method == http.MethodDelete && len(path) == 4 && path[2] == "devices" {
			it.fields = []member{{"device", encode(map[string]string{"id": path[3]})}}
			op, inv = parseDeleteDevice(it)
			break
		}
		return errorReply(t.call, http.StatusNotFound, "not found", "no such endpoint")
	}
	if inv != nil {
		return t.v1Refused(it, inv)
	}
	return t.take(success(), []indexed{{op, 0}}, it)
}

// v1Merge answers POST /api/v1/merge_customers, whose errors have an envelope
// of their own. Customer.io docs: Track API v1, merge.
func (t *track) v1Merge() *reply {
	it := &item{settings: &t.settings, now: t.now.Unix(), v1: true, kind: "person", action: "merge"}
	t.items = 1
	if !wellFormed(t.body) {
		return t.badRequest("malformed JSON")
	}
	var err error
	if it.fields, err = members(t.body); err != nil {
		return t.badRequest("the body " + err.Error())
	}
	op, inv := parseMerge(it)
	switch {
	case inv == nil:
		return t.take(success(), []indexed{{op, 0}}, it)
	case t.silently(inv):
		return t.take(success(), nil, nil)
	}
	body := map[string]any{"meta": map[string]string{"error": inv.message}}
	return t.take(jsonReply(http.StatusBadRequest, encode(body)), nil, it)
}

func (t *track) v1Refused(it *item, inv *invalid) *reply {
	if t.silently(inv) {
		return t.take(success(), nil, nil)
	}
	return t.take(errorReply(t.call, http.StatusBadRequest, inv.reason, inv.message), nil, it)
}

// v1Address guesses the kind of an identifier from its shape, as v1 does: what
// begins with cio_ is a cio_id, what holds an @ is an e-mail address where
// those identify people, all else is an id, or an address where ids do not.
// Customer.io docs: Track API v1, identifiers in paths.
func (t *track) v1Address(value string) address {
	if cioID, ok := strings.CutPrefix(value, "cio_"); ok {
		return address{kindCioID, cioID}
	}
	if t.settings.identifies(kindEmail) && (strings.Contains(value, "@") || !t.settings.identifies(kindID)) {
		return address{kindEmail, value}
	}
	return address{kindID, value}
}

// v1Identify moves the flat body of v1 into attributes.
func (it *item) v1Identify() (operation, *invalid) {
	var fields, attributes []member
	for _, m := range it.fields {
		switch m.key {
		case "_timestamp":
			fields = append(fields, member{"timestamp", m.value})
		case "cio_relationships":
			fields = append(fields, m)
		default:
			attributes = append(attributes, m)
		}
	}
	raw := []byte{'{'}
	for i, m := range attributes {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(raw, encode(m.key)...)
		raw = append(append(raw, ':'), m.value...)
	}
	it.fields = append(fields, member{"attributes", json.RawMessage(append(raw, '}'))})
	return parseIdentify(it)
}

// v1Relationships takes cio_relationships of v1 apart, which name one action
// for all of them. Customer.io docs: Track API v1, identify.
func (it *item) v1Relationships(raw json.RawMessage) (remove bool, list json.RawMessage, inv *invalid) {
	fields, err := members(raw)
	if err != nil {
		return false, nil, bad("cio_relationships", "cio_relationships %s", err)
	}
	action := ""
	for _, m := range fields {
		switch m.key {
		case "action":
			action, _ = asString(m.value)
		case "relationships":
			list = m.value
		default:
			it.notice(NoticeUnknownField)
		}
	}
	switch {
	case action != "add_relationships" && action != "delete_relationships":
		return false, nil, bad("cio_relationships.action", "action must be add_relationships or delete_relationships")
	case list == nil:
		return false, nil, missing("cio_relationships.relationships")
	}
	return action == "delete_relationships", list, nil
}

// v1Event reads the kind of event, which v2 calls the action.
func (it *item) v1Event() (operation, *invalid) {
	it.action = "event"
	for i, m := range it.fields {
		if m.key != "type" {
			continue
		}
		it.action, _ = asString(m.value)
		it.fields = append(it.fields[:i:i], it.fields[i+1:]...)
		break
	}
	switch it.action {
	case "event", "page", "screen":
		return parseEvent(it)
	}
	return nil, bad("type", "type must be event, page or screen")
}
