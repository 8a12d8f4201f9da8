package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// failing is this binary as pgcio with failpoints: what the variables below ask
// for happens to it. The released binary knows nothing of them.
const failing = "pgcio-failing"

const (
	// failpointEnv is POINT:N: the process kills itself with SIGKILL when it passes
	// the named point for the nth time. With a file, POINT:N:FILE, it stops there
	// instead, makes the file, and goes on when the file is gone.
	failpointEnv = "PGCIO_TEST_FAILPOINT"
	// fileLimitEnv is how large its files may become, in bytes: writes past it
	// fail, as on a full disk.
	fileLimitEnv = "PGCIO_TEST_FILE_LIMIT"
)

// mainWithFailpoint is main, with failpoints.
func mainWithFailpoint() {
	if limit := os.Getenv(fileLimitEnv); limit != "" {
		limitFiles(limit)
	}
	ctx := untilSignal()
	a := &app{
		console: console{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv},
		fail:    failpoint(os.Getenv(failpointEnv)),
	}
	os.Exit(a.execute(ctx, os.Args[1:]))
}

// failpoint is what the daemon calls at its points.
func failpoint(text string) func(point string) {
	if text == "" {
		return nil
	}
	parts := strings.SplitN(text, ":", 3)
	nth, err := strconv.ParseInt(parts[len(parts)-1], 10, 64)
	hold := ""
	if len(parts) == 3 {
		nth, err = strconv.ParseInt(parts[1], 10, 64)
		hold = parts[2]
	}
	if len(parts) < 2 || err != nil {
		panic(fmt.Sprintf("%s: %q is not POINT:N or POINT:N:FILE", failpointEnv, text))
	}
	var passed atomic.Int64
	return func(point string) {
		if point != parts[0] || passed.Add(1) != nth {
			return
		}
		if hold == "" {
			die()
		}
		if err := os.WriteFile(hold, nil, 0o600); err != nil {
			panic(err)
		}
		for {
			if _, err := os.Stat(hold); os.IsNotExist(err) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// die ends the process as kill -9 does. The signal may take a moment to arrive:
// nothing is done in it.
func die() {
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err)
	}
	select {}
}

func limitFiles(text string) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", fileLimitEnv, err))
	}
	limit := syscall.Rlimit{Cur: n, Max: n}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
}
