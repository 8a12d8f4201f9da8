package mapping

import (
	"bytes"
	"strings"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// answerEvent settles the ask of an event mapping. A row is an event when it is
// inserted (or read), as it stands at the end of its transaction: so an update
// or a delete counts only while the transaction that inserted the row is still
// being stored, and everything later is ignored without looking at it.
func (r *rowOf) answerEvent(rows Rows) {
	kind := r.change.Kind
	if kind == cdc.Update || kind == cdc.Delete {
		kept, known := rows.Row(r.index, knownBy(r.ask))
		if !known || !kept.Fresh {
			r.ask.Answer = customerio.Ignored
			return
		}
		r.kept = kept.Columns
		if kind == cdc.Delete {
			r.ask.Answer = customerio.Gone
			r.eventKey()
			return
		}
	}
	if kind == cdc.Insert || kind == cdc.Update {
		r.keepLarge()
	}
	if !r.admit(rows) {
		if r.ask.Answer == customerio.Out && kind == cdc.Update {
			r.eventKey()
		}
		return
	}
	id, state := r.textOf(&r.rule.eventID, &r.eventID)
	switch {
	case state == textFailed:
		return
	case state == textAbsent:
		r.ask.Answer = customerio.Unsure
		r.ask.Missing = true
		r.ask.Operation = customerio.Operation{}
		return
	case state == textNull || len(id) == 0:
		r.refuse("event_id is empty, so the event could not be told from another")
		return
	}
	op := &r.ask.Operation
	op.Kind, op.Action = customerio.Event, customerio.Track
	text := string(id)
	op.ID = customerio.EventULID(r.spec.Name, text)
	r.ask.EventKey = customerio.EventKey(r.spec.Name, text)
	if !r.eventName() || !r.eventTime() {
		return
	}
	r.ask.Answer = customerio.In
	r.appendAttributes()
	r.checkSize()
}

// keepLarge asks to keep the values that an update of the row in the same
// transaction may not bring (T25).
func (r *rowOf) keepLarge() {
	for i := range r.large {
		c := &r.large[i]
		text, state := r.get(c.index)
		if state != cdc.Present || len(text) < c.least {
			continue
		}
		if len(text) > roomForRow {
			text = bytes.Clone(text)
		} else {
			start := len(r.arena.bytes)
			r.arena.bytes = append(r.arena.bytes, text...)
			text = r.arena.since(start)
		}
		r.ask.Keep = append(r.ask.Keep, customerio.Column{Name: r.change.Table.Columns[c.index].Name, Text: text})
	}
}

// eventKey fills in the key of the event that the row was, as far as the change
// tells its event id.
func (r *rowOf) eventKey() {
	missing := r.ask.Missing
	answer := r.ask.Answer
	id, state := r.textOf(&r.rule.eventID, &r.eventID)
	if state == textPresent {
		r.ask.EventKey = customerio.EventKey(r.spec.Name, string(id))
	}
	r.ask.Answer, r.ask.Reason, r.ask.Missing = answer, "", missing
}

func (r *rowOf) eventName() bool {
	if r.rule.event.form == Literal {
		r.ask.Operation.Name = strings.TrimSpace(r.rule.event.text)
		return true
	}
	name, state := r.textOf(&r.rule.event, &r.event)
	switch state {
	case textFailed:
		return false
	case textAbsent:
		r.ask.Answer = customerio.Unsure
		r.ask.Missing = true
		return false
	case textNull:
		r.refuse("the event's name is null")
		return false
	}
	r.ask.Operation.Name = strings.TrimSpace(string(name)) // as Customer.io does
	if reason := customerio.CheckEventName(r.ask.Operation.Name); reason != "" {
		r.refuse("%s", reason)
		return false
	}
	return true
}

// eventTime fills in when the event happened. A streamed event without a time
// happened when its transaction committed; one that was read from the table
// would be taken for new and could start campaigns, so it is refused.
func (r *rowOf) eventTime() bool {
	s := &r.rule.timestamp
	value := []byte("null")
	reason := ""
	if s.form != None {
		start := len(r.arena.bytes)
		a := attributePlan{attribute: &attribute{Attribute: Attribute{Name: "timestamp", As: AsUnix}, source: *s}, valuePlan: r.timestamp}
		reason = r.appendAttribute(&a)
		value = r.arena.since(start)
		r.arena.bytes = r.arena.bytes[:start]
	}
	switch {
	case r.ask.Answer == customerio.Refused:
		return false
	case reason != "":
		r.refuse("timestamp: %s", reason)
		return false
	case len(value) == 0:
		r.ask.Answer = customerio.Unsure
		r.ask.Missing = true
		return false
	case string(value) == "null":
		if r.change.Kind == cdc.Read {
			r.refuse("timestamp is null: an event that is read from its table needs its time, else it would count as new and start campaigns")
			return false
		}
		return true
	}
	at, ok := parseInt(value)
	if !ok {
		r.refuse("timestamp: it is no time in Unix seconds")
		return false
	}
	if at == 0 {
		at = 1 // 0 stands for no time at all, and would become the present
	}
	r.ask.Operation.Timestamp = at
	return true
}
