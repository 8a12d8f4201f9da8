package mapping

import (
	"bytes"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// Touch is what mapping one change will ask the state for, as far as can be
// told at little cost. Its bytes live until the next one.
type Touch struct {
	Mapping int
	// Row is the row's key; Prior the one it had before, if that was another.
	Row, Prior []byte
	// Person is what names the row's person, if it is a column that the change
	// carries: a kind of 0 means that Map will tell.
	Person customerio.IdentifierType
	Name   []byte
	// EventKey is set for events that are inserted or read.
	EventKey [16]byte
	IsEvent  bool
}

// Keys tells visit, before a batch is mapped, what mapping it will ask the
// state for, so that all of it can be fetched together.
func (m *Mapper) Keys(b *cdc.Batch, visit func(Touch)) {
	var asks [1]customerio.Ask
	for i := range b.Changes {
		c := &b.Changes[i]
		if c.Kind == cdc.Truncate {
			continue
		}
		p := m.plan(c.Table)
		for j := range p.rules {
			asks[0] = customerio.Ask{}
			r := rowOf{Mapper: m, rulePlan: &p.rules[j], change: c, ask: &asks[0]}
			m.touch(&r, visit)
		}
	}
}

// touch works in the arena and gives back what it took.
func (m *Mapper) touch(r *rowOf, visit func(Touch)) {
	if r.broken != "" {
		return
	}
	m.arena.row(0)
	start := len(m.arena.bytes)
	defer func() { m.arena.bytes = m.arena.bytes[:start] }()
	if r.keys() != "" {
		return
	}
	t := Touch{Mapping: r.index, Row: r.ask.Row, Prior: r.ask.PriorRow}
	kind := r.change.Kind
	if r.spec.Object == "event" {
		if kind != cdc.Insert && kind != cdc.Read {
			visit(t)
			return
		}
		if r.rule.eventID.form == FromColumn {
			if id, state := r.textOf(&r.rule.eventID, &r.eventID); state == textPresent {
				t.EventKey, t.IsEvent = customerio.EventKey(r.spec.Name, string(id)), true
			}
		}
	}
	if kind != cdc.Delete && (r.spec.Object == "person" || r.spec.Object == "event") {
		for i := range r.rule.person {
			id := &r.rule.person[i]
			if id.form != FromColumn {
				break
			}
			name, state := r.get(r.person[i].index)
			if state == cdc.Null {
				continue
			}
			if state == cdc.Present {
				t.Person, t.Name = id.kind, name
				if id.kind == customerio.Email {
					t.Name = bytes.TrimSpace(name)
				}
			}
			break
		}
	}
	visit(t)
}
