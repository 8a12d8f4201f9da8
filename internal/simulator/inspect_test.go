package simulator

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestInspection(t *testing.T) {
	c := newClient(t)
	c.must(identifyItem(`{"id":"1"}`, `{"plan":"<b>pro</b>"}`, 7), eventOf("1", `"name":"a","id":"`+ulid+`","timestamp":9`))
	server := httptest.NewServer(c)
	defer server.Close()
	ask := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(raw)
	}
	for _, r := range []struct {
		method, path, body string
		status             int
		has, hasNot        string
	}{
		{"GET", "/", "", 200, "<title>Simulated Customer.io", "http://"},
		{"GET", "/nothing", "", 401, "unauthorized", ""},
		{"GET", "/_sim/nothing", "", 404, "", ""},
		{"GET", "/_sim/state", "", 200, `"plan": "<b>pro</b>"`, "cio_id"},
		{"GET", "/_sim/state?times=1", "", 200, `"timestamp": 9`, "a3000001"},
		{"GET", "/_sim/state?ids=1", "", 200, `"cio_id": "a3000001"`, "counters"},
		{"GET", "/_sim/state?full=1", "", 200, `"track_requests": 2`, "pending\": 1"},
		{"GET", "/_sim/page?limit=1", "", 200, `"people_total":1`, ""},
		{"GET", "/_sim/log", "", 200, `"path":"/api/v2/entity"`, ""},
		{"GET", "/_sim/log?n=1", "", 200, `"n":3`, `"n":2,`},
		{"GET", "/_sim/accepted?name=id:1", "", 200, `"action":"event","names":["id:1"]`, ""},
		{"GET", "/_sim/accepted?workspace=x", "", 404, "", ""},
		{"GET", "/_sim/settings", "", 200, `"reply_delay":"0s"`, ""},
		{"POST", "/_sim/settings", `{"reply_delay":"200ms","tie":"random"}`, 200, `"reply_delay":"200ms"`, ""},
		{"GET", "/_sim/settings?workspace=main", "", 200, `"tie":"random"`, ""},
		{"POST", "/_sim/settings", `{"tie":"never"}`, 400, `none of`, ""},
		{"POST", "/_sim/settings", `{"reply_delay":200}`, 400, `a duration is text`, ""},
		{"POST", "/_sim/settings", `{"unknown":1}`, 400, `unknown field`, ""},
		{"POST", "/_sim/settings?workspace=x", `{}`, 404, ``, ""},
		{"POST", "/_sim/faults", `[{"kind":"status","status":503,"retry_after":1,"times":2}]`, 200, `"fired":0`, ""},
		{"GET", "/_sim/faults", "", 200, `"status":503`, ""},
		{"POST", "/_sim/faults", `{"kind":"html"}`, 400, ``, ""},
		{"POST", "/_sim/faults", `[{"kind":"nonsense"}]`, 400, `none of`, ""},
		{"GET", "/_sim/wait?idle=1ms", "", 204, "", ""},
		{"GET", "/_sim/wait?idle=1h&timeout=1ms", "", 504, "", ""},
		{"GET", "/_sim/wait?idle=soon", "", 400, "", ""},
		{"POST", "/_sim/segments", `{"name":"active","dynamic":true}`, 200, `{"id":1,"name":"active","dynamic":true}`, ""},
		{"POST", "/_sim/segments", `{"dynamic":true}`, 400, `a segment is`, ""},
		{"POST", "/_sim/segments?workspace=x", `{"name":"x"}`, 404, `no workspace`, ""},
		{"GET", "/_sim/state", "", 200, `"name": "active"`, ""},
		{"POST", "/_sim/reset", "", 204, "", ""},
		{"GET", "/_sim/faults", "", 200, `[]`, ""},
		{"GET", "/_sim/log", "", 200, `[]`, ""},
		{"GET", "/_sim/state?full=1", "", 200, `"people": []`, "a3000001"},
		{"GET", "/_sim/settings", "", 200, `"tie":"random"`, ""},
	} {
		status, body := ask(r.method, r.path, r.body)
		if status != r.status || !strings.Contains(body, r.has) || r.hasNot != "" && strings.Contains(body, r.hasNot) {
			t.Errorf("%s %s: %d %s", r.method, r.path, status, body)
		}
	}

	r := httptest.NewRequest("POST", "http://127.0.0.1:7465/_sim/reset", nil)
	r.Header.Set("Origin", "https://example.com")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	equal(t, "another page", w.Code, 403)
}

func TestServe(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	response, err := http.Get(fmt.Sprintf("http://%s/_sim/state", l.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLogIsBounded(t *testing.T) {
	for size, want := range map[int]string{3: "[8 9 10]", -1: "[1 2 3 4 5 6 7 8 9 10]"} {
		c := newClientOf(t, Options{LogSize: size})
		for range 10 {
			c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
		}
		var requests []int64
		for _, r := range c.Log() {
			requests = append(requests, r.N)
		}
		equal(t, "log", fmt.Sprint(requests), want)
		equal(t, "accepted", len(c.Accepted("")), len(requests))
	}
	c := newClientOf(t, Options{NoLog: true})
	c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
	equal(t, "none", len(c.Log())+len(c.Accepted("")), 0)
}

func TestDumpIsTheSameInAnyOrder(t *testing.T) {
	items := []string{
		identifyItem(`{"id":"1"}`, `{"email":"a@b.c","n":1}`, 5), identifyItem(`{"id":"2"}`, `{}`, 5),
		eventOf("1", `"name":"b"`), eventOf("1", `"name":"a","attributes":{"x":2}`), eventOf("1", `"name":"a","attributes":{"x":1}`),
	}
	one, other := newClient(t), newClient(t)
	one.must(items...)
	other.must(items[1], items[0], items[4], items[3], items[2], items[0])
	equal(t, "dump", string(other.Dump(DumpOptions{})), string(one.Dump(DumpOptions{})))
}

// TestIndependence keeps the oracle from what it judges.
func TestIndependence(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.Contains(i.Path.Value, ".") && f.Name.Name == "simulator" {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}

// TestPageIsBounded: the page gets the first objects and rows only, and how
// many there are.
func TestPageIsBounded(t *testing.T) {
	c := newClient(t)
	for i := range 3 {
		c.must(relates(fmt.Sprintf(`{"id":"%d"}`, i), objectID("1", fmt.Sprint(i)), `{"role":"x"}`))
	}
	c.v1(t, 200, "POST", "/v1/collections", `{"name":"c","data":[`+strings.TrimSuffix(strings.Repeat(`{"a":1},`, 12), ",")+`]}`)
	c.AddSegment("", "vips", false)
	for i := range 12 {
		c.must(identifyItem(fmt.Sprintf(`{"id":"member %d"}`, i), `{}`, 0))
		c.v1(t, 200, "POST", "/api/v1/segments/1/add_customers", fmt.Sprintf(`{"ids":["member %d"]}`, i))
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1:7465/_sim/page?limit=2", nil))
	var v struct {
		Workspaces map[string]struct {
			People []struct {
				Relationships []struct{ Object string }
			}
			Objects []struct {
				ID     string
				People []string
				Total  int `json:"people_total"`
			}
			Segments []struct {
				Name    string
				Members []string
				Total   int `json:"members_total"`
			}
			Total       int `json:"objects_total"`
			Collections []struct {
				Name  string
				Rows  []any
				Total int `json:"rows_total"`
			}
		}
	}
	decode(t, w.Body.String(), &v)
	m := v.Workspaces["main"]
	equal(t, "segments", text(m.Segments[0].Name, len(m.Segments[0].Members), m.Segments[0].Total), "vips 10 12")
	equal(t, "people of an object", text(m.Objects[0].People, m.Objects[0].Total), "[id:0] 1")
	equal(t, "objects", text(len(m.Objects), m.Total, m.Objects[1].ID, m.People[1].Relationships[0].Object), "2 3 1 1/1")
	equal(t, "collections", text(len(m.Collections), m.Collections[0].Name, len(m.Collections[0].Rows), m.Collections[0].Total), "1 c 10 12")
}
