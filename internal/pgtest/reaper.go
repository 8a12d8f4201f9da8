package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// postmasterScript starts "$@", writes its pid to standard output and waits for
// it, and ends it when standard input closes, which is when this process is gone
// for whatever reason. SIGQUIT is an immediate shutdown: nobody is left to wait
// for a better one. `read` is a builtin, so the watcher has no children which
// would outlive it. File descriptor 3 is for Postgres alone (see postmaster.gone).
const postmasterScript = `
log=$1; shift
exec 4<&0
"$@" >>"$log" 2>&1 </dev/null 4<&- &
pid=$!
exec 3>&-
echo $pid
exec >/dev/null
( read line <&4; kill -QUIT $pid ) &
watcher=$!
exec 4<&-
wait $pid
kill $watcher 2>/dev/null
`

// sweeperScript removes "$1" once standard input closes. Postmasters are told to
// stop at the same moment and may still write for an instant: hence the loop.
const sweeperScript = `
read line
n=0
while [ -e "$1" ] && [ $n -lt 100 ]; do
	rm -rf "$1" 2>/dev/null || sleep 0.1
	n=$((n+1))
done
`

// postmaster is a running Postgres.
type postmaster struct {
	pid    int
	leash  *os.File      // its closing ends Postgres
	gone   chan struct{} // closed when no process of the cluster is left
	waited chan struct{} // closed when the shell that started it has been waited for
}

// startPostmaster runs a command line that ends in a postmaster, as who.
func startPostmaster(who account, dir, log string, args ...string) (*postmaster, error) {
	leashR, leashW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer leashR.Close()
	// Postgres and all its children inherit the writing end of this pipe, and
	// nobody else keeps it: the reading end meets EOF when the last of them is
	// gone. That is portable and has no races, unlike looking for children.
	aliveR, aliveW, err := os.Pipe()
	if err != nil {
		leashW.Close()
		return nil, err
	}
	defer aliveW.Close()

	cmd := who.command(context.Background(), "/bin/sh", append([]string{"-c", postmasterScript, "pgtest", log}, args...)...)
	cmd.Dir = dir
	cmd.Stdin = leashR
	cmd.ExtraFiles = []*os.File{aliveW}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		leashW.Close()
		aliveR.Close()
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, perr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || perr != nil || pid <= 1 {
		leashW.Close()
		aliveR.Close()
		return nil, fmt.Errorf("starting %s: no pid (%q): %w", args[0], line, errors.Join(err, perr, cmd.Wait()))
	}

	p := &postmaster{pid: pid, leash: leashW, gone: make(chan struct{}), waited: make(chan struct{})}
	aliveW.Close() // else it would hold the pipe open itself; closing twice is harmless
	go p.watch(aliveR)
	go p.reap(cmd)
	return p, nil
}

func (p *postmaster) watch(alive *os.File) {
	defer alive.Close()
	_, _ = io.Copy(io.Discard, alive)
	close(p.gone)
}

func (p *postmaster) reap(cmd *exec.Cmd) {
	_ = cmd.Wait() // the status of the shell says nothing about Postgres
	close(p.waited)
}

// running reports whether any process of the cluster is left.
func (p *postmaster) running() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

// signal sends to the postmaster alone.
func (p *postmaster) signal(sig syscall.Signal) error {
	if !p.running() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.pid, sig)
}

// release waits for the shell too, once Postgres is gone.
func (p *postmaster) release() {
	<-p.gone
	p.leash.Close()
	<-p.waited
}

// sweeper removes a directory when it is told to, or when this process ends.
type sweeper struct {
	cmd   *exec.Cmd
	leash *os.File
}

func startSweeper(who account, dir string) (*sweeper, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := who.command(context.Background(), "/bin/sh", "-c", sweeperScript, "pgtest", dir)
	cmd.Dir = "/"
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	return &sweeper{cmd: cmd, leash: w}, nil
}

// sweep removes the directory and returns when that is done.
func (s *sweeper) sweep() error {
	s.leash.Close()
	return s.cmd.Wait()
}
