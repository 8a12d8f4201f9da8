package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	superuser    = "postgres"
	startTimeout = time.Minute // when the context sets no deadline
)

// Options say what kind of cluster is wanted. The zero value is a cluster of the
// preferred Postgres with wal_level = logical, which does not survive a power cut
// but any number of kills.
type Options struct {
	Major    int               // 13 to 18; 0 for the preferred one (see Find)
	Settings map[string]string // of postgresql.conf; they win over all below
	Durable  bool              // fsync, as in production: for tests that measure

	SegmentMB int    // size of a WAL segment; 0 for Postgres' own 16
	Locale    string // of initdb; "" compares by code point
	Encoding  string // of initdb; "" is UTF8

	// CopyOf makes the cluster a copy of a stopped one, as after a restore: with
	// its data, system identifier, roles, password and replication slots.
	CopyOf *Cluster
	// Port is the one to listen on, to take the place of another cluster.
	// 0 finds a free one.
	Port int
	// Files are written into the data directory before the first start:
	// {"standby.signal": ""}.
	Files map[string]string

	// AllowRunning says that a running server, where PGCIO_TEST_POSTGRES is the
	// URL of one, will do: with a database of its own, which Close drops.
	// Otherwise such a URL does not count, and binaries are looked for.
	AllowRunning bool
}

// Cluster is a private Postgres cluster.
type Cluster struct {
	Dir      string // the data directory
	Host     string // 127.0.0.1
	Port     int
	Socket   string // the directory of the unix socket
	Major    int
	Database string // where URL("") leads

	home     string // what Close removes
	inst     Installation
	who      account
	password string
	fixed    bool // the port was asked for
	pm       *postmaster
	running  *url.URL // a server that was there before; nil for one of ours
}

// Start makes a cluster and starts it.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.AllowRunning {
		if u := runningServer(); u != nil {
			return adopt(ctx, u)
		}
	}
	c := &Cluster{Host: "127.0.0.1", Port: opts.Port, fixed: opts.Port != 0, Database: superuser}
	if err := c.create(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("making a postgres cluster: %w", err), c.Close())
	}
	if err := c.launch(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, startTimeout)
}

func (c *Cluster) create(ctx context.Context, opts Options) (err error) {
	var from string
	switch old := opts.CopyOf; {
	case old != nil && old.Running():
		return errors.New("the cluster to copy is running")
	case old != nil:
		c.inst, c.password, from = old.inst, old.password, old.Dir
	default:
		if opts.Major != 0 {
			c.inst, err = Major(ctx, opts.Major)
		} else {
			c.inst, err = Find(ctx)
		}
		if err != nil {
			return err
		}
		if who, err := currentAccount(); err != nil {
			return err
		} else if !who.reaches(c.inst.Bin) {
			return fmt.Errorf("as root, postgres runs as user %s, who cannot enter %s", who.name, c.inst.Bin)
		}
		t, err := templateFor(ctx, templateKey{c.inst.Bin, opts.SegmentMB, opts.Locale, opts.Encoding})
		if err != nil {
			return err
		}
		c.password, from = t.password, t.data
	}
	c.Major = c.inst.Major
	if c.home, c.who, err = newDir("c"); err != nil {
		return err
	}
	c.Dir, c.Socket = filepath.Join(c.home, "data"), c.home
	if err := copyTree(ctx, from, c.Dir); err != nil {
		return err
	}
	if opts.CopyOf == nil {
		if err := renewSystemID(c.Dir, uint64(rand.Int64())); err != nil {
			return err
		}
	}
	for name, content := range opts.Files {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := c.configure(opts); err != nil {
		return err
	}
	return c.who.own(c.home)
}

// configure appends to postgresql.conf, where the last word on a setting holds.
func (c *Cluster) configure(opts Options) error {
	var conf strings.Builder
	set := func(name, value string) {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	conf.WriteString("\n# pgtest\n")
	set("listen_addresses", c.Host)
	set("unix_socket_directories", c.Socket)
	if opts.CopyOf == nil {
		set("wal_level", "logical")
		set("max_wal_senders", "20")
		set("max_replication_slots", "20")
		set("max_connections", "60")
		set("shared_buffers", "64MB")
		set("timezone", "UTC")
		set("log_timezone", "UTC")
		if !opts.Durable {
			set("fsync", "off")
			set("full_page_writes", "off")
		}
	}
	for name, value := range opts.Settings {
		set(name, value)
	}
	path := filepath.Join(c.Dir, "postgresql.conf")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(conf.String()); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// launch starts the postmaster and returns once it accepts connections. A port
// that somebody else took meanwhile is changed, unless it has been given out.
func (c *Cluster) launch(ctx context.Context) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	for attempt := 0; ; attempt++ {
		if !c.fixed {
			port, err := freePort()
			if err != nil {
				return err
			}
			c.Port = port
		}
		err := c.launchOnce(ctx)
		if err == nil {
			c.fixed = true
			return nil
		}
		if c.fixed || attempt == 5 || !strings.Contains(err.Error(), "could not bind") {
			return err
		}
	}
}

func (c *Cluster) launchOnce(ctx context.Context) error {
	logged := c.logSize()
	failed := func(err error) error {
		return fmt.Errorf("starting %s in %s: %w\n%s", filepath.Join(c.inst.Bin, "postgres"), c.Dir, err, c.logSince(logged))
	}
	pm, err := startPostmaster(c.who, c.home, c.logPath(),
		filepath.Join(c.inst.Bin, "postgres"), "-D", c.Dir, "-p", strconv.Itoa(c.Port))
	if err != nil {
		return failed(err)
	}
	c.pm = pm
	// The line is written by Postgres itself, when it starts to accept sessions.
	// Polling a file is cheaper than connecting and fills no log with refusals.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-pm.gone:
			pm.release()
			return failed(errors.New("postgres ended"))
		case <-ctx.Done():
			return errors.Join(failed(ctx.Err()), c.Kill())
		case <-tick.C:
			if status := c.status(pm.pid); status == "ready" || status == "standby" {
				return nil
			}
		}
	}
}

// status is what postmaster.pid says, if it is this postmaster's.
func (c *Cluster) status(pid int) string {
	b, err := os.ReadFile(filepath.Join(c.Dir, "postmaster.pid"))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 8 || lines[0] != strconv.Itoa(pid) {
		return ""
	}
	return strings.TrimSpace(lines[7])
}

// freePort finds a port below those that the system hands to outgoing
// connections: while the cluster is stopped, one of these could take it, or a
// client which dials it again and again could be connected to itself.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("finding a free port: %w", err)
}

// URL is the address of a database, over TCP, for the superuser; "" is the
// cluster's own.
func (c *Cluster) URL(db string) string {
	if db == "" {
		db = c.Database
	}
	if c.running != nil {
		u := *c.running
		u.Path = "/" + db
		return u.String()
	}
	return (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, c.password),
		Host:     net.JoinHostPort(c.Host, strconv.Itoa(c.Port)),
		Path:     "/" + db,
		RawQuery: "sslmode=disable",
	}).String()
}

// SocketURL is the address of a database over the unix socket, which asks for no
// password.
func (c *Cluster) SocketURL(db string) string {
	if c.running != nil {
		return c.URL(db)
	}
	if db == "" {
		db = c.Database
	}
	q := url.Values{"host": {c.Socket}, "port": {strconv.Itoa(c.Port)}}
	return "postgres://" + superuser + "@/" + url.PathEscape(db) + "?" + q.Encode()
}

// Bin is the path of one of Postgres' programs, and whether it is there: packages
// of npm hold only postgres, initdb and pg_ctl.
func (c *Cluster) Bin(name string) (string, bool) { return c.inst.Program(name) }

// Log is what the server has written so far.
func (c *Cluster) Log() string { return c.logSince(0) }

func (c *Cluster) logPath() string { return filepath.Join(c.home, "log") }

func (c *Cluster) logSize() int64 {
	info, err := os.Stat(c.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}

func (c *Cluster) logSince(offset int64) string {
	b, err := os.ReadFile(c.logPath())
	if err != nil || int64(len(b)) < offset {
		return ""
	}
	return strings.TrimSpace(string(b[offset:]))
}
