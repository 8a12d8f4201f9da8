package status

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func example() Snapshot {
	refused := "401 Unauthorized"
	safe := int64(1 << 30)
	return Snapshot{
		Version:  "v1.2.3",
		State:    Backfilling,
		CaughtUp: false,
		Alarms: []Alarm{{
			Name: "workspace_blocked", Since: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Detail: "main: 401 Unauthorized",
		}},
		Postgres: Postgres{
			SystemID: "7301", Timeline: 1, Slot: "pgcio",
			Server: 0x2_00000530, Received: 0x2_00000530, Stored: 0x2_00000500, Delivered: 0x2_00000400, Confirmed: 0x2_00000500,
			LagBytes: 48, LagSeconds: 0.25, RetainedWALBytes: 16 << 20, SafeBytes: &safe,
		},
		Workspaces: []Workspace{{
			Name: "main", State: Blocked, TrackRequestsPerSecond: 100, LastError: &refused,
			Entries: 3, Rates: map[string]float64{"track": 50},
		}},
		Mappings: []Mapping{{
			Name: "people", State: MappingBackfilling, Backfill: Backfill{Rows: 10, Total: 40},
			Changes: Changes{
				Received: 66, Ignored: 1, Filtered: 2, Unchanged: 3, Waiting: 4, InFlight: 5,
				Orphaned: 6, Held: 7, Parked: 8, Discarded: 9, Delivered: 21,
			},
			OperationsSent: 20, Operations: map[string]int64{"identify": 20},
			ParkedEntries: 8, OrphanedEntries: 6, HeldEntries: 7,
		}},
		StateBytes: 4096,
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; UPDATE=1 writes it):\n%s", file, diff)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := example().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", b.String())

	b.Reset()
	if err := (Snapshot{}).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "empty.json", b.String())
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := example().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.txt", b.String())
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0KB", 16 << 20: "16.0MB", 1<<63 - 1: "8.0EB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestBalanced(t *testing.T) {
	c := example().Mappings[0].Changes
	if !c.Balanced() {
		t.Errorf("%+v is not balanced", c)
	}
	c.Delivered++
	if c.Balanced() {
		t.Errorf("%+v is balanced", c)
	}
}

func TestReady(t *testing.T) {
	refused := "connection refused"
	starting := Snapshot{State: Starting, Postgres: Postgres{LastError: &refused}}
	blocked := example()
	unknown := example()
	unknown.Workspaces[0].LastError = nil
	broken := example()
	broken.Workspaces = nil
	broken.Mappings[0].State, broken.Mappings[0].Trouble = MappingBroken, "a column has gone"
	ready := broken
	ready.Mappings = nil
	for _, c := range []struct {
		name string
		s    Snapshot
		want string // "": ready
	}{
		{"starting", starting, "not streaming: connection refused"},
		{"nothing known", Snapshot{}, "not streaming yet"},
		{"blocked", blocked, `workspace "main" is blocked: 401 Unauthorized`},
		{"blocked, reason unknown", unknown, `workspace "main" is blocked`},
		{"broken", broken, `mapping "people" is broken: a column has gone`},
		{"ready", ready, ""},
	} {
		if got, ok := c.s.Ready(); got != c.want || ok != (c.want == "") {
			t.Errorf("%s: Ready() = %q, %v, want %q", c.name, got, ok, c.want)
		}
	}
}

// serve starts a listener and returns a client of it.
func serve(t *testing.T, v Views) (url string) {
	t.Helper()
	if v.Recorder == nil {
		v.Recorder = NewRecorder()
	}
	server := httptest.NewServer(v.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, method, url string, header http.Header) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	r.Host = header.Get("Host")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

func TestHandler(t *testing.T) {
	var stuck error
	s := example()
	url := serve(t, Views{Snapshot: func() Snapshot { return s }, Alive: func() error { return stuck }})
	want, err := os.ReadFile("testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(method, path string, code int, body string) {
		t.Helper()
		gotCode, got := get(t, method, url+path, nil)
		if gotCode != code || got != body {
			t.Errorf("%s %s = %d %q, want %d %q", method, path, gotCode, got, code, body)
		}
	}
	check("GET", "/api/status", 200, string(want))
	check("HEAD", "/api/status", 200, "")
	check("GET", "/healthz", 200, "ok\n")
	check("GET", "/readyz", 503, "workspace \"main\" is blocked: 401 Unauthorized\n")
	check("GET", "/", 404, "404 page not found\n")
	check("POST", "/api/status", 405, "nothing here changes anything: GET or HEAD\n")
	check("DELETE", "/metrics", 405, "nothing here changes anything: GET or HEAD\n")

	stuck = errors.New("the pump has been storing for 60s")
	s.Workspaces[0].State = Sending
	check("GET", "/healthz", 503, "the pump has been storing for 60s\n")
	check("GET", "/readyz", 200, "ok\n")
}

func TestOnlyItsOwnNames(t *testing.T) {
	url := serve(t, Views{Snapshot: example, Alive: func() error { return nil }, Names: []string{"db1"}})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"127.0.0.1:" + port, "", 200},
		{"localhost:" + port, "", 200},
		{"LOCALHOST:" + port, "", 200},
		{"[::1]:" + port, "", 200},
		{"db1:" + port, "", 200},
		{"localhost:" + port, "http://localhost:" + port, 200},
		{"localhost:" + port, "http://127.0.0.1:" + port, 200},
		{"localhost", "", 403},
		{"localhost:1", "", 403},
		{"10.0.0.1:" + port, "", 403},
		{"evil.example:" + port, "", 403},
		{"localhost.evil.example:" + port, "", 403},
		{"localhost:" + port, "http://evil.example", 403},
		{"localhost:" + port, "https://localhost:" + port, 403},
		{"localhost:" + port, "http://localhost:1", 403},
		{"localhost:" + port, "null", 403},
	} {
		h := http.Header{"Host": {c.host}}
		if c.origin != "" {
			h.Set("Origin", c.origin)
		}
		if got, body := get(t, "GET", url+"/api/status", h); got != c.want {
			t.Errorf("Host %q, Origin %q: %d %s, want %d", c.host, c.origin, got, body, c.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	r := NewRecorder()
	r.Request("main", "track", 200, 30*time.Millisecond)
	r.Request("main", "track", 0, 30*time.Second)
	r.Delivery(-time.Second) // the database's clock is ahead
	url := serve(t, Views{Snapshot: example, Recorder: r, Alive: func() error { return nil }})
	code, body := get(t, "GET", url+"/metrics", nil)
	if code != 200 {
		t.Fatalf("GET /metrics: %d %s", code, body)
	}
	var lines []string
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "_bucket{") {
			lines = append(lines, line)
		}
	}
	golden(t, "metrics.txt", strings.ReplaceAll(strings.Join(lines, ""), goVersion(t, body), "GO"))
}

func goVersion(t *testing.T, body string) string {
	t.Helper()
	_, after, ok := strings.Cut(body, `goversion="`)
	if !ok {
		t.Fatalf("no goversion in\n%s", body)
	}
	v, _, _ := strings.Cut(after, `"`)
	return v
}

// The names are what dashboards rely on.
func TestMetricNames(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := NewRecorder()
	r.Request("main", "track", 200, 0)
	registry.MustRegister(NewCollector(example), r)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		got = append(got, f.GetName()+"{"+strings.Join(labels, ",")+"}")
	}
	want := []string{
		"pgcio_backfill_rows{mapping}",
		"pgcio_build_info{goversion,version}",
		"pgcio_changes_total{mapping,outcome}",
		"pgcio_delivery_seconds{}",
		"pgcio_held_entries{mapping}",
		"pgcio_lag_bytes{}",
		"pgcio_lag_seconds{}",
		"pgcio_operations_total{action,mapping}",
		"pgcio_orphaned_entries{mapping}",
		"pgcio_outbox_entries{workspace}",
		"pgcio_parked_entries{mapping}",
		"pgcio_rate_limit{api,workspace}",
		"pgcio_request_seconds{}",
		"pgcio_requests_total{api,code,workspace}",
		"pgcio_slot_retained_bytes{}",
		"pgcio_slot_safe_bytes{}",
		"pgcio_state_bytes{}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
