package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// batch answers POST /api/v2/batch: every item is judged alone. 200 when all
// are accepted, 207 with the invalid ones otherwise, 400 when it is no batch.
// Customer.io docs: Track API v2, batch.
func (t *track) batch() *reply {
	if len(t.body) > maxBatchBytes {
		return t.badRequest(fmt.Sprintf("a batch cannot be longer than %d bytes", maxBatchBytes))
	}
	if !wellFormed(t.body) {
		return t.badRequest("malformed JSON")
	}
	fields, err := members(t.body)
	if err != nil {
		return t.badRequest("a batch " + err.Error())
	}
	var list []json.RawMessage
	found := false
	for _, m := range fields {
		if m.key == "batch" {
			found = true
			if list, err = elements(m.value); err != nil {
				return t.badRequest("batch " + err.Error())
			}
		}
	}
	t.items = len(list)
	switch {
	case !found:
		return t.badRequest("batch is required")
	case t.settings.MaxBatchItems > 0 && len(list) > t.settings.MaxBatchItems:
		return t.badRequest(fmt.Sprintf("a batch cannot hold more than %d items", t.settings.MaxBatchItems))
	}

	ops := make([]indexed, 0, len(list))
	its := make([]*item, 0, len(list))
	var errs []itemError
	now := t.now.Unix()
	for i, raw := range list {
		it, op, inv := parseItem(raw, &t.settings, now)
		switch {
		case inv == nil:
			ops = append(ops, indexed{op, i})
		case t.silently(inv):
			it = nil
		default:
			errs = append(errs, itemError{i, *inv})
		}
		its = append(its, it)
	}
	if len(list) == 0 {
		its = append(its, &item{notices: []Notice{NoticeEmptyBatch}})
	}
	if f := t.fault; f != nil && f.Kind == "batch_400" && (len(errs) > 0 || f.Match != "") {
		message := "one item is invalid"
		if len(errs) > 0 {
			message = errs[0].message
		}
		return errorReply(t.call, http.StatusBadRequest, "invalid", message)
	}
	if len(errs) > 0 {
		return t.take(multiStatus(errs), ops, its...)
	}
	return t.take(success(), ops, its...)
}

// entity answers POST /api/v2/entity: one operation, 200 or 400.
// Customer.io docs: Track API v2, entity.
func (t *track) entity() *reply {
	t.items = 1
	if !wellFormed(t.body) {
		return t.badRequest("malformed JSON")
	}
	it, op, inv := parseItem(t.body, &t.settings, t.now.Unix())
	switch {
	case inv == nil && t.fault != nil && t.fault.Kind == "batch_400" && t.fault.Match != "":
		return errorReply(t.call, http.StatusBadRequest, "invalid", "refused")
	case inv == nil:
		return t.take(success(), []indexed{{op, 0}}, it)
	case t.silently(inv):
		return t.take(success(), nil, nil)
	}
	errs := []itemError{{-1, *inv}}
	return t.take(jsonReply(http.StatusBadRequest, encode(map[string]any{"errors": errs})), nil, it)
}
