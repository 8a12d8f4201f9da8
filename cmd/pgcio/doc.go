// Command pgcio tails Postgres' logical replication and keeps Customer.io true.
//
// The package is the top of the house: one file per command, the configuration
// file turned into the configurations of the parts (config*.go), and the daemon's
// wiring (daemon.go), which is one function to be read from top to bottom. What
// is not built yet stands in one table (notbuilt.go).
//
// What it promises:
//
//   - Results go to stdout, everything else to stderr.
//   - The exit status says what kind of failure it was (exit.go); a user sees a
//     message that names the thing and the fix, never a stack trace.
//   - All that is wrong with a configuration is said at once.
//   - A secret is never printed: not in a log, an error, or a status (secret.go).
package main
