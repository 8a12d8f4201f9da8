package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
)

// A daemon that was asked to end leaves nothing running, and says no more than
// that it stops.
func TestTheDaemonEndsWhole(t *testing.T) {
	db := pgtest.New(t).DB()
	db.Exec(t, "CREATE TABLE users (id bigint PRIMARY KEY, email text)")
	db.Exec(t, "INSERT INTO users SELECT n, 'person' || n || '@example.com' FROM generate_series(1, 100) n")
	sim, ws, err := newSimulator(simulator.DefaultSettings(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	server := httptest.NewServer(sim)
	defer server.Close()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[postgres]\nurl = %q\n[state]\npath = %q\n[http]\nlisten = %q\n", db.URL(), filepath.Join(t.TempDir(), "state.db"), address)
	if err := writeWorkspace(&b, ws, server.URL); err != nil {
		t.Fatal(err)
	}
	cfg, err := parseConfig("pgcio.toml", []byte(b.String()+minimal[strings.Index(minimal, "[[mapping]]"):]), environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	a := &app{console: console{stdout: io.Discard, stderr: io.Discard, getenv: environment(nil)}}
	var log strings.Builder
	ended := make(chan error, 1)
	running, end := context.WithCancel(ctx)
	go func() {
		ended <- a.daemon(running, cfg, daemonOptions{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	}()
	for ctx.Err() == nil {
		if s, _, err := currentStatus(ctx, address); err == nil && s.CaughtUp && s.Mappings[0].Changes.Delivered == 100 {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the daemon ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if log.Len() > 0 {
		t.Errorf("it warned of something:\n%s", log.String())
	}
}
