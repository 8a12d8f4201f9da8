package simulator

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// State is what one workspace holds: what is applied, never what is accepted
// and still waits.
type State struct {
	// People are sorted by id, then e-mail address, phone and cio_id.
	People []Person `json:"people"`
	// Objects are sorted by type and id.
	Objects []Object `json:"objects,omitempty"`
	// Segments and Collections are sorted by their ids.
	Segments    []Segment    `json:"segments,omitempty"`
	Collections []Collection `json:"collections,omitempty"`
	// Events are in the order in which they were applied.
	Events []Event `json:"events"`
	// Suppressed are the blocked identifiers, such as "email:a@b.c", sorted.
	Suppressed []string `json:"suppressed"`
	// FailedAttributeChanges are in the order in which they happened.
	FailedAttributeChanges []FailedAttributeChange `json:"failed_attribute_changes"`
	// Drops counts what was answered with success and did not happen.
	Drops map[Drop]int64 `json:"drops"`
	// Notices counts what a sender might want to know.
	Notices  map[Notice]int64 `json:"notices"`
	Counters Counters         `json:"counters"`
}

// Person is one profile.
type Person struct {
	CioID string `json:"cio_id,omitempty"`
	ID    string `json:"id,omitempty"`
	// Email is the address, whether or not it identifies people here; where it
	// does not, it is among the attributes too.
	Email      string               `json:"email,omitempty"`
	Phone      string               `json:"phone,omitempty"`
	Ghost      bool                 `json:"ghost,omitempty"` // never identified
	Attributes map[string]Attribute `json:"attributes"`
	Devices    []Device             `json:"devices,omitempty"` // by token
	// Segments are the names of those the person is in, sorted.
	Segments      []string       `json:"segments,omitempty"`
	Relationships []Relationship `json:"relationships,omitempty"` // by type and id
	Created       time.Time      `json:"created"`
}

// Attribute is a value as JSON, as it was sent.
type Attribute struct {
	Value json.RawMessage `json:"value"`
	// Timestamp is when it was true, in Unix seconds: the newest one, for an
	// attribute that was written path by path.
	Timestamp int64 `json:"timestamp"`
}

// Device is a push token of a person.
type Device struct {
	Token      string            `json:"token"`
	Platform   string            `json:"platform"`
	LastUsed   int64             `json:"last_used,omitempty"` // Unix seconds
	Attributes map[string]string `json:"attributes"`
}

// State returns what a workspace holds now. It panics if there is no such
// workspace; "" names the only one.
func (s *Simulator) State(name string) State {
	w := s.must(name)
	var state State
	w.look(time.Now(), func() { state = w.state(max(len(w.people), len(w.objects)), w.events) })
	return state
}

// state shows the first people and objects, up to a number, and the given
// events.
func (w *workspace) state(first int, events []*event) State {
	state := State{
		People: []Person{}, Events: make([]Event, 0, len(events)), Suppressed: []string{},
		FailedAttributeChanges: append([]FailedAttributeChange{}, w.failed...),
		Drops:                  maps.Clone(w.drops), Notices: maps.Clone(w.notices), Counters: w.counters,
	}
	state.Counters.Pending = int64(len(w.queue.waits))
	state.Counters.PeakTrackPerSecond, state.Counters.PeakAppPerSecond = w.trackRate.peak, w.appRate.peak
	for _, p := range w.first(first) {
		state.People = append(state.People, w.public(p))
	}
	for _, o := range w.firstObjects(first) {
		state.Objects = append(state.Objects, o.public())
	}
	for _, s := range w.everySegment() {
		state.Segments = append(state.Segments, s.public())
	}
	for _, c := range w.everyCollection() {
		state.Collections = append(state.Collections, c.public())
	}
	for _, e := range events {
		state.Events = append(state.Events, e.public())
	}
	for a := range w.suppression {
		state.Suppressed = append(state.Suppressed, a.String())
	}
	slices.Sort(state.Suppressed)
	return state
}

func (w *workspace) public(p *person) Person {
	return Person{
		CioID: p.cioID(), ID: p.identifiers[kindID].value, Email: w.emailOf(p), Phone: p.identifiers[kindPhone].value,
		Ghost: p.ghost, Attributes: p.attributes.public(), Devices: p.publicDevices(),
		Segments: p.publicSegments(), Relationships: p.publicRelationships(), Created: p.created,
	}
}

func (p *person) publicDevices() []Device {
	var list []Device
	for token, d := range p.devices {
		list = append(list, Device{token, d.platform, d.lastUsed, maps.Clone(d.attributes)})
	}
	slices.SortFunc(list, func(a, b Device) int { return cmp.Compare(a.Token, b.Token) })
	return list
}

// Person finds a person by "id:42", "email:a@b.c", "phone:+1…" or "cio_id:…".
func (s State) Person(name string) (Person, bool) {
	kind, value, _ := strings.Cut(name, ":")
	for _, p := range s.People {
		switch kind {
		case "id":
			if p.ID == value {
				return p, true
			}
		case "email":
			if p.Email != "" && strings.EqualFold(p.Email, value) {
				return p, true
			}
		case "phone":
			if p.Phone == value {
				return p, true
			}
		case "cio_id":
			if p.CioID == value {
				return p, true
			}
		}
	}
	return Person{}, false
}

// Object finds an object by its type and id.
func (s State) Object(typeID, id string) (Object, bool) {
	for _, o := range s.Objects {
		if o.Type == typeID && o.ID == id {
			return o, true
		}
	}
	return Object{}, false
}

// Segment finds the first segment of a name.
func (s State) Segment(name string) (Segment, bool) {
	for _, v := range s.Segments {
		if v.Name == name {
			return v, true
		}
	}
	return Segment{}, false
}

// Collection finds the first collection of a name.
func (s State) Collection(name string) (Collection, bool) {
	for _, c := range s.Collections {
		if c.Name == name {
			return c, true
		}
	}
	return Collection{}, false
}

// EventsOf lists the events of a person, as Event.Person names them.
func (s State) EventsOf(name string) []Event {
	var list []Event
	for _, e := range s.Events {
		if e.Person == name {
			list = append(list, e)
		}
	}
	return list
}

// Owners lists the people who have a device token, as "id:42" or
// "email:a@b.c".
func (s State) Owners(token string) []string {
	var list []string
	for _, p := range s.People {
		if slices.ContainsFunc(p.Devices, func(d Device) bool { return d.Token == token }) {
			list = append(list, p.Name())
		}
	}
	return list
}

// Name is what the dump calls the person: by id, else e-mail address, phone or
// cio_id.
func (p Person) Name() string {
	switch {
	case p.ID != "":
		return address{kindID, p.ID}.String()
	case p.Email != "":
		return address{kindEmail, p.Email}.key().String()
	case p.Phone != "":
		return address{kindPhone, p.Phone}.String()
	}
	return address{kindCioID, p.CioID}.String()
}

// Relationship finds the person's relationship with an object.
func (p Person) Relationship(typeID, id string) (Relationship, bool) {
	for _, r := range p.Relationships {
		if r.Object == typeID+"/"+id {
			return r, true
		}
	}
	return Relationship{}, false
}

// Value is an attribute's JSON text; "" when the person has none of that name.
func (p Person) Value(attribute string) string { return string(p.Attributes[attribute].Value) }
