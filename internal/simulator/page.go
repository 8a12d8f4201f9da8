package simulator

import (
	_ "embed"
	"net/http"
	"strconv"
	"time"
)

//go:embed page.html
var page []byte

// servePage answers with the page for people, which asks for inspectPage every
// now and then. It loads nothing from elsewhere.
func servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
	_, _ = w.Write(page)
}

type pageState struct {
	dumpedState
	Events       []Event          `json:"events"` // newest first
	Objects      []pageObject     `json:"objects,omitempty"`
	Segments     []pageSegment    `json:"segments,omitempty"`
	Collections  []pageCollection `json:"collections,omitempty"`
	PeopleTotal  int64            `json:"people_total"`
	ObjectsTotal int              `json:"objects_total"`
	EventsTotal  int64            `json:"events_total"`
}

// The page shows the first few of what a thing holds, and how many there are.
type (
	pageObject struct {
		dumpedObject
		PeopleTotal int `json:"people_total"`
	}
	pageSegment struct {
		dumpedSegment
		MembersTotal int `json:"members_total"`
	}
	pageCollection struct {
		dumpedCollection
		RowsTotal int `json:"rows_total"`
	}
)

// fewOnPage is how many.
const fewOnPage = 10

func few[T any](list []T) []T { return list[:min(len(list), fewOnPage)] }

// inspectPage answers with as much of the state as a page can show: the first
// ?limit= people and objects, and the newest events.
func (s *Simulator) inspectPage(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 || limit > 1000 {
		limit = 200
	}
	out := make(map[string]pageState, len(s.workspaces))
	for _, ws := range s.workspaces {
		ws.look(time.Now(), func() {
			newest := ws.events[max(0, len(ws.events)-limit):]
			p := pageState{
				dumpedState:  dumped(ws.state(limit, nil), DumpOptions{Counts: true}),
				Events:       make([]Event, 0, len(newest)),
				PeopleTotal:  ws.counters.Created - ws.counters.Deleted,
				ObjectsTotal: len(ws.objects) / 2, // each has two names
				EventsTotal:  int64(len(ws.events)),
			}
			for _, o := range p.dumpedState.Objects {
				total := len(o.People)
				o.People = few(o.People)
				p.Objects = append(p.Objects, pageObject{o, total})
			}
			for _, v := range p.dumpedState.Segments {
				total := len(v.Members)
				v.Members = few(v.Members)
				p.Segments = append(p.Segments, pageSegment{v, total})
			}
			for _, c := range p.dumpedState.Collections {
				total := len(c.Rows)
				c.Rows = few(c.Rows)
				p.Collections = append(p.Collections, pageCollection{c, total})
			}
			p.Failed = p.Failed[max(0, len(p.Failed)-limit):]
			for i := len(newest) - 1; i >= 0; i-- {
				p.Events = append(p.Events, newest[i].public())
			}
			out[ws.Name] = p
		})
	}
	show(w, map[string]any{"workspaces": out})
}
