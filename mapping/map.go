package mapping

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// Map appends what a change asks: one ask for each mapping whose table it is
// of. The change's bytes are copied, so the asks outlive its batch; see Reset.
func (m *Mapper) Map(asks []customerio.Ask, c *cdc.Change, rows Rows) []customerio.Ask {
	p := m.plan(c.Table)
	for i := range p.rules {
		if m.hadOf(p.rules[i].index, c) {
			continue
		}
		asks = append(asks, customerio.Ask{})
		r := rowOf{Mapper: m, rulePlan: &p.rules[i], change: c, ask: &asks[len(asks)-1]}
		r.ask.Mapping = r.index
		r.answer(rows)
	}
	return asks
}

// rowOf is one change as one mapping sees it.
type rowOf struct {
	*Mapper
	*rulePlan
	change *cdc.Change
	ask    *customerio.Ask
	device []byte // its platform, as JSON
	kept   []customerio.Column
}

// get returns a column of the row after the change, or of a row that is gone.
// What the new row lacks comes from the old one, as far as that was sent: a
// key-only old row has nulls in the place of all other columns (T25, T26). What
// neither has may have been kept.
func (r *rowOf) get(i int) ([]byte, cdc.State) {
	c := r.change
	text, state := c.New.Get(i)
	if state == cdc.Absent && c.Old.Len() > 0 && (!c.KeyOnly || i >= 0 && i < len(c.Table.Columns) && c.Table.Columns[i].Key) {
		text, state = c.Old.Get(i)
	}
	if state == cdc.Absent && i >= 0 && i < len(c.Table.Columns) {
		for k := range r.kept {
			if r.kept[k].Name == c.Table.Columns[i].Name {
				return r.kept[k].Text, cdc.Present
			}
		}
	}
	return text, state
}

func (r *rowOf) refuse(format string, args ...any) {
	r.ask.Answer = customerio.Refused
	r.ask.Reason = fmt.Sprintf(format, args...)
	r.ask.Operation = customerio.Operation{}
	r.ask.Missing, r.ask.Partial = false, false
}

// answer settles the ask.
func (r *rowOf) answer(rows Rows) {
	r.arena.row(0)
	c := r.change
	if c.Kind == cdc.Truncate {
		r.ask.Answer = customerio.Truncated
		return
	}
	if r.broken != "" {
		r.keys()
		r.refuse("%s", r.broken)
		return
	}
	if r.keyless != "" && (c.Kind == cdc.Delete || c.Kind == cdc.Update && r.spec.Object != "event") {
		// An update's new row has the key, only whether it is another than before is
		// not known: an event does not ask.
		if c.Kind == cdc.Update {
			r.keys()
		}
		r.refuse("%s", r.keyless)
		return
	}
	if reason := r.keys(); reason != "" {
		r.refuse("%s", reason)
		return
	}
	if r.spec.Object == "event" {
		r.answerEvent(rows)
		return
	}
	if c.Kind == cdc.Delete {
		r.ask.Answer = customerio.Gone
		return
	}
	if !r.admit(rows) {
		return
	}
	op := &r.ask.Operation
	op.Kind = r.info.Kind
	op.Action = op.Kind.Action()
	op.UpdateOnly = r.spec.Behavior == "update_only"
	if !r.name() {
		return
	}
	r.ask.Answer = customerio.In
	r.appendAttributes()
	r.checkSize()
}

// keys fills in the row's key, and the one it had before if that was another.
func (r *rowOf) keys() (reason string) {
	c := r.change
	current := c.New
	if c.Kind == cdc.Delete {
		current = c.Old
	}
	var ok bool
	if r.ask.Row, ok = r.rowKey(current, c); !ok {
		return fmt.Sprintf("the change of %s does not carry the row's key %s", c.Table, words(r.rule.key))
	}
	if c.Kind == cdc.Update && c.Old.Len() > 0 {
		if prior, ok := r.rowKey(c.Old, nil); ok && !bytes.Equal(prior, r.ask.Row) {
			r.ask.PriorRow = prior
		}
	}
	return ""
}

// rowKey encodes the key in a tuple; with a change given, what the tuple lacks
// comes from the old row.
func (r *rowOf) rowKey(t cdc.Tuple, c *cdc.Change) ([]byte, bool) {
	start := len(r.arena.bytes)
	for _, k := range r.key {
		text, state := t.Get(k.index)
		if state == cdc.Absent && c != nil {
			text, state = c.Old.Get(k.index)
		}
		if state != cdc.Present {
			r.arena.bytes = r.arena.bytes[:start]
			return nil, false
		}
		r.arena.bytes = appendKeyColumn(r.arena.bytes, k.typ.Kind == cdc.Integer, text)
	}
	return r.arena.since(start), true
}

// knownBy is the key by which the row has been known until this change.
func knownBy(ask *customerio.Ask) []byte {
	if ask.PriorRow != nil {
		return ask.PriorRow
	}
	return ask.Row
}

// admit tells whether the row is in, and addresses its person. If it is not,
// the ask is settled.
func (r *rowOf) admit(rows Rows) bool {
	if r.rule.where != nil {
		switch r.condition(r.rule.where, r.where) {
		case yes:
		case no:
			r.ask.Answer = customerio.Out
			return false
		case failed:
			return false
		case absent:
			r.ask.Missing = true
			kept, known := rows.Row(r.index, knownBy(r.ask))
			// A fresh row without an event may be one that could not be mapped.
			if !known || kept.Fresh && !kept.In || !r.nothingOf(r.where) {
				r.ask.Answer = customerio.Unsure
				return false
			}
			if !kept.In {
				r.ask.Answer = customerio.Out
				return false
			}
		}
	}
	return r.spec.Object == "object" || r.address()
}

// nothingOf tells whether the change brought none of these columns: only then
// does what was said of them before still hold.
func (r *rowOf) nothingOf(reads []bound) bool {
	for _, b := range reads {
		if _, state := r.get(b.index); state != cdc.Absent {
			return false
		}
	}
	return true
}

// address fills in the person: the first identifier that is not null.
func (r *rowOf) address() bool {
	for i := range r.rule.person {
		id := &r.rule.person[i]
		text, state := r.textOf(&id.source, &r.person[i])
		switch state {
		case textNull:
			continue
		case textAbsent:
			r.ask.Answer = customerio.Unsure
			r.ask.Missing = true
			return false
		case textFailed:
			return false
		}
		if id.kind == customerio.Email {
			text = bytes.TrimSpace(text)
		}
		person := customerio.Identifier{Type: id.kind, Value: string(text)}
		if reason := customerio.CheckIdentifier(person); reason != "" {
			r.refuse("%s: %s", id.kind, reason)
			return false
		}
		r.ask.Operation.Person = person
		return true
	}
	r.ask.Answer = customerio.Out
	return false
}

// appendAttributes renders the attributes. Whatever was not sent is left out,
// and so is what Customer.io does not take, with its reason.
func (r *rowOf) appendAttributes() {
	attributes := r.arena.row(len(r.attributes) + 1)
	if r.device != nil {
		attributes = append(attributes, customerio.Attribute{Name: customerio.FieldPlatform, Value: r.device, Always: true})
	}
	for i := range r.attributes {
		a := &r.attributes[i]
		start := len(r.arena.bytes)
		reason := r.appendAttribute(a)
		if r.ask.Answer == customerio.Refused {
			return
		}
		value := r.arena.since(start)
		if reason != "" {
			r.ask.Left = append(r.ask.Left, customerio.Omission{Name: strings.TrimPrefix(a.Name, "\x00"), Reason: reason})
		}
		if len(value) == 0 {
			continue
		}
		if a.SkipNulls && string(value) == "null" {
			r.arena.bytes = r.arena.bytes[:start]
			continue
		}
		if len(value) > customerio.MaxValue && r.spec.Object != "event" {
			if reason := customerio.CheckAttribute(a.Name, value); reason != "" {
				r.arena.bytes = r.arena.bytes[:start]
				if r.spec.Oversize == "park" {
					r.refuse("attribute %q: %s", a.Name, reason)
					return
				}
				r.ask.Left = append(r.ask.Left, customerio.Omission{Name: a.Name, Reason: reason})
				continue
			}
		}
		attributes = append(attributes, customerio.Attribute{Name: a.Name, Value: value, Passive: a.Passive, OnChange: a.OnChange, Always: a.Always})
	}
	r.arena.keep(attributes)
	r.ask.Operation.Attributes = attributes
}

// checkSize refuses an operation that is too large as a whole. Measuring it
// exactly is only worth it when it comes near.
func (r *rowOf) checkSize() {
	if r.ask.Answer != customerio.In {
		return
	}
	op := &r.ask.Operation
	size := r.nameBytes
	for i := range op.Attributes {
		size += len(op.Attributes[i].Value)
	}
	if size < customerio.MaxItem/4 && len(op.Attributes) < customerio.MaxAttributes && op.Action != customerio.Track {
		return
	}
	for {
		reason := op.Check()
		if reason == "" {
			return
		}
		if r.spec.Oversize == "park" || op.Size() <= customerio.MaxItem || len(op.Attributes) == 0 {
			r.refuse("%s", reason)
			return
		}
		// Each value alone is within the limits, all of them are not: the largest
		// is left out.
		largest := 0
		for i := range op.Attributes {
			if len(op.Attributes[i].Value) > len(op.Attributes[largest].Value) {
				largest = i
			}
		}
		r.ask.Left = append(r.ask.Left, customerio.Omission{Name: op.Attributes[largest].Name, Reason: reason})
		op.Attributes = slices.Delete(op.Attributes, largest, largest+1)
	}
}
