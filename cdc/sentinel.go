package cdc

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// sentinel is an idle replication connection that tells when the server begins
// to stop. The streaming walsender would not: in a shutdown it waits until its
// client has received and flushed everything, so merely being behind would hold
// up the database (T22, B11). The server ends an idle walsender at once, in fast
// and in smart mode; a smart shutdown would wait for an ordinary session.
type sentinel struct {
	conn net.Conn
	done chan struct{}

	mu    sync.Mutex
	ended error
	wire  *wire
	wake  func()
	quit  bool
}

func startSentinel(ctx context.Context, cfg Config) (*sentinel, error) {
	s, err := connect(ctx, cfg, replicating)
	if err != nil {
		return nil, fmt.Errorf("opening the connection that notices a shutdown: %w", err)
	}
	w, err := newWire(ctx, s)
	if err != nil {
		s.close()
		return nil, err
	}
	t := &sentinel{conn: w.conn, done: make(chan struct{})}
	go t.watch(w)
	return t, nil
}

// watch reads until the connection ends. What the server says before (a
// changed setting) means nothing.
func (t *sentinel) watch(w *wire) {
	defer close(t.done)
	var reason error
	for {
		kind, body, err := w.wait()
		if err != nil {
			if reason == nil {
				reason = err
			}
			break
		}
		if kind == 'E' {
			reason = serverError(body)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quit {
		return
	}
	t.ended = fmt.Errorf("postgres ended the connection that notices a shutdown: %w", reason)
	if t.wire != nil {
		t.wire.close()
		t.wake()
	}
}

// guard closes w when the sentinel ends.
func (t *sentinel) guard(w *wire, wake func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wire, t.wake = w, wake
	if t.ended != nil {
		w.close()
	}
}

// gone is why the sentinel ended, or nil while it stands.
func (t *sentinel) gone() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

func (t *sentinel) stop() {
	t.mu.Lock()
	t.quit = true
	t.mu.Unlock()
	_ = t.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = t.conn.Write([]byte{'X', 0, 0, 0, 4}) // Terminate
	_ = t.conn.Close()
	<-t.done
}
