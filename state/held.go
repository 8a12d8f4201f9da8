package state

import (
	"fmt"
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
)

// holders is where it is looked up who has an identifier, or may come to have it:
// a drawing, and a transaction.
type holders interface {
	holdersOf(ws uint8, name customerio.Identifier) []string // keys of things
	holder(key string) *thing                                // nil: there is none
}

func (d *drawing) holdersOf(_ uint8, name customerio.Identifier) []string {
	if rec := d.name(name); rec != nil {
		return rec.things
	}
	return nil
}

func (d *drawing) holder(key string) *thing { return d.thing(key) }

func (tx *Tx) holdersOf(ws uint8, name customerio.Identifier) []string {
	return tx.name(nameKey(ws, name)).things
}

func (tx *Tx) holder(key string) *thing {
	if !tx.exists(key) {
		return nil
	}
	return tx.thing(key)
}

// heldByAnother names the thing of ours that still has, at Customer.io, an
// identifier which the step writes or is addressed by; "" when none does.
func heldByAnother(in holders, attrs []string, t *thing, st *step) string {
	for i := range st.parts {
		for _, a := range st.parts[i].attrs {
			kind, identifying := customerio.Identifying(attrs[a.name])
			if !identifying {
				continue
			}
			if name, some := customerio.IdentifierOf(kind, a.value); some {
				if reason := heldBy(in, t, name); reason != "" {
					return reason
				}
			}
		}
	}
	return heldBy(in, t, thingID(t.key))
}

// heldBy looks for another thing, named by the same kind of identifier (one
// named by another kind may well be the same person), that has the name. A thing
// that was turned away from those who may have it waits for its turn among them:
// nothing else keeps it in order.
func heldBy(in holders, t *thing, name customerio.Identifier) string {
	things := in.holdersOf(t.key[1], name)
	refused := func(by string) string {
		return heldPrefix + name.String() + " of " + thingID(t.key).String() + " is still held by " + by
	}
	for _, key := range things {
		if key == t.key || samePerson(key, t.key) {
			continue
		}
		other := in.holder(key)
		if other == nil {
			continue
		}
		for _, h := range other.held {
			if h.name == name && h.accepted {
				return refused(thingID(key).String())
			}
		}
	}
	switch {
	case name == thingID(t.key), slices.Contains(things, t.key):
		return ""
	case len(things) == 0:
		return refused("those who had it")
	}
	return refused(fmt.Sprintf("%s, or wanted by it and %d others", thingID(things[0]), len(things)-1))
}

// freed tells whether what kept a step from leaving, because another held an
// identifier, is over by now; if it was turned away, it has its turn where there
// is room.
func (tx *Tx) freed(ws uint8, t *thing, st *step) bool {
	tx.holdAgain(ws, t, st)
	return heldByAnother(tx, tx.s.registry.attrs, t, st) == ""
}

// name reads the record of an identifier; nil: there is none.
func (d *drawing) name(name customerio.Identifier) *nameRecord {
	rec := &nameRecord{key: nameKey(d.ws, name)}
	v := d.r.get([]byte(rec.key))
	if v == nil {
		return nil
	}
	if err := rec.decode(v); err != nil {
		d.err = err
		return nil
	}
	return rec
}
