package pgtest

import (
	"slices"
	"strings"
	"testing"
)

func TestNewDatabase(t *testing.T) {
	var name string
	t.Run("has one to itself", func(t *testing.T) {
		a, b := NewDatabase(t), NewDatabase(t)
		name = a.Name
		a.Exec(t, "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (NULL)")
		b.Exec(t, "CREATE TABLE t (n int)")
		if got := a.Query(t, "SELECT n, true, '2024-01-02'::date FROM t ORDER BY n"); !slices.EqualFunc(got,
			[][]string{{"1", "t", "2024-01-02"}, {Null, "t", "2024-01-02"}}, slices.Equal) {
			t.Errorf("got %v", got)
		}
		if got := b.Value(t, "SELECT count(*) FROM t WHERE n > $1", 0); got != "0" {
			t.Errorf("got %s", got)
		}
		s := a.Connect(t)
		if err := s.Exec(ctx(t), "SELECT 1; SELECT nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("an error in SQL: %v", err)
		}
		// What would forbid to drop it: a slot, and a session that stays.
		a.Exec(t, "SELECT pg_create_logical_replication_slot('"+a.Name+"', 'pgoutput')")
	})
	c := Shared(t)
	rows, err := c.Query(ctx(t), "SELECT datname FROM pg_database WHERE datname = $1 UNION SELECT slot_name FROM pg_replication_slots WHERE slot_name = $1", name)
	if err != nil || len(rows) != 0 {
		t.Errorf("after the test there is %v (%v)", rows, err)
	}
}

func TestNewDatabaseEncoding(t *testing.T) {
	db := Shared(t).NewDatabase(t, "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
	if got := db.Value(t, "SELECT current_setting('server_encoding') || octet_length('é')"); got != "LATIN11" {
		t.Errorf("got %s", got)
	}
}

// A server that was running before gives a database, and nothing else of it is
// touched.
func TestRunningServer(t *testing.T) {
	server := New(t)
	t.Setenv(EnvPostgres, server.URL(""))

	private := New(t) // the URL does not count for who wants a cluster
	if private.Port == server.Port {
		t.Error("a private cluster is the running server")
	}
	c, err := Start(ctx(t), Options{AllowRunning: true})
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != server.Port || c.Major != server.Major || c.Database == "postgres" {
		t.Errorf("got port %d, major %d, database %s", c.Port, c.Major, c.Database)
	}
	if got := c.DB().Value(t, "SELECT current_database()"); got != c.Database {
		t.Errorf("URL leads to %s", got)
	}
	t.Run("database", func(t *testing.T) { c.NewDatabase(t).Exec(t, "CREATE TABLE t ()") })
	if _, err := c.Stop(ctx(t), Fast); err == nil {
		t.Error("Stop stopped it")
	}
	if err := c.Kill(); err == nil {
		t.Error("Kill killed it")
	}
	if err := c.Restart(ctx(t)); err == nil {
		t.Error("Restart restarted it")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := server.DB().Value(t, "SELECT count(*) FROM pg_database WHERE datname = $1", c.Database); got != "0" {
		t.Error("Close left the database")
	}
}

func TestRunningServerMustBeLogical(t *testing.T) {
	server := New(t, Options{Settings: map[string]string{"wal_level": "replica"}})
	t.Setenv(EnvPostgres, server.URL(""))
	if _, err := Start(ctx(t), Options{AllowRunning: true}); err == nil || !strings.Contains(err.Error(), "wal_level is replica") {
		t.Errorf("got %v", err)
	}
}

func TestFreePortIsNotEphemeral(t *testing.T) {
	for range 50 {
		if port, err := freePort(); err != nil || port < 20000 || port >= 32000 {
			t.Fatalf("port %d, %v", port, err)
		}
	}
}

func TestTail(t *testing.T) {
	if got := tail("abc", 2); got != "… bc" {
		t.Errorf("got %q", got)
	}
	if got := tail("abc", 3); got != "abc" {
		t.Errorf("got %q", got)
	}
}
