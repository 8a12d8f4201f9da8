package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
)

// check runs `pgcio check` in this process.
func check(t *testing.T, url, mappings string) (status int, stdout, stderr string) {
	t.Helper()
	return command(t, t.TempDir(), url, mappings, "check")
}

// command runs a command in this process, with a simulated Customer.io and its
// state in a directory.
func command(t *testing.T, dir, url, mappings string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	sim, ws, err := newSimulator(simulator.DefaultSettings(), 1)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	defer server.Close()
	var b bytes.Buffer
	fmt.Fprintf(&b, "[postgres]\nurl = %q\nslot = \"check\"\n[state]\npath = %q\n[http]\nlisten = \"\"\n", url, filepath.Join(dir, "state.db"))
	if err := writeWorkspace(&b, ws, server.URL); err != nil {
		t.Fatal(err)
	}
	b.WriteString(mappings)
	file := filepath.Join(dir, "pgcio.toml")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	status = execute(t.Context(), append(args, "-c", file), console{stdout: &out, stderr: &complaints, getenv: environment(nil)})
	return status, out.String(), complaints.String()
}

const oneMapping = `
[[mapping]]
name = "people"
table = "public.users"
object = "person"
behavior = "update_or_create"
person = { id = "id" }
[mapping.attributes]
email = "email"
`

func TestCheckOfAServerThatIsNotReady(t *testing.T) {
	db := pgtest.New(t, pgtest.Options{Settings: map[string]string{"wal_level": "replica", "max_replication_slots": "1"}}).DB()
	db.Exec(t, "CREATE TABLE users (id bigint PRIMARY KEY, email text)")
	db.Exec(t, "SELECT pg_create_physical_replication_slot('taken')")
	status, stdout, stderr := check(t, db.URL(), oneMapping)
	if status != exitFindings || stderr != "" {
		t.Errorf("status %d, want %d: %s", status, exitFindings, stderr)
	}
	for _, want := range []string{
		"wal_level is replica, and must be logical",
		"fix: ALTER SYSTEM SET wal_level = 'logical'",
		"all 1 replication slots are taken (max_replication_slots); nobody reads taken (physical, holds ",
		"or ALTER SYSTEM SET max_replication_slots = 3",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
}

// A server that has no room for the slot refuses run and setup before anything
// is made.
func TestNoFreeSlot(t *testing.T) {
	db := pgtest.New(t, pgtest.Options{Settings: map[string]string{"max_replication_slots": "1"}}).DB()
	db.Exec(t, "CREATE TABLE users (id bigint PRIMARY KEY, email text)")
	db.Exec(t, "SELECT pg_create_physical_replication_slot('taken')")
	for _, name := range []string{"run", "setup"} {
		dir := t.TempDir()
		status, _, stderr := command(t, dir, db.URL(), oneMapping, name)
		if status != exitUsage || !strings.Contains(stderr, "nobody reads taken (physical, holds 0 bytes of WAL); drop one that nobody needs") {
			t.Errorf("%s: status %d: %s", name, status, stderr)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%s left %v, %v", name, left, err)
		}
	}
	if n := db.Value(t, "SELECT count(*) FROM pg_publication"); n != "0" {
		t.Errorf("%s publications were made", n)
	}
}

func TestCheckOfARoleWithoutPrivileges(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, "CREATE TABLE users (id bigint PRIMARY KEY, email text)")
	db.Exec(t, "CREATE ROLE weak LOGIN PASSWORD 'weak'")
	db.Exec(t, "REVOKE ALL ON users FROM PUBLIC")
	url := fmt.Sprintf("postgres://weak:weak@%s:%d/%s", cluster.Host, cluster.Port, cluster.Database)
	status, stdout, stderr := check(t, url, oneMapping)
	if status != exitFindings || stderr != "" {
		t.Errorf("status %d, want %d: %s", status, exitFindings, stderr)
	}
	for _, want := range []string{
		"weak may not replicate",
		`fix: ALTER ROLE "weak" REPLICATION;`,
		`GRANT SELECT`,
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout+stderr, "weak:weak") {
		t.Errorf("the password is shown:\n%s%s", stdout, stderr)
	}
}

func TestCheckOfMappings(t *testing.T) {
	db := pgtest.New(t).DB()
	db.Exec(t, "CREATE TABLE users (id bigint PRIMARY KEY, email text)")
	db.Exec(t, "CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint, user_id bigint)")
	db.Exec(t, "CREATE TABLE logs (id bigint NOT NULL, email text)")
	status, stdout, stderr := check(t, db.URL(), oneMapping+`
[[mapping]]
name = "items"
table = "public.items"
object = "event"
behavior = "append"
person = { id = "user_id" }
event = "item"
event_id = "order_id"
`)
	if status != exitDone || !strings.Contains(stdout, "mapping items") {
		t.Errorf("status %d; an event_id that is not unique should be a warning:\n%s%s", status, stdout, stderr)
	}
	status, stdout, stderr = check(t, db.URL(), strings.ReplaceAll(oneMapping, "public.users", "public.logs")+"\n")
	if status != exitUsage || !strings.Contains(stdout+stderr, "logs") {
		t.Errorf("status %d; a table without a key is refused:\n%s%s", status, stdout, stderr)
	}
}
