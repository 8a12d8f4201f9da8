package pgtest

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return c
}

func TestNew(t *testing.T) {
	t.Parallel()
	c := New(t)
	db := c.DB()
	for setting, want := range map[string]string{
		"wal_level": "logical", "fsync": "off", "server_encoding": "UTF8", "TimeZone": "UTC",
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(c.Port), "data_directory": c.Dir,
	} {
		if got := db.Value(t, "SHOW "+setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	if got := db.Value(t, "SELECT current_setting('server_version_num')::int / 10000"); got != strconv.Itoa(c.Major) {
		t.Errorf("the server is a %s, Major says %d", got, c.Major)
	}
	if got := db.Value(t, "SELECT lower('Ä') || (SELECT usesuper FROM pg_user WHERE usename = current_user)"); got != "ätrue" && got != "Ätrue" {
		t.Errorf("got %s", got)
	}
	s, err := Open(ctx(t), c.SocketURL(""))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Value(ctx(t), "SELECT inet_server_addr()"); err != nil || v != Null {
		t.Errorf("over the socket, the address is %q (%v), want null", v, err)
	}
	if err := s.Close(ctx(t)); err != nil {
		t.Error(err)
	}
}

func TestOthersAreKeptOut(t *testing.T) {
	t.Parallel()
	c := New(t)
	u, err := url.Parse(c.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(superuser, "guess")
	if _, err := Open(ctx(t), u.String()); err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("with a wrong password: %v", err)
	}
	info, err := os.Stat(c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory is open: %v", info.Mode())
	}
}

func TestSystemIDs(t *testing.T) {
	t.Parallel()
	a, b := New(t), New(t)
	const id = "SELECT system_identifier FROM pg_control_system()"
	idA, idB := a.DB().Value(t, id), b.DB().Value(t, id)
	if idA == idB {
		t.Errorf("two clusters share the system identifier %s", idA)
	}
	if err := a.Restart(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if again := a.DB().Value(t, id); again != idA {
		t.Errorf("the system identifier changed from %s to %s", idA, again)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	c := New(t, Options{
		SegmentMB: 1, Durable: true, Locale: "C", Encoding: "SQL_ASCII",
		Settings: map[string]string{"wal_sender_timeout": "1234ms", "max_wal_senders": "3", "cluster_name": "it's"},
	})
	for setting, want := range map[string]string{
		"wal_segment_size": "1MB", "fsync": "on", "full_page_writes": "on", "server_encoding": "SQL_ASCII",
		"wal_sender_timeout": "1234ms", "max_wal_senders": "3", "cluster_name": "it's",
	} {
		if got := c.DB().Value(t, "SHOW "+setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
}

func TestBadSetting(t *testing.T) {
	t.Parallel()
	_, err := Start(ctx(t), Options{Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("the error does not show the server's log: %v", err)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	c := New(t)
	db := c.DB()
	db.Exec(t, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
	url := c.URL("")
	for _, mode := range []Mode{Fast, Immediate, Smart} {
		took, err := c.Stop(ctx(t), mode)
		if err != nil {
			t.Fatalf("%v: %v", syscall.Signal(mode), err)
		}
		if took <= 0 || c.Running() {
			t.Errorf("%v: took %v, running %v", syscall.Signal(mode), took, c.Running())
		}
		if _, err := net.Dial("tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port))); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after the stop, dialling it: %v", err)
		}
		if err := c.Restart(ctx(t)); err != nil {
			t.Fatal(err)
		}
		if c.URL("") != url {
			t.Errorf("the URL changed from %s to %s", url, c.URL(""))
		}
		if got := db.Value(t, "SELECT n FROM t"); got != "1" {
			t.Errorf("got %s", got)
		}
	}
}

// A smart shutdown waits for sessions; a context ends the wait, not the shutdown.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	c := New(t)
	s := c.DB().Connect(t)
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Stop(short, Smart); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a smart shutdown beside a session: %v", err)
	}
	if !c.Running() {
		t.Fatal("it ended in spite of the session")
	}
	if err := s.Close(ctx(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.pm.gone:
	case <-ctx(t).Done():
		t.Fatal("it did not end after the session")
	}
	if _, err := c.Stop(ctx(t), Fast); err == nil {
		t.Error("stopping a stopped cluster is no error")
	}
}

// gone reports that a process has ended: it may take its new parent an instant to
// collect what is left of it.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	for range 500 {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestKill(t *testing.T) {
	t.Parallel()
	c := New(t)
	db := c.DB()
	db.Exec(t, "CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
	s := db.Connect(t)
	postmaster, backend := c.pm.pid, s.PID()
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{postmaster, backend} {
		if !gone(t, pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	if err := c.Kill(); err != nil {
		t.Errorf("killing it twice: %v", err)
	}
	if err := c.Restart(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.Log(), "automatic recovery in progress") {
		t.Errorf("no crash recovery in the log:\n%s", c.Log())
	}
	if got := db.Value(t, "SELECT n FROM t"); got != "7" {
		t.Errorf("got %s", got)
	}
}

// A restored cluster is the same one, at the same place, with older data.
func TestCopyOf(t *testing.T) {
	t.Parallel()
	c := New(t)
	c.DB().Exec(t, "CREATE TABLE t (n int)")
	c.DB().Exec(t, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
	if _, err := Start(ctx(t), Options{CopyOf: c}); err == nil {
		t.Error("a running cluster was copied")
	}
	const id = "SELECT system_identifier FROM pg_control_system()"
	want := c.DB().Value(t, id)
	if _, err := c.Stop(ctx(t), Fast); err != nil {
		t.Fatal(err)
	}
	old := New(t, Options{CopyOf: c, Port: c.Port})
	if old.URL("") != c.URL("") {
		t.Errorf("the copy is at %s, not %s", old.URL(""), c.URL(""))
	}
	if got := old.DB().Value(t, id); got != want {
		t.Errorf("the copy's system identifier is %s, want %s", got, want)
	}
	if got := old.DB().Value(t, "SELECT count(*) FROM t, pg_replication_slots"); got != "0" {
		t.Errorf("got %s", got)
	}
	if got := old.DB().Value(t, "SELECT slot_name FROM pg_replication_slots"); got != "s" {
		t.Errorf("slot %s", got)
	}
}

func TestStandby(t *testing.T) {
	t.Parallel()
	primary := New(t)
	primary.DB().Exec(t, "CREATE TABLE t (n int)")
	if _, err := primary.Stop(ctx(t), Fast); err != nil {
		t.Fatal(err)
	}
	standby := New(t, Options{
		CopyOf:   primary,
		Settings: map[string]string{"primary_conninfo": primary.URL(""), "wal_retrieve_retry_interval": "50ms"},
		Files:    map[string]string{"standby.signal": ""},
	})
	if err := primary.Restart(ctx(t)); err != nil {
		t.Fatal(err)
	}
	primary.DB().Exec(t, "INSERT INTO t VALUES (5)")
	for {
		rows := standby.DB().Query(t, "SELECT n, pg_is_in_recovery() FROM t")
		if len(rows) == 1 {
			if rows[0][0] != "5" || rows[0][1] != "t" {
				t.Errorf("got %v", rows)
			}
			return
		}
		select {
		case <-ctx(t).Done():
			t.Fatal("the row did not arrive")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	c, err := Start(ctx(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	home := c.home
	// Not even a stopped postmaster keeps it.
	if err := c.pm.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", home, err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing it twice: %v", err)
	}
}
