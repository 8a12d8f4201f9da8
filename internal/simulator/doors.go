package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ServeHTTP is the door for a listener: the two APIs, the inspection surface
// under /_sim/, and a page at /.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.inspection.ServeHTTP(w, r)
		return
	}
	c, err := newCall(r)
	if err != nil {
		return // the client went away while it was sending
	}
	reply, err := s.handle(r.Context(), c)
	if err != nil {
		hangUp(w)
		return
	}
	if reply.cut == cutRefused || reply.cut == cutReset {
		hangUp(w)
		return
	}
	for key, values := range reply.header {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(reply.body)))
	w.WriteHeader(reply.status)
	body := reply.body
	if reply.cut == cutTruncated {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body) // a client that is gone learns nothing
	if reply.cut == cutTruncated {
		breakOff(w)
	}
}

// hangUp resets the connection without a reply.
func hangUp(w http.ResponseWriter) { drop(w, 0) }

// breakOff sends what was written of a reply and closes the connection.
func breakOff(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	drop(w, -1)
}

// drop takes the connection over and closes it; linger 0 makes that a reset,
// which may overtake what was written.
func drop(w http.ResponseWriter, linger int) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or nothing to take over
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(linger)
	}
	_ = conn.Close()
}

func newCall(r *http.Request) (*call, error) {
	c := &call{
		method: r.Method, host: r.Host, path: r.URL.EscapedPath(), query: r.URL.Query(), header: r.Header,
	}
	if r.Body == nil {
		return c, nil
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(min(r.ContentLength, maxBodyBytes)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(io.LimitReader(r.Body, maxBodyBytes))
	c.body = b.Bytes()
	return c, err
}

// Transport is the door without a network: an http.RoundTripper that answers
// in memory, on the clock of whoever calls it. Replies that are slow end with
// the request's context; broken connections are the errors a dialer gives.
//
// In a testing/synctest bubble, call [New] inside the bubble too: waiting on a
// simulator from outside would hold the bubble's clock still.
func (s *Simulator) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Simulator }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	select {
	case <-t.s.closed:
		return nil, refused()
	default:
	}
	c, err := newCall(r)
	if err != nil {
		return nil, err
	}
	if c.host == "" {
		c.host = r.URL.Host
	}
	reply, err := t.s.handle(r.Context(), c)
	switch {
	case errors.Is(err, errClosed):
		return nil, reset()
	case err != nil:
		return nil, err
	case reply.cut == cutRefused:
		return nil, refused()
	case reply.cut == cutReset:
		return nil, reset()
	}
	header := reply.header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	header.Set("Content-Length", strconv.Itoa(len(reply.body)))
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var body io.Reader = bytes.NewReader(reply.body)
	if reply.cut == cutTruncated {
		body = io.MultiReader(bytes.NewReader(reply.body[:len(reply.body)/2]), brokenReader{})
	}
	return &http.Response{
		Status: strconv.Itoa(reply.status) + " " + http.StatusText(reply.status), StatusCode: reply.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(body), ContentLength: int64(len(reply.body)), Request: r,
	}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func refused() error { return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} }
func reset() error   { return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET} }

// Serve answers on a listener until ctx ends, then closes it and the simulator.
func (s *Simulator) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		s.Close()
		_ = server.Close()
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the simulated Customer.io on %s: %w", l.Addr(), err)
	}
	return nil
}
