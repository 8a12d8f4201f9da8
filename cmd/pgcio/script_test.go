package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/status"
)

// The scripts of testdata/script run the binary against a database of their own
// and a simulated Customer.io. Beside testscript's commands they have:
//
//	exits STATUS COMMAND…              run a command that ends with a status
//	config MAPPINGS                    write pgcio.toml: the parts of the script, and a file of mappings
//	sql 'STATEMENTS' | sql -f FILE     run SQL; rows go to stdout, columns apart by |
//	simulator start [WORKSPACE…]       start Customer.io, at first with one workspace, main
//	simulator dump                     what Customer.io holds goes to stdout
//	simulator fault JSON…              the faults in force from now on
//	simulator settings WORKSPACE JSON  change how a workspace behaves
//	get PATH                           ask the daemon's HTTP server; status and body go to stdout
//	wait-caught-up                     wait until the daemon has nothing left to do
//	wait-status 'JSON PATH' VALUE      wait until a value of the status is VALUE
//
// and the variables PGURL, SLOT (a name for the slot), HTTP (an address for [http] listen) and,
// once it has been started, SIM_URL.
func TestScripts(t *testing.T) {
	cluster := pgtest.New(t, pgtest.Options{Settings: map[string]string{
		"max_connections": "200", "max_wal_senders": "60", "max_replication_slots": "60",
	}})
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		UpdateScripts:      os.Getenv("UPDATE") != "",
		Setup:              func(env *testscript.Env) error { return setUp(env, cluster) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":          cmdExits,
			"config":         cmdConfig,
			"sql":            cmdSQL,
			"get":            cmdGet,
			"simulator":      cmdSimulator,
			"wait-caught-up": cmdWaitCaughtUp,
			"wait-status":    cmdWaitStatus,
		},
	})
}

// script is what belongs to one script.
type script struct {
	db   *pgtest.DB
	sim  *simulator.Simulator
	http string

	workspaces []simulator.Workspace
	url        string // of the simulator
}

type scriptKey struct{}

func of(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func setUp(env *testscript.Env, cluster *pgtest.Cluster) error {
	t, ok := env.T().(pgtest.TB)
	if !ok {
		return fmt.Errorf("%T is no pgtest.TB", env.T())
	}
	s := &script{db: cluster.NewDatabase(t)}
	var err error
	if s.http, err = freeAddress(); err != nil {
		return err
	}
	env.Values[scriptKey{}] = s
	env.Setenv("PGURL", s.db.URL())
	env.Setenv("HTTP", s.http)
	// A slot's name is the cluster's, not the database's.
	env.Setenv("SLOT", s.db.Name)
	env.Setenv("NO_COLOR", "1")
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// patience is how long a script waits for something to happen.
const patience = 30 * time.Second

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("status %d, want %s", got, args[0])
	}
}

func cmdConfig(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || neg {
		ts.Fatalf("usage: config MAPPINGS")
	}
	s := of(ts)
	var b strings.Builder
	fmt.Fprintf(&b, "[postgres]\nurl = %q\nslot = %q\n\n[state]\npath = \"state.db\"\n\n[http]\nlisten = %q\n\n", s.db.URL(), s.db.Name, s.http)
	for _, w := range s.workspaces {
		ts.Check(writeWorkspace(&b, w, s.url))
	}
	b.WriteString(ts.ReadFile(args[0]))
	ts.Check(os.WriteFile(ts.MkAbs("pgcio.toml"), []byte(b.String()), 0o600))
}

func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	var sql string
	switch {
	case len(args) == 1:
		sql = args[0]
	case len(args) == 2 && args[0] == "-f":
		sql = ts.ReadFile(args[1])
	default:
		ts.Fatalf("usage: sql 'STATEMENTS' | sql -f FILE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db := of(ts).db
	session, err := db.Cluster.Connect(ctx, db.Name)
	ts.Check(err)
	defer session.Close(ctx)
	// Only a single statement has rows that anyone wants.
	if upper := strings.ToUpper(strings.TrimSpace(sql)); strings.HasPrefix(upper, "SELECT") {
		rows, err := session.Query(ctx, sql)
		expect(ts, neg, err)
		for _, row := range rows {
			fmt.Fprintln(ts.Stdout(), strings.Join(row, "|"))
		}
		return
	}
	expect(ts, neg, session.Exec(ctx, sql))
}

// expect checks that there is an error exactly where there should be one.
func expect(ts *testscript.TestScript, neg bool, err error) {
	switch {
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	case err == nil && neg:
		ts.Fatalf("unexpected success")
	}
}

func cmdSimulator(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg {
		ts.Fatalf("usage: simulator start | dump | fault | settings")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sim := of(ts).sim
	if sim == nil && args[0] != "start" {
		ts.Fatalf("simulator %s: start it first", args[0])
	}
	switch what, rest := args[0], args[1:]; what {
	case "start":
		startSimulator(ts, rest)
	case "dump":
		ts.Check(sim.Settle(ctx))
		_, err := ts.Stdout().Write(sim.Dump(simulator.DumpOptions{}))
		ts.Check(err)
	case "fault":
		faults := make([]simulator.Fault, len(rest))
		for i := range rest {
			ts.Check(json.Unmarshal([]byte(rest[i]), &faults[i]))
		}
		ts.Check(sim.SetFaults(faults...))
	case "settings":
		if len(rest) != 2 {
			ts.Fatalf("usage: simulator settings WORKSPACE JSON")
		}
		next := sim.Settings(rest[0])
		ts.Check(json.Unmarshal([]byte(rest[1]), &next))
		ts.Check(sim.Configure(rest[0], func(s *simulator.Settings) { *s = next }))
	default:
		ts.Fatalf("simulator %s: there is no such thing", what)
	}
}

func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || neg {
		ts.Fatalf("usage: get PATH")
	}
	resp, err := http.Get("http://" + of(ts).http + args[0])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n%s", resp.Status, body)
}

// startSimulator starts a simulated Customer.io. The keys of a workspace are
// made of its name: site-main, track-main, app-main.
func startSimulator(ts *testscript.TestScript, names []string) {
	if len(names) == 0 {
		names = []string{"main"}
	}
	var o simulator.Options
	for i, name := range names {
		o.Workspaces = append(o.Workspaces, simulator.Workspace{
			Name: name, Region: "us",
			SiteID: "site-" + name, TrackKey: "track-" + name, AppKey: "app-" + name, EnvironmentID: int64(i + 1),
		})
	}
	sim, err := simulator.New(o)
	ts.Check(err)
	server := httptest.NewServer(sim)
	ts.Defer(func() {
		sim.Close()
		server.Close()
	})
	s := of(ts)
	s.sim, s.workspaces, s.url = sim, o.Workspaces, server.URL
	ts.Setenv("SIM_URL", server.URL)
}

// currentStatus asks the daemon of a script.
func currentStatus(ctx context.Context, address string) (s status.Snapshot, body []byte, err error) {
	body, err = fetch(ctx, "http://"+address+"/api/status")
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, body, err
}

func cmdWaitCaughtUp(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) > 0 || neg {
		ts.Fatalf("usage: wait-caught-up")
	}
	s := of(ts)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	end, err := s.db.Cluster.Query(ctx, "SELECT pg_current_wal_lsn()")
	ts.Check(err)
	var last string
	for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		snapshot, body, err := currentStatus(ctx, s.http)
		if err != nil {
			last = err.Error()
			continue
		}
		last = string(body)
		for _, m := range snapshot.Mappings {
			if !m.Changes.Balanced() {
				ts.Fatalf("the books of %s do not balance: %+v", m.Name, m.Changes)
			}
		}
		if snapshot.CaughtUp && !before(ts, snapshot, end[0][0]) {
			return
		}
	}
	ts.Fatalf("not caught up with %s within %s; the status:\n%s", end[0][0], patience, last)
}

// before reports whether the daemon has yet to hear of a position.
func before(ts *testscript.TestScript, s status.Snapshot, position string) bool {
	at := s.Postgres.Stored
	ts.Check(at.UnmarshalText([]byte(position)))
	return s.Postgres.Stored < at
}

func cmdWaitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: wait-status PATH VALUE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last string
	for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		_, body, err := currentStatus(ctx, of(ts).http)
		if err != nil {
			last = err.Error()
			continue
		}
		last = string(body)
		var v any
		ts.Check(json.Unmarshal(body, &v))
		if got := at(v, strings.Split(args[0], ".")); fmt.Sprint(got) == args[1] {
			return
		}
	}
	ts.Fatalf("%s is not %s within %s; the status:\n%s", args[0], args[1], patience, last)
}

// at follows a path through JSON: "mappings.0.changes.parked".
func at(v any, path []string) any {
	for _, step := range path {
		switch w := v.(type) {
		case map[string]any:
			v = w[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(w) {
				return nil
			}
			v = w[i]
		default:
			return nil
		}
	}
	return v
}

// fetch gets a URL.
func fetch(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := httpClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// httpClient keeps no connections, which would seem leaked.
var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
