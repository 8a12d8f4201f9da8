package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// listenHTTP opens [http] listen, and says by which names beside its addresses
// the listener may be called.
func listenHTTP(listen string) (net.Listener, []string, error) {
	if path, isUnix := strings.CutPrefix(listen, "unix:"); isUnix {
		if err := removeSocket(path); err != nil {
			return nil, nil, err
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			return nil, nil, fmt.Errorf("[http] listen = %q: %w", listen, err)
		}
		return l, nil, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, nil, fmt.Errorf("[http] listen = %q: %w; choose another address, or \"\" to turn it off", listen, err)
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	names := []string{host}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		// Whoever listens on every address is called by the machine's name.
		if name, err := os.Hostname(); err == nil {
			short, _, _ := strings.Cut(name, ".")
			names = append(names, name, short)
		}
	}
	return l, names, nil
}

// removeSocket removes a socket that an earlier run left, and nothing else.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking at the socket of an earlier run: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the socket of an earlier run: %w", err)
	}
	return nil
}

// serveWithin is how long answers that are under way may take at the end.
const serveWithin = time.Second

// serve serves until ctx ends.
func serve(ctx context.Context, server *http.Server, l net.Listener) error {
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveWithin)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		_ = server.Close() // somebody keeps a connection open; it is cut
	}
	<-done
	return nil
}
