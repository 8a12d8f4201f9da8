package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/status"
)

// stopWithin is how long `pg_ctl stop -m fast` may take, whatever pgcio does.
const stopWithin = 5 * time.Second

// stopFast stops the database as pg_ctl stop -m fast does, and checks that pgcio
// does not hold it up.
func stopFast(t *testing.T, c *pgtest.Cluster, when string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	took, err := c.Stop(ctx, pgtest.Fast)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	t.Logf("%s: the database has stopped within %s", when, took.Round(time.Millisecond))
	if took > stopWithin {
		t.Errorf("%s: the database took %s to stop", when, took)
	}
}

func restart(t *testing.T, c *pgtest.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Restart(ctx); err != nil {
		t.Fatal(err)
	}
}

// The database stops in time whatever pgcio is doing, and pgcio goes on when it
// is back.
func TestTheDatabaseStops(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, flatSchema)
	r := newRig(t, db, tradeMappings)
	rows := size(200_000, 1_000_000)
	d := r.start()
	d.caughtUp()

	r.fault(simulator.Fault{Kind: "unreachable"})
	db.Exec(t, "INSERT INTO users SELECT i, 'u' || i || '@example.com', 'free', 1 FROM generate_series(1, 500) i; INSERT INTO orders SELECT i, i, i FROM generate_series(1, 500) i")
	d.until("all is stored", func(s status.Snapshot) bool { return received(s) == 1000 })
	stopFast(t, cluster, "with Customer.io unreachable")
	restart(t, cluster)
	r.fault()
	r.judge(d.caughtUp(), false)

	// Rows that nobody sees, so that the test does not wait for Customer.io.
	d.stop()
	db.Exec(t, fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
		INSERT INTO users SELECT i * 1000 + j, NULL, 'free', 1, true FROM generate_series(1, 1000) j; COMMIT;
		END LOOP; END $$`, rows/1000))
	d = r.start()
	d.until("it reads", func(s status.Snapshot) bool { return received(s) > 1000 })
	stopFast(t, cluster, fmt.Sprintf("with %d changes unread", rows))
	r.partly(d, 1000, rows)
	restart(t, cluster)
	r.judge(d.caughtUp(), false)

	d.stop()
	db.Exec(t, "UPDATE users SET n = 2 WHERE hidden")
	d = r.start()
	before := int64(1000 + rows)
	d.until("it reads", func(s status.Snapshot) bool { return received(s) > before })
	stopFast(t, cluster, fmt.Sprintf("inside a transaction of %d rows", rows))
	r.partly(d, before, rows)
	restart(t, cluster)
	r.judge(d.caughtUp(), false)

	// A state that does not answer: what was received stays unstored.
	d.stop()
	hold := filepath.Join(r.dir, "hold")
	d = r.start(fmt.Sprintf("%s=before-commit:4:%s", failpointEnv, hold))
	for n := 3; ; n++ {
		if _, err := os.Stat(hold); err == nil {
			break
		}
		if n > 10_000 {
			t.Fatal("the state was not held")
		}
		db.Exec(t, "UPDATE orders SET total = total WHERE id = 1; INSERT INTO orders SELECT max(id) + 1, 1, 1 FROM orders")
		time.Sleep(10 * time.Millisecond)
	}
	stopFast(t, cluster, "with a state that hangs")
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	restart(t, cluster)
	s := d.caughtUp()
	r.judgePeople(r.sim.State(""), false)
	r.judgeEvents(r.sim.State(""), false)
	r.balanced(s)
	d.stop()
}

// partly checks that a stop came while changes were still to be read.
func (r *rig) partly(d *process, before int64, rows int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := r.look(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("%d of %d changes were stored", received(s)-before, rows)
	if received(s) >= before+int64(rows) {
		r.t.Errorf("the stop came too late: everything was read")
	}
}

// The database stops in time while the state's disk is full, and when there is
// room again nothing is missing.
func TestTheDatabaseStopsWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	db := cluster.DB()
	db.Exec(t, flatSchema)
	r := newRig(t, db, tradeMappings)
	disk := newSmallDisk(t)
	r.state = filepath.Join(disk.dir, "state.db")
	d := r.start()
	d.caughtUp()
	d.stop()

	// As systemd does it: one that has failed is started again.
	disk.fill()
	d = r.start(disk.env...)
	db.Exec(t, fmt.Sprintf(`DO $$ BEGIN FOR i IN 0..%d LOOP
		INSERT INTO users SELECT i * 1000 + j, NULL, repeat('x', 200), 1 FROM generate_series(1, 1000) j; COMMIT;
		END LOOP; END $$`, 39))
	stopped := make(chan struct{})
	supervised := make(chan []*process)
	go func() {
		all := []*process{d}
		for {
			select {
			case <-stopped:
				supervised <- all
				return
			case <-all[len(all)-1].end:
				select {
				case <-stopped:
				case <-time.After(100 * time.Millisecond):
					all = append(all, r.start(disk.env...))
				}
			}
		}
	}()
	full := func() bool {
		text := d.log.String()
		return strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EFBIG.Error())
	}
	for began := time.Now(); !full(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > slowly {
			t.Fatalf("the disk does not become full:\n%s", d.log.String())
		}
	}
	select {
	case <-d.end:
		text := d.log.String()
		for _, said := range []string{r.state, "make room for it", "nothing is lost"} {
			if !strings.Contains(text, said) {
				t.Errorf("a full disk is not said with %q:\n%s", said, text)
			}
		}
		if code := d.cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("a full disk ends in status %d", code)
		}
	case <-time.After(slowly):
		t.Fatal("the daemon goes on though the disk is full")
	}
	stopFast(t, cluster, "with a full disk")
	restart(t, cluster)
	close(stopped)
	for _, d := range <-supervised {
		d.kill()
	}
	disk.free()
	s := r.start().caughtUp()
	r.judge(s, false)
	t.Logf("the daemon said:\n%s", d.log.String())
}

// smallDisk is a disk that can become full: a file system of its own where that
// can be made, else a limit on the size of the daemon's files.
type smallDisk struct {
	t       *testing.T
	dir     string
	env     []string // for the daemon
	mounted bool
}

func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgcio-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &smallDisk{t: t, dir: dir}
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		d.mounted = exec.Command("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", dir).Run() == nil
	}
	if d.mounted {
		t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	}
	return d
}

// room is what is left on the full disk, for a daemon to start with.
const room = 512 << 10

// fill fills it, but for a little.
func (d *smallDisk) fill() {
	d.t.Helper()
	if !d.mounted {
		d.env = []string{fmt.Sprintf("%s=%d", fileLimitEnv, 2<<20)}
		return
	}
	f, err := os.Create(filepath.Join(d.dir, "ballast"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	var zeros [64 << 10]byte
	for err == nil {
		_, err = f.Write(zeros[:])
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := f.Truncate(end - room); err != nil {
		d.t.Fatal(err)
	}
}

// free makes room again.
func (d *smallDisk) free() {
	d.t.Helper()
	if d.env = nil; d.mounted {
		if err := os.Remove(filepath.Join(d.dir, "ballast")); err != nil {
			d.t.Fatal(err)
		}
	}
}
