package simulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// DumpOptions add what differs from run to run.
type DumpOptions struct {
	// Times adds timestamps and when people were created.
	Times bool
	// IDs adds cio_ids and the ids of events.
	IDs bool
	// Counts adds counters, drops, notices, failed changes, and how often
	// events were received.
	Counts bool
}

// Dump writes what all workspaces hold as JSON for comparison with a golden
// file: everything sorted, events by person, name and data, rows of collections
// as they were sent, and nothing that
// depends on clocks, retries or the order of unrelated requests, unless asked
// for. It ends with a newline.
func (s *Simulator) Dump(o DumpOptions) []byte {
	out := make(map[string]dumpedState, len(s.workspaces))
	for _, w := range s.workspaces {
		out[w.Name] = dumped(s.State(w.Name), o)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, encode(map[string]any{"workspaces": out}), "", "  "); err != nil {
		panic("simulator: indenting the dump: " + err.Error())
	}
	b.WriteByte('\n')
	return b.Bytes()
}

type dumpedState struct {
	People      []dumpedPerson          `json:"people"`
	Objects     []dumpedObject          `json:"objects,omitempty"`
	Segments    []dumpedSegment         `json:"segments,omitempty"`
	Collections []dumpedCollection      `json:"collections,omitempty"`
	Events      []dumpedEvent           `json:"events"`
	Suppressed  []string                `json:"suppressed"`
	Failed      []FailedAttributeChange `json:"failed_attribute_changes,omitempty"`
	Drops       map[Drop]int64          `json:"drops,omitempty"`
	Notices     map[Notice]int64        `json:"notices,omitempty"`
	Counters    *Counters               `json:"counters,omitempty"`
}

type dumpedPerson struct {
	ID            string                     `json:"id,omitempty"`
	Email         string                     `json:"email,omitempty"`
	Phone         string                     `json:"phone,omitempty"`
	CioID         string                     `json:"cio_id,omitempty"`
	Ghost         bool                       `json:"ghost,omitempty"`
	Attributes    map[string]json.RawMessage `json:"attributes"`
	Timestamps    map[string]int64           `json:"timestamps,omitempty"`
	Created       int64                      `json:"created,omitempty"`
	Devices       []Device                   `json:"devices,omitempty"`
	Segments      []string                   `json:"segments,omitempty"`
	Relationships []dumpedRelationship       `json:"relationships,omitempty"`
}

type dumpedRelationship struct {
	Object     string                     `json:"object"`
	Attributes map[string]json.RawMessage `json:"attributes,omitempty"`
	Timestamps map[string]int64           `json:"timestamps,omitempty"`
}

type dumpedObject struct {
	Type        string                     `json:"type"`
	ID          string                     `json:"id"`
	CioObjectID string                     `json:"cio_object_id,omitempty"`
	Ghost       bool                       `json:"ghost,omitempty"`
	Attributes  map[string]json.RawMessage `json:"attributes"`
	Timestamps  map[string]int64           `json:"timestamps,omitempty"`
	Created     int64                      `json:"created,omitempty"`
	People      []string                   `json:"people,omitempty"`
}

type dumpedSegment struct {
	ID          int64    `json:"id,omitempty"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Dynamic     bool     `json:"dynamic,omitempty"`
	Members     []string `json:"members"`
}

type dumpedCollection struct {
	ID     int64             `json:"id,omitempty"`
	Name   string            `json:"name"`
	Rows   []json.RawMessage `json:"rows"`
	Writes int64             `json:"writes,omitempty"`
}

type dumpedEvent struct {
	Person    string          `json:"person"`
	Orphan    bool            `json:"orphan,omitempty"`
	Kind      string          `json:"kind,omitempty"` // unless "event"
	Name      string          `json:"name"`
	ID        string          `json:"id,omitempty"`
	Data      json.RawMessage `json:"data"`
	Timestamp int64           `json:"timestamp,omitempty"`
	Received  int64           `json:"received,omitempty"`
}

func dumped(s State, o DumpOptions) dumpedState {
	out := dumpedState{People: []dumpedPerson{}, Events: []dumpedEvent{}, Suppressed: s.Suppressed}
	if !o.IDs {
		out.Suppressed = slices.DeleteFunc(out.Suppressed, func(name string) bool {
			return strings.HasPrefix(name, kindCioID.String()+":")
		})
	}
	for _, p := range s.People {
		d := dumpedPerson{
			ID: p.ID, Email: p.Email, Phone: p.Phone, Ghost: p.Ghost, Devices: p.Devices, Segments: p.Segments,
		}
		d.Attributes, d.Timestamps = dumpedAttributes(p.Attributes, o)
		for _, r := range p.Relationships {
			values, timestamps := dumpedAttributes(r.Attributes, o)
			d.Relationships = append(d.Relationships, dumpedRelationship{r.Object, values, timestamps})
		}
		if o.IDs {
			d.CioID = p.CioID
		}
		if o.Times {
			d.Created = p.Created.Unix()
		} else {
			for i := range d.Devices {
				d.Devices[i].LastUsed = 0
			}
		}
		out.People = append(out.People, d)
	}
	out.others(s, o)
	for _, e := range s.Events {
		d := dumpedEvent{Person: e.Person, Orphan: e.Orphan, Name: e.Name, Data: e.Data}
		if e.Kind != "event" {
			d.Kind = e.Kind
		}
		if o.IDs {
			d.ID = e.ID
		}
		if o.Times {
			d.Timestamp = e.Timestamp
		}
		if o.Counts {
			d.Received = e.Received
		}
		out.Events = append(out.Events, d)
	}
	slices.SortStableFunc(out.Events, func(a, b dumpedEvent) int {
		return cmp.Or(cmp.Compare(a.Person, b.Person), cmp.Compare(a.Name, b.Name),
			bytes.Compare(a.Data, b.Data), cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.ID, b.ID))
	})
	if o.Counts {
		out.Failed, out.Drops, out.Notices, out.Counters = s.FailedAttributeChanges, s.Drops, s.Notices, &s.Counters
	}
	return out
}

// others adds objects, segments and collections. By their names two runs agree,
// whichever made them first.
func (out *dumpedState) others(s State, o DumpOptions) {
	for _, v := range s.Objects {
		d := dumpedObject{Type: v.Type, ID: v.ID, Ghost: v.Ghost, People: v.People}
		d.Attributes, d.Timestamps = dumpedAttributes(v.Attributes, o)
		if o.IDs {
			d.CioObjectID = v.CioObjectID
		}
		if o.Times {
			d.Created = v.Created.Unix()
		}
		out.Objects = append(out.Objects, d)
	}
	for _, v := range s.Segments {
		d := dumpedSegment{Name: v.Name, Description: v.Description, Dynamic: v.Dynamic, Members: append([]string{}, v.Members...)}
		if o.IDs {
			d.ID = v.ID
		}
		out.Segments = append(out.Segments, d)
	}
	for _, v := range s.Collections {
		d := dumpedCollection{Name: v.Name, Rows: append([]json.RawMessage{}, v.Rows...)}
		if o.IDs {
			d.ID = v.ID
		}
		if o.Counts {
			d.Writes = v.Writes
		}
		out.Collections = append(out.Collections, d)
	}
	slices.SortStableFunc(out.Segments, func(a, b dumpedSegment) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(out.Collections, func(a, b dumpedCollection) int { return cmp.Compare(a.Name, b.Name) })
}

func dumpedAttributes(set map[string]Attribute, o DumpOptions) (values map[string]json.RawMessage, timestamps map[string]int64) {
	values = make(map[string]json.RawMessage, len(set))
	if o.Times {
		timestamps = make(map[string]int64, len(set))
	}
	for name, a := range set {
		values[name] = a.Value
		if o.Times {
			timestamps[name] = a.Timestamp
		}
	}
	return values, timestamps
}
