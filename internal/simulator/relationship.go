package simulator

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
)

// relationship is what there is between a person and an object.
type relationship struct{ attributes attributes }

// relate adds a relationship, or changes the attributes of the one there is.
func (w *workspace) relate(p *person, o *object, list []member, op *accepted) {
	r := p.relationships[o]
	if r == nil {
		r = &relationship{make(attributes)}
		o.add(p, r)
	}
	w.setUntimed(r.attributes, list, op, func(m member, reason string) {
		w.drop(DropTotalAttributes)
		w.failObject(p, o, op, m, reason)
	})
}

func (o *object) add(p *person, r *relationship) {
	if p.relationships == nil {
		p.relationships = make(map[*object]*relationship)
	}
	p.relationships[o], o.people[p] = r, r
}

// unrelate takes a relationship away; either may be nobody.
func (w *workspace) unrelate(p *person, o *object) {
	if p == nil || o == nil || p.relationships[o] == nil {
		w.notice(NoticeRelationshipUnknown)
		return
	}
	delete(p.relationships, o)
	delete(o.people, p)
}

// related is one entry of cio_relationships: the other side.
type related struct {
	address    address
	attributes []member
}

// readRelated reads a list of people, if people, or of objects to relate to.
// Customer.io docs: Track API v2: people there have no phone.
func (it *item) readRelated(field string, raw json.RawMessage, people bool) ([]related, *invalid) {
	if raw == nil {
		return nil, nil
	}
	entries, err := elements(raw)
	if err != nil {
		return nil, bad(field, "%s %s", field, err)
	}
	if len(entries) == 0 {
		it.notice(NoticeEmptyRelationships)
	}
	list := make([]related, 0, len(entries))
	for i, e := range entries {
		field := field + "." + strconv.Itoa(i)
		fields, err := members(e)
		if err != nil {
			return nil, bad(field, "%s %s", field, err)
		}
		var r related
		var identifiers json.RawMessage
		var inv *invalid
		for _, m := range fields {
			switch m.key {
			case "identifiers":
				identifiers = m.value
			case "relationship_attributes":
				if r.attributes, inv = readAttributes(field+".relationship_attributes", m.value); inv != nil {
					return nil, inv
				}
				for _, m := range r.attributes {
					it.noteAttribute(m)
				}
			default:
				it.notice(NoticeUnknownField)
			}
		}
		if people {
			r.address, inv = it.readPerson(field+".identifiers", identifiers, false)
		} else {
			r.address, inv = it.readObject(field+".identifiers", identifiers)
		}
		if inv != nil {
			return nil, inv
		}
		list = append(list, r)
	}
	return list, nil
}

// relateTo is the operation "add_relationships" or "delete_relationships" of a
// person or of an object.
type relateTo struct {
	address address
	others  []related
	remove  bool
}

func parseRelate(it *item, a address) (operation, *invalid) {
	it.only("cio_relationships")
	if it.field("cio_relationships") == nil {
		return nil, missing("cio_relationships")
	}
	others, inv := it.readRelated("cio_relationships", it.field("cio_relationships"), !a.kind.ofPerson())
	return &relateTo{a, others, it.action == "delete_relationships"}, inv
}

func (op *relateTo) action() string {
	if op.remove {
		return "delete_relationships"
	}
	return "add_relationships"
}

func (op *relateTo) names(list []address) []address {
	list = append(list, op.address.key())
	for _, r := range op.others {
		list = append(list, r.address.key())
	}
	return list
}

func (op *relateTo) apply(w *workspace, a *accepted) {
	for _, r := range op.others {
		who, what := op.address, r.address
		if !who.kind.ofPerson() {
			who, what = what, who
		}
		switch {
		case op.remove:
			w.unrelate(w.find(who), w.objects[what])
		// Neither side is made for a relationship that does not come about.
		case w.objects[what] == nil && (what.kind == kindCioObject || w.settings.UnknownObject == "drop"):
			w.objectFor(what, a)
		default:
			if p := w.personFor(who, a, DropUnknownRelated); p != nil {
				w.relate(p, w.objectFor(what, a), r.attributes, a)
			}
		}
	}
}

// Relationship is one of a person's.
type Relationship struct {
	Object     string               `json:"object"` // its type and id, such as "1/acme"
	Attributes map[string]Attribute `json:"attributes"`
}

func (p *person) publicRelationships() []Relationship {
	var list []Relationship
	for _, o := range p.objects() {
		list = append(list, Relationship{o.label(), p.relationships[o].attributes.public()})
	}
	return list
}

// objects lists those the person is related to, by type and id.
func (p *person) objects() []*object {
	list := make([]*object, 0, len(p.relationships))
	for o := range p.relationships {
		list = append(list, o)
	}
	slices.SortFunc(list, byType)
	return list
}

// related lists the people related to an object, by cio_id.
func (o *object) related() []*person {
	list := make([]*person, 0, len(o.people))
	for p := range o.people {
		list = append(list, p)
	}
	slices.SortFunc(list, byCioID)
	return list
}

func byCioID(a, b *person) int { return cmp.Compare(a.cioID(), b.cioID()) }
