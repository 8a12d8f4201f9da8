package mapping

import (
	"bytes"

	"github.com/pgcio/pgcio/internal/customerio"
)

// name fills in what names the thing, beside its person. If it cannot, or the
// row names none, the ask is settled.
func (r *rowOf) name() bool {
	op := &r.ask.Operation
	switch r.spec.Object {
	case "device":
		token, ok := r.part("token", &r.rule.token, &r.token, false)
		if !ok {
			return false
		}
		if reason := customerio.CheckToken(token); reason != "" {
			r.refuse("%s", reason)
			return false
		}
		op.Token = token
		return r.platformOf()
	case "object", "relationship":
		kind, ok := r.part("object_type", &r.rule.objectType, &r.objectType, false)
		if !ok {
			return false
		}
		id, ok := r.part("object_id", &r.rule.objectID, &r.objectID, false)
		if !ok {
			return false
		}
		if reason := customerio.CheckObject(kind, id); reason != "" {
			r.refuse("%s", reason)
			return false
		}
		op.ObjectType, op.ObjectID = kind, id
	}
	return true
}

// platformOf fills in a device's platform, which every operation on it carries.
func (r *rowOf) platformOf() bool {
	text, ok := r.part("platform", &r.rule.platform, &r.platform, true)
	if !ok {
		return false
	}
	platform := string(bytes.ToLower([]byte(text)))
	if reason := customerio.CheckPlatform(platform); reason != "" {
		r.refuse("%s", reason)
		return false
	}
	start := len(r.arena.bytes)
	r.arena.bytes = customerio.AppendString(r.arena.bytes, platform)
	r.device = r.arena.since(start)
	return true
}

// part reads a value without which the row names no thing. A row where it is null
// is not in; must tells that it is refused instead.
func (r *rowOf) part(key string, s *source, v *valuePlan, must bool) (string, bool) {
	if s.form == Literal {
		return s.text, true
	}
	text, state := r.textOf(s, v)
	switch state {
	case textFailed:
		return "", false
	case textAbsent:
		r.ask.Answer = customerio.Unsure
		r.ask.Missing = true
		r.ask.Operation = customerio.Operation{}
		return "", false
	case textNull:
		r.ask.Operation = customerio.Operation{}
		if must {
			r.refuse("%s is null", key)
			return "", false
		}
		r.ask.Answer = customerio.Out
		return "", false
	}
	return string(text), true
}
