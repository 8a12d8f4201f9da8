package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is one custom object.
type object struct {
	typeID, id string
	cioID      string
	attributes attributes
	people     map[*person]*relationship // person.relationships has it too
	created    time.Time
	ghost      bool
}

// label is how an object is spoken of: its type and its id.
func (o *object) label() string { return o.typeID + "/" + o.id }

func (o *object) names(list []address) []address {
	return append(list, address{kindObject, o.label()}, address{kindCioObject, o.cioID})
}

// createObject makes an object of a type and an id; it gets a cio_object_id
// that no later object ever has.
func (w *workspace) createObject(a address, op *accepted) *object {
	w.cioObjectIDs++
	o := &object{
		cioID: fmt.Sprintf("ob%08x", 0x7f000000+w.cioObjectIDs), attributes: make(attributes),
		people: make(map[*person]*relationship), created: op.due,
	}
	o.typeID, o.id, _ = strings.Cut(a.value, "/")
	for _, name := range o.names(nil) {
		w.objects[name] = o
	}
	return o
}

// objectFor finds the object that a relationship names, or makes an empty one
// as Settings.UnknownObject says; nil when the relationship is to be dropped.
func (w *workspace) objectFor(a address, op *accepted) *object {
	o := w.objects[a]
	switch {
	case o != nil:
	case a.kind == kindCioObject:
		w.drop(DropUnknownCioObject)
	case w.settings.UnknownObject == "create":
		w.notice(NoticeGhostObject)
		o = w.createObject(a, op)
		o.ghost = true
	default:
		w.drop(DropUnknownObject)
	}
	return o
}

// removeObject deletes an object with its relationships.
// Customer.io docs: Track API v2, object delete.
func (w *workspace) removeObject(o *object) {
	for _, a := range o.names(nil) {
		delete(w.objects, a)
	}
	for p := range o.people {
		delete(p.relationships, o)
	}
}

// firstObjects lists the first n objects, by type and id.
func (s *store) firstObjects(n int) []*object {
	var all iter.Seq[*object] = func(yield func(*object) bool) {
		for a, o := range s.objects {
			if a.kind == kindObject && !yield(o) {
				return
			}
		}
	}
	return least(n, byType, all)
}

// byType orders types as the numbers they are.
func byType(a, b *object) int {
	return cmp.Or(cmp.Compare(len(a.typeID), len(b.typeID)), cmp.Compare(a.typeID, b.typeID), cmp.Compare(a.id, b.id))
}

// parseObject reads an operation on an object.
func parseObject(it *item) (operation, *invalid) {
	a, inv := it.readObject("identifiers", it.field("identifiers"))
	if inv != nil {
		return nil, inv
	}
	switch it.action {
	case "identify":
		return parseIdentifyObject(it, a)
	case "identify_anonymous":
		// Customer.io docs: Track API v2. It differs in whom it relates: people
		// known by an anonymous_id, whom this package does not have.
		it.only("attributes", "anonymous_id", "cio_relationships")
		if it.field("cio_relationships") != nil || it.field("anonymous_id") != nil {
			return nil, it.notSimulated("cio_relationships", "anonymous people")
		}
		return parseIdentifyObject(it, a)
	case "delete":
		it.only()
		return &deleteObject{a}, nil
	case "add_relationships", "delete_relationships":
		return parseRelate(it, a)
	}
	return nil, bad("action", "unknown action for an object")
}

// readObject reads what names an object: a type and an id, or a cio_object_id.
// Customer.io docs: Track API v2, object identifiers; objects.
func (it *item) readObject(field string, raw json.RawMessage) (a address, inv *invalid) {
	if raw == nil {
		return a, missing(field)
	}
	list, err := members(raw)
	if err != nil {
		return a, bad(field, "%s %s", field, err)
	}
	var typeID, id, cioID string
	for _, m := range list {
		value, ok := asString(m.value)
		if !ok {
			return a, bad(field+"."+m.key, "%s must be a string value", m.key)
		}
		switch m.key {
		case "object_type_id":
			typeID = value
		case "object_id":
			id = value
		case "cio_object_id":
			cioID = value
		}
	}
	switch {
	case len(list) == 1 && cioID != "":
		return address{kindCioObject, cioID}, nil
	case len(list) != 2 || typeID == "" || strings.TrimSpace(id) == "":
		return a, bad(field, "%s must hold object_type_id and object_id, or cio_object_id, and they cannot be empty", field)
	case len(id) > maxIDBytes:
		return a, over(field+".object_id", "object_id cannot be longer than %d bytes", maxIDBytes)
	}
	if n, err := strconv.ParseUint(typeID, 10, 31); err != nil || strconv.FormatUint(n, 10) != typeID {
		return a, bad(field+".object_type_id", "object_type_id must be an integer in a string")
	}
	if !slices.Contains(it.settings.ObjectTypes, typeID) {
		return a, bad(field+".object_type_id", "there is no object type %s", typeID)
	}
	return address{kindObject, typeID + "/" + id}, nil
}

// identifyObject creates or updates an object, and adds relationships to those
// it has.
type identifyObject struct {
	address    address
	attributes []member
	people     []related
}

func parseIdentifyObject(it *item, a address) (operation, *invalid) {
	it.only("attributes", "cio_relationships")
	op := &identifyObject{address: a}
	var inv *invalid
	if op.attributes, inv = readAttributes("attributes", it.field("attributes")); inv != nil {
		return nil, inv
	}
	for _, m := range op.attributes {
		it.noteAttribute(m)
		if slices.Contains([]string{"relationship", "_relationship", "object_id", "object_type_id", "cio_object_id"}, m.key) {
			it.notice(NoticeReservedName)
		}
	}
	op.people, inv = it.readRelated("cio_relationships", it.field("cio_relationships"), true)
	return op, inv
}

func (op *identifyObject) action() string { return "identify" }

func (op *identifyObject) names(list []address) []address {
	list = append(list, op.address)
	for _, r := range op.people {
		list = append(list, r.address.key())
	}
	return list
}

func (op *identifyObject) apply(w *workspace, a *accepted) {
	o := w.objects[op.address]
	if o == nil && op.address.kind == kindCioObject {
		// Customer.io docs: Track API v2, "updates only".
		w.drop(DropUnknownCioObject)
		return
	}
	if o == nil {
		o = w.createObject(op.address, a)
	}
	o.ghost = false
	w.setUntimed(o.attributes, op.attributes, a, func(m member, reason string) {
		w.drop(DropTotalAttributes)
		w.failObject(nil, o, a, m, reason)
	})
	for _, r := range op.people {
		if p := w.personFor(r.address, a, DropUnknownRelated); p != nil {
			w.relate(p, o, r.attributes, a)
		}
	}
}

func (w *workspace) failObject(p *person, o *object, a *accepted, m member, reason string) {
	f := FailedAttributeChange{Object: o.label(), Field: m.key, Value: stringify(compact(m.value)), Reason: reason, At: a.due}
	if p != nil {
		f.CioID, f.Person = p.cioID(), p.label()
		f.id, f.email = p.identifiers[kindID].value, p.identifiers[kindEmail].value
	}
	w.failed = append(w.failed, f)
}

// deleteObject is the operation "delete" of an object.
type deleteObject struct{ address address }

func (op *deleteObject) action() string                 { return "delete" }
func (op *deleteObject) names(list []address) []address { return append(list, op.address) }

func (op *deleteObject) apply(w *workspace, _ *accepted) {
	if o := w.objects[op.address]; o != nil {
		w.removeObject(o)
		return
	}
	w.notice(NoticeDeleteUnknownObject)
}

// Object is one custom object.
type Object struct {
	Type        string               `json:"type"` // object_type_id
	ID          string               `json:"id"`
	CioObjectID string               `json:"cio_object_id,omitempty"`
	Ghost       bool                 `json:"ghost,omitempty"` // named by a relationship, never identified
	Attributes  map[string]Attribute `json:"attributes"`
	People      []string             `json:"people,omitempty"` // related, such as "id:42", sorted
	Created     time.Time            `json:"created"`
}

func (o *object) public() Object {
	public := Object{
		Type: o.typeID, ID: o.id, CioObjectID: o.cioID, Ghost: o.ghost, Attributes: o.attributes.public(), Created: o.created,
	}
	for p := range o.people {
		public.People = append(public.People, p.label())
	}
	slices.Sort(public.People)
	return public
}

// Value is an attribute's JSON text; "" when the object has none of that name.
func (o Object) Value(attribute string) string { return string(o.Attributes[attribute].Value) }
