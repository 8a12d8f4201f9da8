package state

import "errors"

// engine is an ordered set of keys on something durable, and beside it a list
// of segments: what the journal has to have kept until its writes are in their
// places. Commits and views may come from several goroutines: one commit is done
// after the other, and views see whole ones only.
type engine interface {
	// view calls fn with a consistent, read-only picture of the latest commit.
	// Slices handed out in it live only until fn returns.
	view(fn func(reader) error) error
	// commit does all of c, atomically. When it returns nil it is durable.
	commit(c commit) error
	// segments visits the segments in the order they came.
	segments(visit func(segment) error) error
	// size is the bytes the engine takes on disk, and of these the free ones.
	size() (total, free int64)
	close() error
}

// reader is one consistent picture of the keys.
type reader interface {
	// get returns nil when there is no such key.
	get(key []byte) []byte
	// scan visits the keys from ≤ key < to in order until visit returns false.
	// An empty to is no bound.
	scan(from, to []byte, visit func(key, value []byte) bool)
}

// commit is what is to happen at once.
type commit struct {
	segment segment // added; one without data is not
	drop    uint64  // segments up to this number are dropped
	writes  []write // in key order, each key once
}

// segment is an entry of the journal.
type segment struct {
	number uint64
	data   []byte
}

// write puts a value under a key, or deletes the key when value is nil.
type write struct {
	key, value []byte
}

// ErrLocked is returned by Open when another process holds the state file.
var ErrLocked = errors.New("another process holds the state file")

// errCorrupt is wrapped by every error about a record that cannot be read.
var errCorrupt = errors.New("the state file is damaged")
