package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const envChild = "PGTEST_CHILD"

// TestChild is not a test of its own: TestKilledProcess runs it in a process which
// it then kills.
func TestChild(t *testing.T) {
	if os.Getenv(envChild) == "" {
		return
	}
	running, err := Start(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	stopped, err := Start(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stopped.Stop(context.Background(), Fast); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("child %d %s %s\n", running.pm.pid, scratch.dir, running.URL(""))
	time.Sleep(time.Minute)
}

// A process that is killed leaves neither a postmaster nor a file behind.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), envChild+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	var pid int
	var dir, url string
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		_, after, ok := strings.Cut(lines.Text(), "child ")
		if !ok {
			t.Log(lines.Text())
			continue
		}
		if _, err := fmt.Sscan(after, &pid, &dir, &url); err != nil {
			t.Fatal(err)
		}
	}
	if pid == 0 {
		t.Fatal("the child started no cluster")
	}
	s, err := Open(ctx(t), url) // a session keeps nothing alive
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !gone(t, pid) {
		t.Errorf("the postmaster %d outlives the process that started it", pid)
	}
	for range 500 {
		if _, err = os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s is still there", dir)
}
