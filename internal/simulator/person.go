package simulator

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// kind is what sort of name an address holds.
type kind uint8

const (
	kindID kind = iota
	kindEmail
	kindPhone
	kindCioID
	// The kinds below name no person.
	kindToken
	kindMembership // "7 id:42": a segment and somebody
	kindObject     // "1/acme": the type and the object_id
	kindCioObject
)

var kindNames = [...]string{"id", "email", "phone", "cio_id", "token", "membership", "object", "cio_object_id"}

// ofPerson reports whether the kind names a person.
func (k kind) ofPerson() bool { return k <= kindCioID }

func (k kind) String() string { return kindNames[k] }

// address names a person by one identifier, or something else that operations
// can share. As a key, the value of an e-mail
// address is in lower case: Customer.io compares them without case, and ids
// with it. Customer.io docs: identifying people.
type address struct {
	kind  kind
	value string
}

func (a address) String() string { return a.kind.String() + ":" + a.value }

// key is the address as people are found by.
func (a address) key() address {
	if a.kind == kindEmail {
		a.value = strings.ToLower(a.value)
	}
	return a
}

// person is one profile.
type person struct {
	// identifiers holds those people are known by, as they were written, and
	// when; a cleared one is empty and keeps its time.
	identifiers [kindCioID + 1]identifier
	attributes  attributes
	devices     map[string]*device
	// What the other side has too: segment.members, object.people. Nil until
	// there is one.
	segments      map[*segment]struct{}
	relationships map[*object]*relationship
	created       time.Time
	ghost         bool
}

type identifier struct {
	value     string
	timestamp int64
	seq       int64
}

func (p *person) cioID() string { return p.identifiers[kindCioID].value }

// names appends every address the person answers to.
func (p *person) names(list []address) []address {
	for k := range p.identifiers {
		if v := p.identifiers[k].value; v != "" {
			list = append(list, address{kind(k), v}.key())
		}
	}
	return list
}

// label is how people speak of the person: by id, else e-mail address, phone,
// or cio_id.
func (p *person) label() string {
	for k := range p.identifiers {
		if v := p.identifiers[k].value; v != "" {
			return address{kind(k), v}.key().String()
		}
	}
	return ""
}

func (w *workspace) find(a address) *person { return w.people[a.key()] }

// create makes a profile known by one identifier and by a cio_id of its own,
// which no later person ever gets.
func (w *workspace) create(a address, op *accepted, timestamp int64) *person {
	w.cioIDs++
	p := &person{attributes: make(attributes), created: op.due}
	w.name(p, address{kindCioID, fmt.Sprintf("a%07x", 0x3000000+w.cioIDs)}, timestamp, op.seq)
	w.name(p, a, timestamp, op.seq)
	w.counters.Created++
	return p
}

// createGhost makes an empty profile for an operation that names nobody known.
func (w *workspace) createGhost(a address, op *accepted) *person {
	w.notice(NoticeGhost)
	p := w.create(a, op, op.received)
	p.ghost = true
	return p
}

// personFor finds whom an operation is about that is no identify, or makes a
// ghost as Settings.UnknownPerson says; nil when it is to be dropped, for lack
// where nobody is there.
func (w *workspace) personFor(a address, op *accepted, lack Drop) *person {
	if w.isSuppressed([]address{a}) {
		w.drop(DropSuppressed)
		return nil
	}
	p := w.find(a)
	switch {
	case p != nil:
	case a.kind == kindCioID:
		w.drop(DropUnknownCioID)
	case w.settings.UnknownPerson == "create":
		return w.createGhost(a, op)
	default:
		w.drop(lack)
	}
	return p
}

// name makes p known by a, instead of by what it had of that kind; an empty
// value takes that away.
func (w *workspace) name(p *person, a address, timestamp, seq int64) {
	if old := p.identifiers[a.kind].value; old != "" {
		delete(w.people, address{a.kind, old}.key())
	}
	p.identifiers[a.kind] = identifier{a.value, timestamp, seq}
	if a.value != "" {
		w.people[a.key()] = p
	}
}

// remove deletes a profile with all that hangs on it: devices, memberships,
// relationships. What was recorded of it (events, failed changes) stays.
func (w *workspace) remove(p *person) {
	for _, a := range p.names(nil) {
		delete(w.people, a)
	}
	for s := range p.segments {
		delete(s.members, p)
	}
	for o := range p.relationships {
		delete(o.people, p)
	}
	w.counters.Deleted++
}

// everyone lists the people, by id, then e-mail address, phone and cio_id.
func (s *store) everyone() []*person { return s.first(len(s.people)) }

// first lists the first n of them, without sorting all.
func (s *store) first(n int) []*person {
	return least(n, byIdentifiers, func(yield func(*person) bool) {
		for a, p := range s.people {
			if a.kind == kindCioID && !yield(p) {
				return
			}
		}
	})
}

// least returns the n smallest, in order, without sorting all.
func least[T any](n int, compare func(a, b T) int, all iter.Seq[T]) []T {
	var list []T
	for v := range all {
		if list = append(list, v); len(list) >= 2*n+2 {
			slices.SortFunc(list, compare)
			list = list[:n]
		}
	}
	slices.SortFunc(list, compare)
	return list[:min(n, len(list))]
}

func byIdentifiers(a, b *person) int {
	for k := range a.identifiers {
		if c := cmp.Compare(a.identifiers[k].value, b.identifiers[k].value); c != 0 {
			return c
		}
	}
	return 0
}

// deletePerson is the operation "delete". Deleting somebody unknown is taken
// as done; the docs do not say.
type deletePerson struct{ address address }

func parseDelete(it *item) (operation, *invalid) {
	it.only()
	return &deletePerson{it.address}, nil
}

func (op *deletePerson) action() string                 { return "delete" }
func (op *deletePerson) names(list []address) []address { return append(list, op.address.key()) }

func (op *deletePerson) apply(w *workspace, _ *accepted) {
	if p := w.find(op.address); p != nil {
		w.remove(p)
		return
	}
	w.notice(NoticeDeleteUnknown)
}
