package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// runningServer is the server that PGCIO_TEST_POSTGRES names by its URL, if it
// does.
func runningServer() *url.URL {
	u, err := url.Parse(os.Getenv(EnvPostgres))
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil
	}
	return u
}

// adopt makes a database on a server that is running.
func adopt(ctx context.Context, server *url.URL) (*Cluster, error) {
	c := &Cluster{Host: server.Hostname(), running: server}
	if c.Port, _ = strconv.Atoi(server.Port()); c.Port == 0 {
		c.Port = 5432
	}
	s, err := Open(ctx, server.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvPostgres, err)
	}
	defer s.Close(context.WithoutCancel(ctx))
	level, err := s.Value(ctx, "SHOW wal_level")
	if err != nil {
		return nil, err
	}
	if level != "logical" {
		return nil, fmt.Errorf("%s: wal_level is %s, and has to be logical", EnvPostgres, level)
	}
	version, err := s.Value(ctx, "SHOW server_version_num")
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return nil, fmt.Errorf("%s: server_version_num %q: %w", EnvPostgres, version, err)
	}
	c.Major = n / 10000
	c.Database = "pgcio_test_" + strings.ToLower(rand.Text()[:12])
	if err := s.Exec(ctx, "CREATE DATABASE "+c.Database); err != nil {
		return nil, err
	}
	return c, nil
}

// disown leaves a running server as it was found.
func (c *Cluster) disown() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := Open(ctx, c.running.String())
	if err != nil {
		return err
	}
	return errors.Join(dropDatabase(ctx, s, c.Database), s.Close(ctx))
}

// dropDatabase drops a database and the replication slots in it, which would
// otherwise forbid that, ending whoever is connected.
func dropDatabase(ctx context.Context, s *Session, name string) error {
	err := s.Exec(ctx, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active`, name)
	if err != nil {
		return err
	}
	for {
		left, err := s.Value(ctx, `SELECT count(*) FROM pg_replication_slots WHERE database = $1 AND active`, name)
		if err != nil {
			return err
		}
		if left == "0" {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("dropping database %s: a slot of it stays active: %w", name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := s.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1`, name); err != nil {
		return err
	}
	return s.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}
