package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// newInspection is what the listener shows beside the two APIs:
//
//	GET  /                 a page for people
//	GET  /_sim/state       Dump; ?times=1&ids=1&counts=1 or ?full=1 add to it
//	GET  /_sim/log         the request log; ?n= keeps the newest n
//	GET  /_sim/accepted    the order of acceptance; ?workspace=&name=id:42
//	GET  /_sim/faults      the faults in force and how often they fired
//	POST /_sim/faults      a list of Fault replaces them
//	GET  /_sim/settings    the settings of ?workspace=
//	POST /_sim/settings    changes those that the body names
//	POST /_sim/segments    makes a segment in ?workspace=: {"name","dynamic"}
//	POST /_sim/reset       forgets everything but the settings
//	GET  /_sim/wait        answers once all is applied and nothing came for ?idle= (up to ?timeout=)
func (s *Simulator) newInspection() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", servePage)
	mux.HandleFunc("GET /_sim/page", s.inspectPage)
	mux.HandleFunc("GET /_sim/state", s.inspectState)
	mux.HandleFunc("GET /_sim/log", s.inspectLog)
	mux.HandleFunc("GET /_sim/accepted", s.inspectAccepted)
	mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { show(w, s.Faults()) })
	mux.HandleFunc("POST /_sim/faults", s.changeFaults)
	mux.HandleFunc("GET /_sim/settings", s.inspectSettings)
	mux.HandleFunc("POST /_sim/settings", s.changeSettings)
	mux.HandleFunc("POST /_sim/segments", s.makeSegment)
	mux.HandleFunc("POST /_sim/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_sim/wait", s.wait)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page of somebody else's must not change anything here.
		if origin := r.Header.Get("Origin"); origin != "" && r.Method != http.MethodGet {
			if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
				http.Error(w, "this is not your page's server", http.StatusForbidden)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Simulator) inspectState(w http.ResponseWriter, r *http.Request) {
	asked := func(key string) bool { return r.FormValue(key) == "1" || r.FormValue("full") == "1" }
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(s.Dump(DumpOptions{Times: asked("times"), IDs: asked("ids"), Counts: asked("counts")}))
}

func (s *Simulator) inspectLog(w http.ResponseWriter, r *http.Request) {
	list := s.Log()
	if n, err := strconv.Atoi(r.FormValue("n")); err == nil && n >= 0 && n < len(list) {
		list = list[len(list)-n:]
	}
	show(w, list)
}

func (s *Simulator) inspectAccepted(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("workspace")
	if s.workspace(name) == nil {
		http.Error(w, fmt.Sprintf("no workspace %q", name), http.StatusNotFound)
		return
	}
	type entry struct {
		Acceptance
		Names []string `json:"names"`
	}
	list := []entry{}
	for _, a := range s.Accepted(name, r.Form["name"]...) {
		list = append(list, entry{a, a.Names()})
	}
	show(w, list)
}

func (s *Simulator) changeFaults(w http.ResponseWriter, r *http.Request) {
	var faults []Fault
	if err := read(w, r, &faults); err != nil {
		http.Error(w, "reading the list of faults: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.SetFaults(faults...); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	show(w, s.Faults())
}

func (s *Simulator) inspectSettings(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("workspace")
	if s.workspace(name) == nil {
		http.Error(w, fmt.Sprintf("no workspace %q", name), http.StatusNotFound)
		return
	}
	show(w, s.Settings(name))
}

func (s *Simulator) changeSettings(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("workspace")
	if s.workspace(name) == nil {
		http.Error(w, fmt.Sprintf("no workspace %q", name), http.StatusNotFound)
		return
	}
	next := s.Settings(name)
	if err := read(w, r, &next); err != nil {
		http.Error(w, "reading the settings: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.Configure(name, func(now *Settings) { *now = next }); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	show(w, next)
}

// makeSegment is for what the App API cannot make: data-driven segments.
func (s *Simulator) makeSegment(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("workspace")
	if s.workspace(name) == nil {
		http.Error(w, fmt.Sprintf("no workspace %q", name), http.StatusNotFound)
		return
	}
	var made struct {
		ID      int64  `json:"id"`
		Name    string `json:"name"`
		Dynamic bool   `json:"dynamic"`
	}
	if err := read(w, r, &made); err != nil || made.Name == "" {
		http.Error(w, `a segment is {"name": "…", "dynamic": true}`, http.StatusBadRequest)
		return
	}
	made.ID = s.AddSegment(name, made.Name, made.Dynamic)
	show(w, made)
}

// wait answers 204 when all is quiet, 504 when it is not within the timeout.
func (s *Simulator) wait(w http.ResponseWriter, r *http.Request) {
	idle, timeout := time.Duration(0), 30*time.Second
	for key, d := range map[string]*time.Duration{"idle": &idle, "timeout": &timeout} {
		if text := r.FormValue(key); text != "" {
			var err error
			if *d, err = time.ParseDuration(text); err != nil {
				http.Error(w, key+": "+err.Error(), http.StatusBadRequest)
				return
			}
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if err := s.Idle(ctx, idle); err != nil {
		http.Error(w, "still busy", http.StatusGatewayTimeout)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func read(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func show(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(encode(v), '\n'))
}
