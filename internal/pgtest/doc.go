// Package pgtest runs throwaway Postgres clusters: for the tests, and for
// `pgcio demo`.
//
// It promises:
//
//   - A machine with nothing prepared will do. The binaries are looked for in
//     the order that [Find] gives, and fetched, pinned and verified, when there
//     are none. What cannot be found is an error that names the choices; a test
//     that needs Postgres fails without it and is never skipped.
//   - A cluster takes about a second. initdb runs once per process and kind of
//     cluster; every further cluster is a copy of what it made, under a system
//     identifier of its own.
//   - Root may run it. Postgres refuses to, so as root everything runs as
//     `postgres`, else `nobody`, in a directory which that user can reach.
//   - Nobody else on the machine can use it. The socket's directory is closed
//     to others, and TCP, on 127.0.0.1 only, asks for a random password which is
//     part of the URL.
//   - Nothing is left behind, not even by kill -9 of this process: a shell holds
//     the other end of a pipe to it, ends the postmaster when that closes, and a
//     second one removes the files (reaper.go). Only processes started here are
//     ever signalled, and by their pid.
//   - Stopping and killing are over when the last process of the cluster is gone,
//     not only its postmaster (see [Cluster.Stop]).
//
// SQL goes through [DB] and [Session], in text, so that packages which may not
// import pgx can test against Postgres. The package does not import testing: it
// takes the few methods it needs as [TB], because pgcio itself links it.
package pgtest
