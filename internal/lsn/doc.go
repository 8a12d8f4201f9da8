// Package lsn is the type of a position in Postgres' write-ahead log.
//
// A position is a byte offset in the log of one history: positions of two
// clusters, or of two timelines, must not be compared (M7 in docs/DESIGN.md).
// Whoever stores one stores beside it what history it belongs to.
package lsn
