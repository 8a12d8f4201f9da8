package state

import "errors"

// engine is an ordered set of keys. One goroutine commits at a time; views may
// be taken by others meanwhile and see whole commits only.
type engine interface {
	// view calls fn with a consistent, read-only picture of the latest commit.
	// Slices handed out in it live only until fn returns.
	view(fn func(reader) error) error
	// commit applies all writes, which are in key order and name each key once,
	// atomically. When it returns nil they are durable.
	commit(writes []write) error
	// size is the bytes the engine takes on disk, and of these the free ones.
	size() (total, free int64)
	close() error
}

// reader is one consistent picture of an engine.
type reader interface {
	// get returns nil when there is no such key.
	get(key []byte) []byte
	// scan visits the keys from ≤ key < to in order until visit returns false.
	// An empty to is no bound.
	scan(from, to []byte, visit func(key, value []byte) bool)
}

// write puts a value under a key, or deletes the key when value is nil.
type write struct {
	key, value []byte
}

// ErrLocked is returned by Open when another process holds the state file.
var ErrLocked = errors.New("another process holds the state file")

// errCorrupt is wrapped by every error about a record that cannot be read.
var errCorrupt = errors.New("the state file is damaged")
