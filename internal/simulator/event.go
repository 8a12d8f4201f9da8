package simulator

import (
	"encoding/json"
	"strings"
	"time"
)

// event is something that happened to a person.
type event struct {
	kind      string // "event", "page" or "screen"
	name      string
	id        string // in upper case; "" when there is none
	ulid      bool   // id deduplicates
	timestamp int64
	data      string
	cioID     string // "" for an orphan
	person    *person
	label     string // whom it named, or who that was
	triggers  bool
	received  int64
}

// sendEvent is the operation "event", "page" or "screen".
type sendEvent struct {
	address address
	event
}

// parseEvent reads an event. Its data has no limit of its own in v2: the item
// has. Customer.io docs: Track API v2; invalid API requests.
func parseEvent(it *item) (operation, *invalid) {
	data := "attributes"
	if it.v1 {
		data = "data"
	}
	it.only("name", "id", "timestamp", data)
	op := &sendEvent{address: it.address, event: event{kind: it.action}}
	name, ok := asString(it.field("name"))
	if !ok {
		return nil, missing("name")
	}
	// Customer.io docs: Track API, event names are trimmed.
	op.name = strings.TrimSpace(name)
	switch {
	case op.name == "":
		return nil, bad("name", "event name cannot be blank")
	case len(op.name) > maxEventNameBytes:
		return nil, over("name", "event name cannot be longer than %d bytes", maxEventNameBytes)
	}
	if inv := op.readID(it); inv != nil {
		return nil, inv
	}
	var inv *invalid
	if op.timestamp, inv = it.readTimestamp("timestamp", it.field("timestamp")); inv != nil {
		return nil, inv
	}
	if op.timestamp == 0 {
		it.notice(NoticeNoTimestamp)
	}
	raw := it.field(data)
	if raw == nil || isNull(raw) {
		raw = json.RawMessage("{}")
	}
	list, err := members(raw)
	if err != nil {
		return nil, bad(data, "event data %s", err)
	}
	if it.v1 && len(raw) > maxEventDataBytes {
		return nil, over(data, "event data cannot be longer than %d bytes", maxEventDataBytes)
	}
	for _, m := range list {
		switch m.key {
		// Customer.io docs: Track API, these override the campaign's settings.
		case "recipient", "from_address", "reply_to":
			it.notice(NoticeReservedKey)
		}
	}
	op.data = compact(raw)
	return op, nil
}

// readID reads the id that deduplicates. Customer.io docs: Track API, a ULID.
func (op *sendEvent) readID(it *item) *invalid {
	raw := it.field("id")
	if raw == nil || isNull(raw) {
		return nil
	}
	id, ok := asString(raw)
	if !ok {
		return bad("id", "event id must be a string")
	}
	if op.ulid = isULID(id); op.ulid {
		op.id = strings.ToUpper(id)
		return nil
	}
	it.notice(NoticeNonULID)
	if it.settings.NonULID == "reject" {
		return bad("id", "event id must be a ULID")
	}
	op.id = id
	return nil
}

// isULID reports whether s is 26 characters of Crockford's base 32 that fit in
// 128 bits. Source: the ULID specification.
func isULID(s string) bool {
	if len(s) != 26 || s[0] < '0' || s[0] > '7' {
		return false
	}
	for i := range len(s) {
		switch c := s[i] | 0x20; {
		case s[i] >= '0' && s[i] <= '9':
		case c < 'a' || c > 'z', c == 'i', c == 'l', c == 'o', c == 'u':
			return false
		}
	}
	return true
}

func (op *sendEvent) action() string                 { return op.kind }
func (op *sendEvent) names(list []address) []address { return append(list, op.address.key()) }

func (op *sendEvent) apply(w *workspace, a *accepted) {
	if w.isSuppressed([]address{op.address}) {
		w.drop(DropSuppressed)
		return
	}
	p := w.find(op.address)
	if p == nil && op.address.kind == kindCioID {
		w.drop(DropUnknownCioID)
		return
	}
	timestamp := op.timestamp
	if timestamp == 0 {
		timestamp = a.received
	}
	if op.ulid {
		if first := w.eventIDs[op.id]; first != nil {
			first.received++
			w.drop(DropDuplicateEvent)
			if w.differs(first, &op.event, p) {
				w.notice(NoticeEventIDReused)
			}
			return
		}
	}
	if p == nil && w.settings.UnknownPerson == "create" {
		p = w.createGhost(op.address, a)
	}
	e := op.event
	e.timestamp = timestamp
	e.person, e.received = p, 1
	if p != nil {
		e.cioID, e.label = p.cioID(), p.label()
	} else {
		e.label = op.address.key().String()
		w.notice(NoticeOrphanEvent)
	}
	if e.triggers = a.due.Unix()-timestamp <= triggerWindow; !e.triggers {
		w.notice(NoticeOldEvent)
	}
	w.events = append(w.events, &e)
	if e.ulid {
		w.eventIDs[e.id] = &e
	}
}

// differs reports whether an event with the id of an earlier one is another
// event, lost by being taken for that. A person may have gone since, and come
// back as somebody new.
func (w *workspace) differs(first, later *event, p *person) bool {
	if first.person != nil && p != nil && first.person != p && w.people[address{kindCioID, first.cioID}] == first.person {
		return true
	}
	return first.name != later.name || first.data != later.data || first.kind != later.kind ||
		later.timestamp != 0 && first.timestamp != later.timestamp
}

// Event is a recorded event.
type Event struct {
	// Person is whom it belongs to now, such as "id:42"; of a deleted person,
	// who that was; of an orphan, whom it named.
	Person string          `json:"person"`
	CioID  string          `json:"cio_id,omitempty"`
	Orphan bool            `json:"orphan,omitempty"`
	Kind   string          `json:"kind"` // "event", "page" or "screen"
	Name   string          `json:"name"`
	ID     string          `json:"id,omitempty"`
	Data   json.RawMessage `json:"data"`
	// Timestamp is in Unix seconds; of an event that brought none, when it was
	// accepted.
	Timestamp int64 `json:"timestamp"`
	// Triggers is whether it was recent enough to start a campaign.
	Triggers bool `json:"triggers"`
	// Received is how often its id arrived.
	Received int64 `json:"received"`
}

func (e *event) public() Event {
	label := e.label
	if e.person != nil {
		if now := e.person.label(); !strings.HasPrefix(now, "cio_id:") {
			label = now
		}
	}
	return Event{
		Person: label, CioID: e.cioID, Orphan: e.person == nil, Kind: e.kind, Name: e.name, ID: e.id,
		Data: json.RawMessage(e.data), Timestamp: e.timestamp, Triggers: e.triggers, Received: e.received,
	}
}

// Time is the event's timestamp.
func (e Event) Time() time.Time { return time.Unix(e.Timestamp, 0).UTC() }
