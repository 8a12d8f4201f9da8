//go:build clients

// Package clients shows that the simulator takes what Customer.io's own clients
// send. It needs the network: `make test-clients`.
package clients

import (
	"context"
	_ "embed"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/simulator"
)

// nodePackage is the official client, whose version 5 speaks HTTP to a url.
const nodePackage = "customerio-node@5.2.0"

//go:embed node.mjs
var nodeScript []byte

func TestNodeClient(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "node.mjs"), nodeScript, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, nil, "npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", nodePackage)

	workspace := simulator.DefaultWorkspace()
	sim, err := simulator.New(simulator.Options{Workspaces: []simulator.Workspace{workspace}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- sim.Serve(ctx, listener) }()
	defer func() {
		cancel()
		if err := <-served; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}()

	run(t, dir, []string{
		"SITE_ID=" + workspace.SiteID, "TRACK_API_KEY=" + workspace.TrackKey,
		"TRACK_URL=http://" + listener.Addr().String() + "/api/v1",
		"APP_API_KEY=" + workspace.AppKey, "APP_URL=http://" + listener.Addr().String() + "/v1",
	}, "node", "node.mjs")
	if err := sim.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, sim)
}

func run(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	t.Logf("%s\n%s", cmd, out)
}

// check compares what the script sent with what the simulator holds.
func check(t *testing.T, sim *simulator.Simulator) {
	state := sim.State("")
	ada, ok := state.Person("id:ada 1+/é")
	if !ok {
		t.Fatalf("the person is not there: %+v", state.People)
	}
	if ada.Email != "ada@example.com" || ada.Value("plan") != `"pro"` || ada.Value("logins") != `3` || ada.Value("gone") != "" {
		t.Errorf("the person is %+v", ada)
	}
	if len(ada.Devices) != 1 || ada.Devices[0].Token != "token/2" || ada.Devices[0].Platform != "android" {
		t.Errorf("devices: %+v", ada.Devices)
	}
	var names []string
	for _, e := range state.EventsOf(ada.Name()) {
		names = append(names, e.Kind+" "+e.Name)
		if e.Name == "Ordered" && (e.ID != "01BX5ZZKBKACTAV9WEVGEMMVRY" || string(e.Data) != `{"total":29.99}` || e.Timestamp != 1772013598 || e.Received != 2) {
			t.Errorf("the event is %+v", e)
		}
	}
	slices.Sort(names)
	if want := []string{"event Ordered", "page /pricing"}; !slices.Equal(names, want) {
		t.Errorf("events: %q, want %q", names, want)
	}
	for _, gone := range []string{"id:destroyed", "id:suppressed"} {
		if _, ok := state.Person(gone); ok {
			t.Errorf("%s is there", gone)
		}
	}
	if !slices.Contains(state.Suppressed, "id:suppressed") || slices.Contains(state.Suppressed, "id:unsuppressed") {
		t.Errorf("suppressed: %q", state.Suppressed)
	}
	if n := state.Drops[simulator.DropSuppressed]; n != 1 {
		t.Errorf("%d writes to a suppressed person were dropped, want 1", n)
	}
	if p, _ := state.Person("id:unsuppressed"); p.Value("back") != "true" {
		t.Errorf("the person who was unsuppressed is %+v", p)
	}
	for _, id := range []string{"id:batch1", "id:batch2", "id:entity"} {
		if p, _ := state.Person(id); p.Value("via") != `"v2"` {
			t.Errorf("%s is %+v", id, p)
		}
	}
	if r, _ := ada.Relationship("1", "ac/me"); string(r.Attributes["role"].Value) != `"admin"` {
		t.Errorf("relationships: %+v", ada.Relationships)
	}
	if o, _ := state.Object("1", "ac/me"); o.Value("seats") != "50" || !slices.Equal(o.People, []string{"id:ada 1+/é", "id:batch1"}) {
		t.Errorf("the object is %+v", o)
	}
	if p, _ := state.Person("id:batch2"); p.Value("only_there") != "true" || p.Email != "double@example.com" {
		t.Errorf("the merged person is %+v", p)
	}
	if s, _ := state.Segment("VIPs"); !slices.Equal(s.Members, []string{"id:ada 1+/é", "id:batch2"}) {
		t.Errorf("the segment is %+v", s)
	}
	if c, _ := state.Collection("events"); len(state.Collections) != 1 || len(c.Rows) != 2 || string(c.Rows[1]) != `{"name":"may day"}` || c.Writes != 3 {
		t.Errorf("the collection is %+v", c)
	}
	if c := state.Counters; c.Partial != 1 || c.Invalid != 2 || sim.Unauthorized() != 1 {
		t.Errorf("counters %+v, %d without credentials", c, sim.Unauthorized())
	}
}
