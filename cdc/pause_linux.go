package cdc

import (
	"syscall"
	"time"
)

// pause sleeps for less than a millisecond, which is the least that the
// runtime's timers sleep when nothing else runs.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&t, nil) // a signal may end it early
}
