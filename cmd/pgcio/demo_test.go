package main

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// demoProcess is a demo in a process of its own, with a directory of its own for
// all temporary files.
type demoProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	temp  string
	lines *bufio.Scanner
	said  bytes.Buffer // to stdout, as far as it was read
	wrong bytes.Buffer // to stderr
}

func startDemo(t *testing.T, env ...string) *demoProcess {
	t.Helper()
	// A short path that every user reaches: as root, Postgres runs as another.
	temp, err := os.MkdirTemp("/tmp", "demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	if err := os.Chmod(temp, 0o777); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &demoProcess{t: t, cmd: exec.Command(self, "demo"), temp: temp}
	d.cmd.Args[0] = "pgcio"
	d.cmd.Env = append(append(os.Environ(), "TMPDIR="+temp), env...)
	d.cmd.Stderr = &d.wrong
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.lines = bufio.NewScanner(out)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	return d
}

// until reads what it prints up to a line that begins like this; "" is its end.
func (d *demoProcess) until(word string) {
	for d.lines.Scan() {
		d.said.WriteString(d.lines.Text() + "\n")
		if word != "" && strings.HasPrefix(d.lines.Text(), word) {
			return
		}
	}
	if word != "" {
		d.t.Fatalf("the demo never said %q: %s%s", word, d.said.String(), d.wrong.String())
	}
}

// left is what it has left behind: files, and ports that somebody listens on.
func (d *demoProcess) left() (all []string) {
	entries, err := os.ReadDir(d.temp)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	for _, m := range regexp.MustCompile(`127\.0\.0\.1:\d+`).FindAllString(d.said.String(), -1) {
		if conn, err := net.Dial("tcp", m); err == nil {
			conn.Close()
			all = append(all, m)
		}
	}
	return all
}

// However a demo ends it leaves nothing behind: at once where it is asked to
// end, a moment later where it is not asked.
func TestDemoLeavesNothing(t *testing.T) {
	for _, address := range []string{"127.0.0.1:7464", "127.0.0.1:7465"} {
		if l, err := net.Listen("tcp", address); err == nil { // else it is taken by somebody else, which is as good
			t.Cleanup(func() { l.Close() })
		}
	}
	asked := []syscall.Signal{syscall.SIGINT}
	for _, moment := range []struct {
		name    string
		word    string        // a line that it prints
		after   time.Duration // at most
		signals []syscall.Signal
	}{
		{"start of Postgres", "starting", 2 * time.Second, asked},
		{"shop", "filling", 200 * time.Millisecond, asked},
		{"start of the daemon", "  the shop", 100 * time.Millisecond, asked},
		{"traffic", "streaming", time.Second, asked},
		{"closed terminal", "  the shop", time.Second, []syscall.Signal{syscall.SIGHUP}},
		{"twice", "streaming", 0, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}},
		{"killed", "streaming", 0, []syscall.Signal{syscall.SIGKILL}},
	} {
		t.Run(moment.name, func(t *testing.T) {
			t.Parallel()
			d := startDemo(t)
			d.until(moment.word)
			if moment.after > 0 {
				time.Sleep(rand.N(moment.after)) // the moment is the test's, not something it waits for
			}
			for i, s := range moment.signals {
				if i > 0 {
					time.Sleep(20 * time.Millisecond)
				}
				if err := d.cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			d.until("")
			err := d.cmd.Wait()
			if strings.Contains(d.said.String(), ":7464/") || strings.Contains(d.said.String(), ":7465/") {
				t.Errorf("it names a port that is taken: %s", d.said.String())
			}
			if d.wrong.Len() > 0 {
				t.Errorf("it complained: %s", d.wrong.String())
			}
			if len(moment.signals) == 1 && moment.signals[0] != syscall.SIGKILL {
				if err != nil {
					t.Errorf("it ended with %v", err)
				}
				if left := d.left(); left != nil {
					t.Errorf("it left %v", left)
				}
				return
			}
			for deadline := time.Now().Add(patience); d.left() != nil; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("it left %v", d.left())
				}
			}
		})
	}
}

// held lists the databases and slots of a server.
func held(t *testing.T, db *pgtest.DB) (all []string) {
	rows := db.Query(t, `SELECT datname FROM pg_database UNION ALL SELECT slot_name::text FROM pg_replication_slots ORDER BY 1`)
	for _, r := range rows {
		all = append(all, strings.Join(r, "|"))
	}
	return all
}

// On a server that was there before, a demo that is killed leaves its database and
// slot; the next one drops them, and nothing of one that runs.
func TestDemoAfterAKilledOne(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	db := cluster.DB()
	env := pgtest.EnvPostgres + "=" + cluster.URL("")
	before := held(t, db)
	running := startDemo(t, env)
	running.until("streaming")
	beside := held(t, db)
	killed := startDemo(t, env)
	killed.until("streaming")
	left := held(t, db)
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.until("")
	_ = killed.cmd.Wait()
	// Postgres notices a moment later that nobody is there any more.
	var theirs string
	for _, name := range left {
		if strings.HasPrefix(name, "pgcio_test_") && !slices.Contains(beside, name) {
			theirs = name
		}
	}
	for deadline := time.Now().Add(patience); db.Value(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = $1`, theirs) != "0"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the killed demo's sessions in %s do not end", theirs)
		}
	}
	if now := held(t, db); !slices.Equal(now, left) {
		t.Fatalf("a killed demo left %v, want all of %v", now, left)
	}
	next := startDemo(t, env, envDemoSeconds+"=1")
	next.until("dropped " + theirs)
	next.until("all of it has arrived")
	next.until("")
	if err := next.cmd.Wait(); err != nil || next.wrong.Len() > 0 {
		t.Errorf("the next demo ended with %v: %s", err, next.wrong.String())
	}
	if now := held(t, db); !slices.Equal(now, beside) {
		t.Errorf("the server has %v, want what the demo has that still runs: %v", now, beside)
	}
	if err := running.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	running.until("all of it has arrived")
	running.until("")
	if err := running.cmd.Wait(); err != nil || running.wrong.Len() > 0 {
		t.Errorf("the demo beside it ended with %v: %s", err, running.wrong.String())
	}
	if now := held(t, db); !slices.Equal(now, before) {
		t.Errorf("the server had %v, and has %v", before, now)
	}
}

// On a server that was there before, the demo makes a database, drops it, and
// does not show how it got in.
func TestDemoOnARunningServer(t *testing.T) {
	cluster := pgtest.New(t)
	db := cluster.DB()
	before := held(t, db)
	d := startDemo(t, pgtest.EnvPostgres+"="+cluster.URL(""), envDemoSeconds+"=1")
	d.until("all of it has arrived")
	d.until("")
	if err := d.cmd.Wait(); err != nil || d.wrong.Len() > 0 {
		t.Errorf("it ended with %v: %s", err, d.wrong.String())
	}
	if after := held(t, db); !slices.Equal(before, after) {
		t.Errorf("the server had %v, and has %v", before, after)
	}
	_, password, _ := strings.Cut(strings.TrimPrefix(cluster.URL(""), "postgres://"), ":")
	password, _, _ = strings.Cut(password, "@")
	if password == "" || strings.Contains(d.said.String(), password) {
		t.Errorf("it shows the server's password %q: %s", password, d.said.String())
	}
}
