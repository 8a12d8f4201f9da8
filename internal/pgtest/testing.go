package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"sync"
	"time"
)

// TB is what the package needs of testing.TB.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Failed() bool
}

// New starts a cluster for one test and closes it afterwards; of a failed test it
// shows the end of the server's log.
func New(t TB, opts ...Options) *Cluster {
	t.Helper()
	var o Options
	switch len(opts) {
	case 0:
	case 1:
		o = opts[0]
	default:
		t.Fatalf("pgtest.New: one Options at most")
	}
	c, err := Start(context.Background(), o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("postgres log:\n%s", tail(c.Log(), 4000))
		}
		if err := c.Close(); err != nil {
			t.Logf("closing the postgres cluster: %v", err)
		}
	})
	return c
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "… " + s[len(s)-n:]
}

// shared is the cluster of the process; its lifetime is why it is a variable.
var shared struct {
	sync.Mutex
	cluster *Cluster
}

// Shared is a cluster for all tests of the process that need no more of it than a
// database (see [NewDatabase]): none may stop it or change its settings. It ends
// with [Main], or else with the process.
func Shared(t TB) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		c, err := Start(context.Background(), Options{
			AllowRunning: true,
			// Many tests at once, each with two walsenders and a few slots.
			Settings: map[string]string{"max_connections": "200", "max_wal_senders": "60", "max_replication_slots": "60"},
		})
		if err != nil {
			t.Fatalf("%v", err)
		}
		shared.cluster = c
	}
	return shared.cluster
}

// Main runs the tests of a package and leaves nothing behind when it exits:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// A search for leaked goroutines has to leave out those that watch a cluster: the
// functions postmaster.watch and postmaster.reap.
func Main(m interface{ Run() int }) {
	code := m.Run()
	shared.Lock()
	var err error
	if shared.cluster != nil {
		err = shared.cluster.Close()
	}
	if err = errors.Join(err, Shutdown()); err != nil {
		os.Stderr.WriteString("pgtest: " + err.Error() + "\n")
		code = max(code, 1)
	}
	os.Exit(code)
}

// DB is a database of its own for one test.
type DB struct {
	Cluster *Cluster
	Name    string
}

// NewDatabase makes a database in the shared cluster, and drops it, with its
// replication slots, after the test.
func NewDatabase(t TB) *DB {
	t.Helper()
	return Shared(t).NewDatabase(t)
}

// NewDatabase makes a database in the cluster. What follows CREATE DATABASE name
// may be given: "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'".
func (c *Cluster) NewDatabase(t TB, with ...string) *DB {
	t.Helper()
	db := &DB{Cluster: c, Name: "t_" + strings.ToLower(rand.Text()[:12])}
	db.admin(t, func(ctx context.Context, s *Session) error {
		return s.Exec(ctx, "CREATE DATABASE "+db.Name+" "+strings.Join(with, " "))
	})
	t.Cleanup(func() {
		if c.Running() {
			db.admin(t, func(ctx context.Context, s *Session) error { return dropDatabase(ctx, s, db.Name) })
		}
	})
	return db
}

func (db *DB) admin(t TB, do func(context.Context, *Session) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := db.Cluster.in(ctx, "", func(s *Session) error { return do(ctx, s) }); err != nil {
		t.Fatalf("database %s: %v", db.Name, err)
	}
}

// DB is the cluster's own database, for tests that have a cluster to themselves.
func (c *Cluster) DB() *DB { return &DB{Cluster: c, Name: c.Database} }

// URL is the address of the database, over TCP.
func (db *DB) URL() string { return db.Cluster.URL(db.Name) }

// Connect opens a session that the end of the test closes.
func (db *DB) Connect(t TB) *Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s, err := db.Cluster.Connect(ctx, db.Name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // the test may have ended the server before
	})
	return s
}

// Exec runs SQL (several statements, where there are no arguments) and fails the
// test if that fails.
func (db *DB) Exec(t TB, sql string, args ...any) {
	t.Helper()
	db.do(t, func(ctx context.Context, s *Session) error { return s.Exec(ctx, sql, args...) })
}

// Query returns the rows of one statement, in text.
func (db *DB) Query(t TB, sql string, args ...any) (rows [][]string) {
	t.Helper()
	db.do(t, func(ctx context.Context, s *Session) (err error) {
		rows, err = s.Query(ctx, sql, args...)
		return err
	})
	return rows
}

// Value returns the first column of the first row.
func (db *DB) Value(t TB, sql string, args ...any) (value string) {
	t.Helper()
	db.do(t, func(ctx context.Context, s *Session) (err error) {
		value, err = s.Value(ctx, sql, args...)
		return err
	})
	return value
}

func (db *DB) do(t TB, do func(context.Context, *Session) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*startTimeout)
	defer cancel()
	if err := db.Cluster.in(ctx, db.Name, func(s *Session) error { return do(ctx, s) }); err != nil {
		t.Fatalf("%v", err)
	}
}
