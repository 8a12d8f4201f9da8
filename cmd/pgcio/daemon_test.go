package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/status"
	"github.com/pgcio/pgcio/internal/strict"
	"github.com/pgcio/pgcio/state"
)

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("disk full"), 1},
		{context.Canceled, 1},
		{usagef("unknown flag"), 2},
		{fmt.Errorf("loading: %w", strict.Problems{{Message: "x"}}), 2},
		{errFindings, 3},
		{fmt.Errorf("streaming: %w", &cdc.GapError{Reason: "the slot is gone"}), 4},
		{&cdc.SourceError{What: "system identifier"}, 4},
		{errors.Join(&workspaceError{name: "main"}, errors.New("stopping")), 4},
	} {
		if got := exitStatus(c.err); got != c.want {
			t.Errorf("exitStatus(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

// sqlState is an error as Postgres' drivers make them.
type sqlState string

func (s sqlState) Error() string    { return "postgres: " + string(s) }
func (s sqlState) SQLState() string { return string(s) }

func TestPassing(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		{fmt.Errorf("connecting: %w", sqlState("57P03")), true},
		{sqlState("53300"), true},
		{io.ErrUnexpectedEOF, true},
		{sqlState("28P01"), false}, // a wrong password stays wrong
		{sqlState("42501"), false},
		{errors.New("something else"), false},
		{&cdc.GapError{}, false},
		{context.Canceled, false},
	} {
		if got := passing(c.err); got != c.want {
			t.Errorf("passing(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestShutdownIsLastInFirstOut(t *testing.T) {
	var order []string
	s := &shutdown{log: slog.New(slog.DiscardHandler)}
	for _, name := range []string{"state", "sink", "pump"} {
		s.then(name, func() error {
			order = append(order, name)
			if name == "sink" {
				return errors.New("no reply")
			}
			return nil
		})
	}
	err := s.run()
	if got := strings.Join(order, " "); got != "pump sink state" {
		t.Errorf("stopped %s", got)
	}
	if err == nil || err.Error() != "stopping the sink: no reply" {
		t.Errorf("error %v", err)
	}
}

func TestALoopThatEndsFailsTheDaemon(t *testing.T) {
	defer goleak.VerifyNone(t)
	end := &shutdown{log: slog.New(slog.DiscardHandler)}
	ctx, fail := context.WithCancelCause(t.Context())
	defer fail(nil)
	loop := &loops{end, fail, func() error { return context.Cause(ctx) }}
	broken := errors.New("broken")
	loop.start("good", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	// Another loop that meets with the same error says nothing new.
	loop.start("reader", func(ctx context.Context) error {
		<-ctx.Done()
		return errors.Join(fmt.Errorf("reading: %w", broken))
	})
	loop.start("bad", func(context.Context) error { return fmt.Errorf("storing: %w", broken) })
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, broken) {
		t.Errorf("cause %v", cause)
	}
	if err := end.run(); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestPulse(t *testing.T) {
	p := newPulse(time.Minute)
	pump, sink := p.loop("the pump"), p.loop("the sink")
	if err := p.alive(); err != nil {
		t.Errorf("before the first round: %v", err)
	}
	pump.round()
	sink.round()
	if err := p.alive(); err != nil {
		t.Errorf("after a round: %v", err)
	}
	pump.last.Store(time.Now().Add(-2 * time.Minute).UnixNano())
	if err := p.alive(); err == nil || err.Error() != "the pump has not gone round for 2m0s" {
		t.Errorf("stuck: %v", err)
	}
	pump.end()
	if err := p.alive(); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestLogger(t *testing.T) {
	journal := map[string]string{"JOURNAL_STREAM": "8:1"}
	for _, c := range []struct {
		name   string
		vars   map[string]string
		format string
		json   bool
		time   bool
	}{
		{"a pipe", nil, "", false, true},
		{"systemd", journal, "", true, false},
		{"systemd, text", journal, "text", false, false},
		{"json elsewhere", nil, "json", true, true},
	} {
		var b bytes.Buffer
		log, err := newLogger(console{stderr: &b, getenv: environment(c.vars)}, "info", c.format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("hello")
		log.Debug("not asked for")
		got := b.String()
		if json := strings.HasPrefix(got, "{"); json != c.json {
			t.Errorf("%s: %s", c.name, got)
		}
		if strings.Contains(got, "time") != c.time || strings.Contains(got, "not asked for") {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestNotifier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000") // 30 ms
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	receive := func() string {
		b := make([]byte, 1000)
		if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	var log bytes.Buffer
	n := notifier{slog.New(slog.NewTextHandler(&log, nil))}
	n.ready()
	if got := receive(); got != "READY=1" {
		t.Errorf("got %q", got)
	}
	n.status("streaming")
	if got := receive(); got != "STATUS=streaming" {
		t.Errorf("got %q", got)
	}

	p := newPulse(time.Minute)
	stuck := p.loop("the pump")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.feed(ctx, p); close(done) }()
	for range 2 {
		if got := receive(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	stop()
	<-done
	stuck.last.Store(1)
	ctx, stop = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	n.feed(ctx, p)
	if !strings.Contains(log.String(), "not feeding the watchdog") {
		t.Errorf("log: %s", log.String())
	}
}

func TestControlSocket(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "pgcio.sock")
	client := newControlClient(socket)
	var v any
	if err := client.call(t.Context(), "/status", nil, nil, &v); !errors.Is(err, errNoDaemon) {
		t.Errorf("nobody listens: %v", err)
	}
	l, err := listenControl(socket)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
	// A daemon that was killed leaves its socket.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.call(t.Context(), "/status", nil, nil, &v); !errors.Is(err, errNoDaemon) {
		t.Errorf("a dead socket: %v", err)
	}
	if l, err = listenControl(socket); err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(filepath.Join(dir, "file")); err == nil {
		t.Error("a file in the place of the socket was removed")
	}
	long := filepath.Join(dir, strings.Repeat("x", 120), "pgcio.sock")
	if _, err := listenControl(long); err == nil || !strings.Contains(err.Error(), "give [state] path a shorter directory") {
		t.Errorf("a path too long: %v", err)
	}
}

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		s    selection
		want string
	}{
		{selection{IDs: []uint64{1}}, ""},
		{selection{All: true}, ""},
		{selection{Mapping: "people"}, ""},
		{selection{}, "name the entries, or --all, or --mapping"},
		{selection{IDs: []uint64{1}, All: true}, "entries, --all and --mapping exclude each other"},
	} {
		got := ""
		if err := c.s.check(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
	}
}

func TestExposed(t *testing.T) {
	for address, want := range map[string]bool{
		"": false, "https://track.customer.io": false, "http://127.0.0.1:7465": false, "http://[::1]:7465": false,
		"http://localhost:7465": false, "http://proxy:7465": true, "http://10.0.0.1": true,
	} {
		if got := exposed(address); got != want {
			t.Errorf("exposed(%q) = %v", address, got)
		}
	}
}

func TestBar(t *testing.T) {
	m := status.Mapping{Name: "people", Backfill: status.Backfill{Rows: 25, Total: 100}}
	if got, want := bar(m, "3s", 53), "people [======                  ] 25 of 100, 3s left"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := bar(m, "3s", 20); got != "people 25 of 100, 3s left" {
		t.Errorf("narrow: %q", got)
	}
}

// A table that was never analyzed has no estimate: what was read of it is not all.
func TestProgressWithoutAnEstimate(t *testing.T) {
	running := state.Backfill{Running: true, Rows: 4000, Total: -1}
	if got := backfill(running); got != (status.Backfill{Rows: 4000}) || got.String() != "4000" {
		t.Errorf("while it runs: %+v, %q", got, got.String())
	}
	var b bytes.Buffer
	p := &progress{log: slog.New(slog.NewTextHandler(&b, nil))}
	p.show(status.Snapshot{Mappings: []status.Mapping{{Name: "people", State: status.MappingBackfilling, Backfill: backfill(running)}}})
	if !strings.HasSuffix(b.String(), "msg=backfill mapping=people rows=4000 left=unknown\n") {
		t.Errorf("log: %s", b.String())
	}
	running.Running = false
	if got := backfill(running).String(); got != "4000 of 4000" {
		t.Errorf("at its end: %q", got)
	}
}

func TestProgressInALog(t *testing.T) {
	var b bytes.Buffer
	p := &progress{log: slog.New(slog.NewTextHandler(&b, nil))}
	s := status.Snapshot{Mappings: []status.Mapping{{Name: "people", State: status.MappingBackfilling, Backfill: status.Backfill{Rows: 25, Total: 100}}}}
	p.show(s)
	p.show(s) // within a minute
	if n := strings.Count(b.String(), "\n"); n != 1 {
		t.Errorf("%d lines in a minute:\n%s", n, b.String())
	}
	if !strings.Contains(b.String(), "rows=25 of=100") {
		t.Errorf("log: %s", b.String())
	}
	s.Mappings[0].State, s.Mappings[0].Backfill.Rows = status.MappingLive, 100
	p.show(s)
	if !strings.HasSuffix(b.String(), "msg=\"backfill done\" mapping=people rows=100\n") {
		t.Errorf("log: %s", b.String())
	}
}
