package state

import (
	"fmt"
	"slices"

	"github.com/pgcio/pgcio/internal/customerio"
)

// heldByAnother names the thing of ours that still has, at Customer.io, an
// identifier which the step writes or is addressed by; "" when none does.
func (d *drawing) heldByAnother(t *thing, st *step) string {
	for i := range st.parts {
		for _, a := range st.parts[i].attrs {
			kind, identifying := customerio.Identifying(d.attrs[a.name])
			if !identifying {
				continue
			}
			if name, some := customerio.IdentifierOf(kind, a.value); some {
				if reason := d.heldBy(t, name); reason != "" {
					return reason
				}
			}
		}
	}
	return d.heldBy(t, thingID(t.key))
}

// heldBy looks for another thing, named by the same kind of identifier (one
// named by another kind may well be the same person), that has the name.
func (d *drawing) heldBy(t *thing, name customerio.Identifier) string {
	rec := d.name(name)
	if rec == nil {
		return ""
	}
	refused := func(by string) string {
		return heldPrefix + name.String() + " of " + thingID(t.key).String() + " is still held by " + by
	}
	for _, key := range rec.things {
		if key == t.key || samePerson(key, t.key) {
			continue
		}
		other := d.thing(key)
		if other == nil {
			continue
		}
		for _, h := range other.held {
			if h.name == name && h.accepted {
				return refused(thingID(key).String())
			}
		}
	}
	if len(rec.things) >= maxHolders && name != thingID(t.key) && !slices.Contains(rec.things, t.key) {
		return refused(fmt.Sprintf("%s, or wanted by it and %d others", thingID(rec.things[0]), len(rec.things)-1))
	}
	return ""
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
