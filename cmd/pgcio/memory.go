package main

import "runtime/debug"

// gcPercent is how much the heap may grow over what is in use before it is
// collected. Most of it is one batch at a time, large and short-lived: Go's
// default of 100 would have the daemon take twice what it needs.
const gcPercent = 40

// sparing bounds the daemon's memory, unless GOGC says otherwise.
func sparing(getenv func(string) (string, bool)) {
	if _, set := getenv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
}
