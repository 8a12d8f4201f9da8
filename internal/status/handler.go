package status

import (
	"bytes"
	"io"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Views is what the HTTP handler shows.
type Views struct {
	Snapshot func() Snapshot
	Recorder *Recorder
	// Alive says what is stuck, or nil.
	Alive func() error
	// Names are further host names by which the listener may be addressed,
	// beside its own address.
	Names []string
}

// Handler serves the views, to whoever addresses the listener
// by a name of its own.
func (v Views) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(v.Snapshot), v.Recorder)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/api/status", v.status)
	mux.HandleFunc("/healthz", v.healthz)
	mux.HandleFunc("/readyz", v.readyz)
	return onlyRead(ownName(v.Names, mux))
}

func (v Views) status(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := v.Snapshot().WriteJSON(&b); err != nil {
		http.Error(w, "writing the status: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = w.Write(b.Bytes()) // whoever asked may have gone
}

func (v Views) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := v.Alive(); err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, "ok")
}

func (v Views) readyz(w http.ResponseWriter, _ *http.Request) {
	if reason, ok := v.Snapshot().Ready(); !ok {
		answer(w, http.StatusServiceUnavailable, reason)
		return
	}
	answer(w, http.StatusOK, "ok")
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // whoever asked may have gone
}

// onlyRead lets through what reads, with headers that keep answers where they
// belong.
func onlyRead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed, "nothing here changes anything: GET or HEAD")
			return
		}
		next.ServeHTTP(w, r)
	})
}
