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
	Collections  []pageCollection `json:"collections,omitempty"`
	PeopleTotal  int64            `json:"people_total"`
	ObjectsTotal int              `json:"objects_total"`
	EventsTotal  int64            `json:"events_total"`
}

// pageCollection is a collection with its first rows only.
type pageCollection struct {
	dumpedCollection
	RowsTotal int `json:"rows_total"`
}

// rowsOnPage is how many rows of a collection the page shows.
const rowsOnPage = 10

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
			for _, c := range p.dumpedState.Collections {
				total := len(c.Rows)
				c.Rows = c.Rows[:min(total, rowsOnPage)]
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
