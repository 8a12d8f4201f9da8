package state

import "github.com/pgcio/pgcio/internal/customerio"

// owner gathers, over the things that an address may mean, whether its person or
// object is known not to be there (law 9): what would create it, or give it the
// address, is parked, and nothing else that waits would.
type owner struct {
	address customerio.Identifier // folded
	attrs   []string              // the registry's

	there  bool
	parked string // whose parked change would; "": none
}

// look looks at one of the things.
func (o *owner) look(t *thing) (goOn bool) {
	own := thingID(t.key) == o.address
	has := own
	for _, h := range t.held {
		has = has || h.accepted && h.name == o.address
	}
	o.there = o.there || t.created && has
	for i := range t.steps {
		s := &t.steps[i]
		gives := !t.created && !s.updateOnly || t.created && !own
		if !gives || !own && !writesName(o.attrs, s, o.address) {
			continue
		}
		switch s.status {
		case waiting:
			o.there = true
		case parked:
			o.parked = thingID(t.key).String()
		}
	}
	return !o.there
}

// absent says why there is no such person; "": there is, or may be.
func (o *owner) absent() string {
	if o.there || o.parked == "" {
		return ""
	}
	if o.parked == o.address.String() {
		return o.address.String() + " is not there: the change that would create it is parked"
	}
	return "nobody has " + o.address.String() + ": the change of " + o.parked + " that would give it is parked"
}

// ownerAbsent says which owner of a step is known not to be there, and why.
func (tx *Tx) ownerAbsent(ws uint8, key string, s *step) string {
	for _, address := range ownersOf(key, s) {
		o := owner{address: address, attrs: tx.s.registry.attrs}
		tx.owners(ws, address, func(t *thing) { o.look(t) })
		if reason := o.absent(); reason != "" {
			return reason
		}
	}
	return ""
}

// writesName tells whether a step writes an identifier.
func writesName(attrs []string, s *step, name customerio.Identifier) bool {
	for i := range s.parts {
		for _, a := range s.parts[i].attrs {
			kind, identifying := customerio.Identifying(attrs[a.name])
			if !identifying || kind != name.Type {
				continue
			}
			if wrote, some := customerio.IdentifierOf(kind, a.value); some && wrote == name {
				return true
			}
		}
	}
	return false
}
