package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/status"
)

// rig is a database, a simulated Customer.io and a configuration, and the
// daemons that come and go between them: this binary, in processes of their own.
type rig struct {
	t    *testing.T
	db   *pgtest.DB
	sim  *simulator.Simulator
	api  string // the simulator's URL
	dir  string // where the configuration and, unless moved, the state are
	http http.Client

	state    string // path of the state file
	settings string // further lines of the configuration, before the mappings
	mappings string
	url      string // of the database; empty: its own
}

// long says that there is time to do things in their full size.
var long = os.Getenv("PGCIO_TEST_LONG") != ""

// size chooses how much is done.
func size(short, full int) int {
	if long {
		return full
	}
	return short
}

// slowly bounds what takes long and has no other end.
const slowly = 2 * time.Minute

func newRig(t *testing.T, db *pgtest.DB, mappings string) *rig {
	t.Helper()
	sim, ws, err := newSimulator(simulator.DefaultSettings(), 1)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		sim.Close()
		server.Close()
	})
	// A short path: those of sockets are bounded.
	dir, err := os.MkdirTemp("", "pgcio-rig-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: t, db: db, sim: sim, api: server.URL, dir: dir, state: filepath.Join(dir, "state.db"), mappings: mappings}
	var b strings.Builder
	if err := writeWorkspace(&b, ws, server.URL); err != nil {
		t.Fatal(err)
	}
	r.settings = b.String() + "track_requests_per_second = 1000\ntrack_items_per_second = 0\n"
	r.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(dir, "http.sock"))
		},
	}
	return r
}

// process is a daemon.
type process struct {
	r   *rig
	cmd *exec.Cmd
	log syncBuffer
	end chan struct{} // closed when it has ended
}

// syncBuffer is what a process wrote so far.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command prepares a command of pgcio.
func (r *rig) command(args ...string) *exec.Cmd {
	r.t.Helper()
	var b strings.Builder
	url := r.url
	if url == "" {
		url = r.db.URL()
	}
	// A slot's name is the cluster's, not the database's.
	fmt.Fprintf(&b, "[postgres]\nurl = %q\nslot = %q\n\n[state]\npath = %q\n\n[http]\nlisten = %q\n\n%s\n%s",
		url, r.db.Name, r.state, "unix:"+filepath.Join(r.dir, "http.sock"), r.settings, r.mappings)
	config := filepath.Join(r.dir, "pgcio.toml")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(self, append(args, "-c", config)...)
	cmd.Args[0] = failing
	cmd.Dir = r.dir
	return cmd
}

// start starts a daemon, with variables such as failpointEnv.
func (r *rig) start(env ...string) *process {
	r.t.Helper()
	d := &process{r: r, cmd: r.command("run"), end: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // ProcessState says how it ended
		close(d.end)
	}()
	r.t.Cleanup(func() {
		d.kill()
		if r.t.Failed() {
			text := d.log.String()
			r.t.Logf("daemon %d (%v), env %v, wrote:\n%s", d.cmd.Process.Pid, d.cmd.ProcessState, env, text[max(0, len(text)-4000):])
		}
	})
	return d
}

func (d *process) ended() bool {
	select {
	case <-d.end:
		return true
	default:
		return false
	}
}

// wait returns how the daemon ended: its exit status, or the negative number of
// the signal that ended it.
func (d *process) wait(within time.Duration) int {
	d.r.t.Helper()
	select {
	case <-d.end:
	case <-time.After(within):
		d.r.t.Fatalf("the daemon has not ended within %s", within)
	}
	ws := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return -int(ws.Signal())
	}
	return ws.ExitStatus()
}

func (d *process) signal(s syscall.Signal) {
	d.r.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.r.t.Fatal(err)
	}
}

// kill is kill -9.
func (d *process) kill() {
	_ = d.cmd.Process.Kill()
	<-d.end
}

// stop ends the daemon as an operator does.
func (d *process) stop() {
	d.r.t.Helper()
	d.signal(syscall.SIGTERM)
	if got := d.wait(11 * time.Second); got != 0 {
		d.r.t.Fatalf("SIGTERM ended the daemon with status %d", got)
	}
}

// look asks the daemon for its status.
func (r *rig) look(ctx context.Context) (s status.Snapshot, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/api/status", nil)
	if err != nil {
		return s, err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(resp.Body).Decode(&s)
	return s, err
}

// until waits until the daemon's status is as ok says.
func (d *process) until(what string, ok func(status.Snapshot) bool) status.Snapshot {
	d.r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), slowly)
	defer cancel()
	var s status.Snapshot
	for ctx.Err() == nil {
		next, err := d.r.look(ctx)
		if err == nil {
			s = next
			d.r.balanced(s)
			if ok(s) {
				return s
			}
		}
		select {
		case <-d.end:
			d.r.t.Fatalf("the daemon ended (%v) before %s", d.cmd.ProcessState, what)
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	d.r.t.Fatalf("no %s within %s; the last status: %+v", what, slowly, s)
	return s
}

// balanced checks the books.
func (r *rig) balanced(s status.Snapshot) {
	r.t.Helper()
	for _, m := range s.Mappings {
		if !m.Changes.Balanced() {
			r.t.Fatalf("the books of %s do not balance: %+v", m.Name, m.Changes)
		}
	}
}

// caughtUp waits until everything that is committed now has arrived.
func (d *process) caughtUp() status.Snapshot {
	d.r.t.Helper()
	var end lsn.LSN
	if err := end.UnmarshalText([]byte(d.r.db.Value(d.r.t, "SELECT pg_current_wal_lsn()"))); err != nil {
		d.r.t.Fatal(err)
	}
	s := d.until("it has caught up with "+end.String(), func(s status.Snapshot) bool {
		return s.CaughtUp && s.Postgres.Stored >= end
	})
	ctx, cancel := context.WithTimeout(context.Background(), slowly)
	defer cancel()
	if err := d.r.sim.Settle(ctx); err != nil {
		d.r.t.Fatal(err)
	}
	return s
}

// offline is what `pgcio status --json` says while no daemon runs; ok is false
// when there is no state yet.
func (r *rig) offline() (s status.Snapshot, ok bool) {
	r.t.Helper()
	if _, err := os.Stat(r.state); err != nil {
		return s, false
	}
	cmd := r.command("status", "--json")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("pgcio status: %v\n%s", err, &errs)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		r.t.Fatal(err)
	}
	r.balanced(s)
	return s, true
}

// received is how many changes of the mappings were received.
func received(s status.Snapshot) (n int64) {
	for _, m := range s.Mappings {
		n += m.Changes.Received
	}
	return n
}

// fault sets the faults in force.
func (r *rig) fault(faults ...simulator.Fault) {
	r.t.Helper()
	if err := r.sim.SetFaults(faults...); err != nil {
		r.t.Fatal(err)
	}
}
