// Command pgcio tails Postgres' logical replication and keeps Customer.io true.
//
// The package is the top of the house: one file per command, the configuration
// file turned into the configurations of the parts (config*.go), and the daemon's
// wiring (daemon.go), which is one function to be read from top to bottom. What
// is not built yet stands in one table (notbuilt.go).
//
// Data passes through the pump (pump.go), the one place where cdc, mapping and
// state meet:
//
//	batch := source.Next()                    // cdc: committed changes, in order
//	store.Start(func(tx) {                    // state: one durable commit
//		for each change of the batch:
//			tx.Apply(mapper.Map(change, tx))  // mapping: what it asks of Customer.io
//		tx.Through(end of the batch)
//	}, then source.Stored(position))          // cdc: tell Postgres
//
// Beside it a sink for each workspace draws from the state what may leave, sends
// it, and settles it there (workspace.go).
//
// What it promises:
//
//   - Results go to stdout, everything else to stderr.
//   - The exit status says what kind of failure it was (exit.go); a user sees a
//     message that names the thing and the fix, never a stack trace.
//   - All that is wrong with a configuration is said at once.
//   - A secret is never printed: not in a log, an error, or a status (secret.go).
package main
