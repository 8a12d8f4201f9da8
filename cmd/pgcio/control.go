package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The control socket is HTTP with JSON over a unix socket beside the state
// file, which only the daemon's user may open:
//
//	GET  /status                    the status, as GET /api/status has it
//	GET  /parked?orphaned=1         the entries set aside, and whether there are more
//	GET  /parked/ID                 one of them
//	POST /parked/retry, /drop       a selection; the answer says how many

// maxSocketPath is what a socket's address has room for (sun_path), and its
// final zero.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// listenControl opens the control socket. The state file is locked, so a socket
// that is there is of a daemon that was killed.
func listenControl(path string) (net.Listener, error) {
	if abs, err := filepath.Abs(path); err == nil && len(path) > maxSocketPath && len(abs) > maxSocketPath {
		return nil, fmt.Errorf("the control socket %s: its path is %d bytes long and the system takes %d; give [state] path a shorter directory", path, len(path), maxSocketPath)
	}
	if err := removeSocket(path); err != nil {
		return nil, err
	}
	// The socket must never be open to others, not even for a moment.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	return l, nil
}

// controlHandler serves the control socket.
func controlHandler(d *desk) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = d.snapshot().WriteJSON(w) // whoever asked may have gone
	})
	mux.HandleFunc("GET /parked", func(w http.ResponseWriter, r *http.Request) {
		list, err := d.list(r.FormValue("orphaned") != "")
		reply(w, list, err)
	})
	mux.HandleFunc("GET /parked/{id}", func(w http.ResponseWriter, r *http.Request) {
		ids, err := entryIDs([]string{r.PathValue("id")})
		if err != nil {
			reply(w, nil, err)
			return
		}
		e, err := d.show(ids[0])
		reply(w, e, err)
	})
	for path, do := range map[string]func(context.Context, selection) (int, error){"/parked/retry": d.retry, "/parked/drop": d.drop} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var s selection
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&s); err != nil {
				reply(w, nil, usagef("reading the selection: %v", err))
				return
			}
			n, err := do(r.Context(), s)
			reply(w, n, err)
		})
	}
	return mux
}

// fault is an error on its way through the socket.
type fault struct {
	Error string `json:"error"`
	Usage bool   `json:"usage,omitempty"`
}

func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		var usage usageError
		w.WriteHeader(http.StatusBadRequest)
		v = fault{Error: err.Error(), Usage: errors.As(err, &usage)}
	}
	_ = json.NewEncoder(w).Encode(v) // whoever asked may have gone
}

// controlClient speaks to a running daemon.
type controlClient struct{ http http.Client }

// errNoDaemon says that nobody listens on the control socket.
var errNoDaemon = errors.New("no daemon is running")

// answerWithin is how long the daemon may take to tell how it is.
const answerWithin = 10 * time.Second

func newControlClient(socket string) *controlClient {
	return &controlClient{http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", socket)
			switch {
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
				return nil, fmt.Errorf("%w (%s)", errNoDaemon, socket)
			case errors.Is(err, fs.ErrPermission):
				return nil, fmt.Errorf("the control socket: %w; run this as the daemon's user", err)
			}
			return conn, err
		},
		DisableKeepAlives: true,
	}}}
}

// call makes a request and reads its answer into v. A body makes it a POST.
func (c *controlClient) call(ctx context.Context, path string, query url.Values, body, v any) error {
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		method, content = http.MethodPost, strings.NewReader(string(b))
	}
	// What changes nothing is answered at once, or never.
	within, cancel := ctx, context.CancelFunc(func() {})
	if method == http.MethodGet {
		within, cancel = context.WithTimeout(ctx, answerWithin)
	}
	defer cancel()
	r, err := http.NewRequestWithContext(within, method, "http://pgcio"+path+"?"+query.Encode(), content)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("the daemon has not answered for %s: it hangs, or is stopped", answerWithin)
	}
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the made-up URL helps nobody
		}
		return fmt.Errorf("asking the daemon: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var f fault
		if err := json.NewDecoder(resp.Body).Decode(&f); err != nil {
			return fmt.Errorf("asking the daemon: status %s", resp.Status)
		}
		if f.Usage {
			return usageError{errors.New(f.Error)}
		}
		return errors.New(f.Error)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return nil
}
