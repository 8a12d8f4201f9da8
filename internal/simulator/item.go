package simulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// item is one operation as it was sent, in the shape of API v2; v1 requests
// are brought into it. While it is read it collects what is worth a notice.
type item struct {
	settings *Settings
	now      int64 // Unix seconds
	v1       bool
	kind     string // "person", "object", "delivery"
	action   string
	fields   []member
	address  address
	notices  []Notice
}

// invalid is why an item is not accepted, in the words of the error envelope.
type invalid struct {
	reason, field, message string
	// over marks limits, which Settings.OverLimit can turn into a silent drop.
	over bool
}

func bad(field, format string, args ...any) *invalid {
	return &invalid{reason: "invalid", field: field, message: fmt.Sprintf(format, args...)}
}

func missing(field string) *invalid {
	return &invalid{reason: "required", field: field, message: field + " is required"}
}

func over(field, format string, args ...any) *invalid {
	inv := bad(field, format, args...)
	inv.over = true
	return inv
}

// notSimulated refuses what Customer.io has and this package does not: never
// taken in silence.
func (it *item) notSimulated(field, what string) *invalid {
	it.notice(NoticeNotSimulatedYet)
	return &invalid{reason: "unsupported", field: field, message: what + ": not simulated yet"}
}

func (it *item) notice(n Notice) { it.notices = append(it.notices, n) }

func (it *item) field(key string) json.RawMessage {
	for _, m := range it.fields {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// only notes fields that the operation does not have. Customer.io's schema
// does not forbid them.
func (it *item) only(keys ...string) {
	for _, m := range it.fields {
		switch m.key {
		case "type", "action", "identifiers":
		default:
			if !slices.Contains(keys, m.key) {
				it.notice(NoticeUnknownField)
			}
		}
	}
}

// parseItem reads one operation of API v2.
func parseItem(raw []byte, settings *Settings, now int64) (*item, operation, *invalid) {
	it := &item{settings: settings, now: now}
	if len(raw) > maxItemBytes {
		return it, nil, over("", "an item cannot be longer than %d bytes", maxItemBytes)
	}
	fields, err := members(raw)
	if err != nil {
		return it, nil, bad("", "an item %s", err)
	}
	it.fields = fields
	var ok bool
	if it.kind, ok = asString(it.field("type")); !ok {
		return it, nil, missing("type")
	}
	if it.action, ok = asString(it.field("action")); !ok {
		return it, nil, missing("action")
	}
	op, inv := it.parse()
	return it, op, inv
}

// parse finds the reader of an operation: one line for each there is.
func (it *item) parse() (operation, *invalid) {
	switch it.kind {
	case "person":
	case "object":
		return parseObject(it)
	case "delivery":
		return nil, it.notSimulated("type", it.kind)
	default:
		return nil, bad("type", "type must be person or object")
	}
	if it.action == "merge" {
		return parseMerge(it)
	}
	if inv := it.readAddress(); inv != nil {
		return nil, inv
	}
	switch it.action {
	case "identify":
		return parseIdentify(it)
	case "delete":
		return parseDelete(it)
	case "event", "page", "screen":
		return parseEvent(it)
	case "add_device":
		return parseAddDevice(it)
	case "delete_device":
		return parseDeleteDevice(it)
	case "suppress":
		return parseSuppress(it)
	case "unsuppress":
		return parseUnsuppress(it)
	case "add_relationships", "delete_relationships":
		return parseRelate(it, it.address)
	}
	return nil, bad("action", "unknown action for a person")
}

// readAddress reads whom the operation is about.
func (it *item) readAddress() (inv *invalid) {
	it.address, inv = it.readPerson("identifiers", it.field("identifiers"), true)
	return inv
}

// readPerson reads identifiers of a person: exactly one, a string.
// Customer.io docs: Track API v2, person identifiers; invalid API requests.
func (it *item) readPerson(field string, raw json.RawMessage, phone bool) (a address, inv *invalid) {
	if raw == nil {
		return a, missing(field)
	}
	list, err := members(raw)
	if err != nil {
		return a, bad(field, "%s %s", field, err)
	}
	allowed := "id, email, cio_id"
	if phone {
		allowed = "id, email, phone, cio_id"
	}
	if len(list) != 1 {
		return a, bad(field, "%s must hold exactly one of %s", field, allowed)
	}
	name := list[0].key
	if name == "anonymous_id" {
		return a, it.notSimulated(field+".anonymous_id", "anonymous people")
	}
	k := kind(slices.Index(kindNames[:kindCioID+1], name))
	if !k.ofPerson() || k == kindPhone && !phone {
		return a, bad(field+"."+name, "%s must hold exactly one of %s", field, allowed)
	}
	value, ok := asString(list[0].value)
	if !ok {
		return a, bad(field+"."+name, "%s attribute must be a string value", name)
	}
	return address{k, value}, it.checkAddress(field+"."+name, address{k, value})
}

// checkAddress judges an identifier by which a person is addressed.
func (it *item) checkAddress(field string, a address) *invalid {
	if inv := it.checkIdentifier(field, a); inv != nil {
		return inv
	}
	if !it.settings.identifies(a.kind) {
		return bad(field, "%s is not an identifier in this workspace", a.kind)
	}
	return nil
}

func (it *item) checkIdentifier(field string, a address) *invalid {
	limit := maxValueBytes
	if a.kind == kindID {
		limit = maxIDBytes
	}
	switch {
	case strings.TrimSpace(a.value) == "":
		return bad(field, "%s cannot be empty", a.kind)
	case len(a.value) > limit:
		return over(field, "%s cannot be longer than %d bytes", a.kind, limit)
	}
	return nil
}

// readTimestamp reads an optional time in Unix seconds; 0 when there is none.
func (it *item) readTimestamp(field string, raw []byte) (int64, *invalid) {
	if raw == nil || isNull(raw) {
		return 0, nil
	}
	t, ok := asInteger(raw)
	if !ok {
		return 0, bad(field, "%s must be an integer of Unix seconds", field)
	}
	switch {
	case t >= millisecondsFrom:
		it.notice(NoticeMilliseconds)
	case t > it.now:
		it.notice(NoticeFuture)
	}
	return t, nil
}

// readAttributes reads an optional object of attributes within the limits of
// one request. field is what errors call it.
func readAttributes(field string, raw []byte) ([]member, *invalid) {
	if raw == nil || isNull(raw) {
		return nil, nil
	}
	list, err := members(raw)
	if err != nil {
		return nil, bad(field, "%s %s", field, err)
	}
	if len(list) > maxAttributes {
		return nil, over(field, "cannot identify more than %d attributes in one request", maxAttributes)
	}
	for _, m := range list {
		if m.key == "" {
			return nil, bad(field, "attribute name cannot be empty")
		}
		if len(m.key) > maxNameBytes {
			return nil, over(field+"."+m.key, "attribute name cannot be longer than %d bytes", maxNameBytes)
		}
		if len(m.value) > maxValueBytes && valueBytes(m.value) > maxValueBytes {
			return nil, over(field+"."+m.key, "property value cannot be longer than %d bytes", maxValueBytes)
		}
	}
	return list, nil
}

// parseIdentify reads the operation "identify".
func parseIdentify(it *item) (operation, *invalid) {
	it.only("attributes", "timestamp", "cio_relationships")
	op := &identify{address: it.address, v1: it.v1}
	field, raw := "cio_relationships", it.field("cio_relationships")
	var inv *invalid
	if it.v1 && raw != nil {
		if op.unrelate, raw, inv = it.v1Relationships(raw); inv != nil {
			return nil, inv
		}
		field += ".relationships"
	}
	if op.objects, inv = it.readRelated(field, raw, false); inv != nil {
		return nil, inv
	}
	if op.timestamp, inv = it.readTimestamp("timestamp", it.field("timestamp")); inv != nil {
		return nil, inv
	}
	list, inv := readAttributes("attributes", it.field("attributes"))
	if inv != nil {
		return nil, inv
	}
	op.attributes = make([]member, 0, len(list))
	for _, m := range list {
		switch m.key {
		case "_update":
			if op.updateOnly = string(m.value) == "true"; !op.updateOnly && string(m.value) != "false" {
				return nil, bad("attributes._update", "_update must be a boolean")
			}
			continue
		case "anonymous_id":
			return nil, it.notSimulated("attributes.anonymous_id", "anonymous people")
		case "id", "email", "phone", "cio_id":
			inv, claimed := it.readClaim(op, m)
			if inv != nil {
				return nil, inv
			}
			if claimed {
				continue
			}
		}
		it.noteAttribute(m)
		op.attributes = append(op.attributes, m)
	}
	return op, nil
}

// readClaim reads an identifier among the attributes. Where its kind names
// nobody in the workspace it is an attribute like any other.
func (it *item) readClaim(op *identify, m member) (inv *invalid, claimed bool) {
	k := kind(slices.Index(kindNames[:], m.key))
	field := "attributes." + m.key
	value, ok := asString(m.value)
	switch {
	case isNull(m.value) || ok && value == "":
		if k == kindID && it.settings.identifies(kindID) && ok {
			return bad(field, "id cannot be empty"), false
		}
		value = ""
	case !ok:
		return bad(field, "%s attribute must be a string value", m.key), false
	default:
		if inv := it.checkIdentifier(field, address{k, value}); inv != nil {
			return inv, false
		}
	}
	if !it.settings.identifies(k) {
		return nil, false
	}
	op.claims = append(op.claims, address{k, value})
	return nil, true
}

func (it *item) noteAttribute(m member) {
	switch {
	case m.key[0] == '_':
		it.notice(NoticeUnderscore)
	case strings.Contains(m.key, ".") && !isPath(m.key):
		it.notice(NoticeOddPath)
	}
	if string(m.value) == `""` {
		it.notice(NoticeEmptyString)
	}
}
