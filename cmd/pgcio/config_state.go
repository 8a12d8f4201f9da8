package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/pgcio/pgcio/internal/strict"
)

// stateConfig is [state].
type stateConfig struct {
	path    string
	maxSize int64
}

// socket is the control socket's path: it stands beside the state file.
func (c stateConfig) socket() string { return filepath.Join(filepath.Dir(c.path), "pgcio.sock") }

// place is the absolute path of the state file, for people.
func (c stateConfig) place() string {
	if abs, err := filepath.Abs(c.path); err == nil {
		return abs
	}
	return c.path
}

func (r *reader) state(t *strict.Table) stateConfig {
	t.Expand(r.getenv)
	c := stateConfig{
		path:    orString(t, "path", "/var/lib/pgcio/state.db"),
		maxSize: 10 << 30,
	}
	if c.path == "" {
		t.Problem("path", "", "must not be empty")
	} else if info, err := os.Stat(c.path); err == nil && info.IsDir() {
		t.Problem("path", "name a file in it: "+filepath.Join(c.path, "state.db"), "%s is a directory", c.path)
	}
	if n, ok := t.Size("max_size"); ok {
		c.maxSize = n
	}
	if c.maxSize <= 0 {
		t.Problem("max_size", "", "must be more than 0")
	}
	refuseUnbuilt(t, unbuiltState)
	t.Done()
	return c
}

// httpConfig is [http].
type httpConfig struct {
	listen string // "": off; "host:port"; "unix:/path"
}

func (r *reader) http(t *strict.Table) httpConfig {
	t.Expand(r.getenv)
	c := httpConfig{listen: orString(t, "listen", "127.0.0.1:7464")}
	if path, isUnix := strings.CutPrefix(c.listen, "unix:"); isUnix {
		if !filepath.IsAbs(path) {
			t.Problem("listen", "", "%q must be followed by an absolute path", "unix:")
		}
	} else if c.listen != "" && !isAddress(c.listen) {
		t.Problem("listen", `write "127.0.0.1:7464", "unix:/run/pgcio/http.sock", or "" to turn it off`, "%q is no address with a port", c.listen)
	}
	t.Done()
	return c
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)

// isAddress tells whether something can be listened on as far as its text shows:
// a name or an IP address, or neither for all of the machine's, and a port.
func isAddress(listen string) bool {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	if host == "" {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	digits := strings.Trim(host, "0123456789.") == "" // an IP address that is none
	return !digits && hostName.MatchString(host)
}

// notOpened says what to do about a state that cannot be opened.
func notOpened(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("opening the state: %w; make its directory, for the daemon's user alone (under systemd StateDirectory does that at the first start), or change [state] path", err)
	}
	return fmt.Errorf("opening the state: %w", err)
}
