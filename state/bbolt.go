package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// boltEngine keeps the keys in one bucket of a bbolt file, and each segment of
// the journal in a bucket of its own: a page of bbolt holds two keys at least,
// however large their values, and is written whole, so that segments side by
// side would be written again with each that comes.
type boltEngine struct {
	db       *bolt.DB
	pageSize int64
}

var (
	boltBucket  = []byte("pgcio")
	boltJournal = []byte("journal")
	boltSegment = []byte("segment") // the one key of a segment's bucket
)

// lockTimeout is how long Open waits for another process to let go of the
// file: long enough for a predecessor that is just exiting.
const lockTimeout = 500 * time.Millisecond

// fillPercent is how full a page is left when it splits. Keys of one prefix
// arrive scattered, and records grow and shrink as steps come and go; bbolt's
// default of 50 % wastes half the file on keys that arrive in order.
const fillPercent = 0.7

func openBolt(path string, readOnly bool) (*boltEngine, error) {
	e, err := openFile(path, readOnly)
	switch {
	case err == nil:
		return e, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		err = ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch), strings.Contains(err.Error(), "file size too small"):
		err = fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return nil, fmt.Errorf("open state file %s: %w", path, advised(err))
}

func openFile(path string, readOnly bool) (e *boltEngine, err error) {
	defer damage(&err)()
	if !readOnly {
		if err := checkPages(path); err != nil {
			return nil, err
		}
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockTimeout,
		// The freelist is not written at each commit (it is the larger part of
		// a small one); it is at a clean stop, so that the next start need not
		// read the whole file.
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
		ReadOnly:       readOnly,
	})
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 && !readOnly {
		// It holds what the tables hold; an older umask does not excuse it.
		if err := os.Chmod(path, 0o600); err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, errors.Join(fmt.Errorf("close it to others: %w", err), db.Close())
		}
	}
	if !readOnly {
		err := db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(boltBucket)
			if err == nil {
				_, err = tx.CreateBucketIfNotExists(boltJournal)
			}
			return err
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare it: %w", err), db.Close())
		}
	}
	return &boltEngine{db: db, pageSize: int64(db.Info().PageSize)}, nil
}

// checkPages looks at the pages of a file that was not closed, before bbolt does.
// To find the free ones bbolt follows every page there is, in a goroutine of its
// own: what it does there about one that cannot be would end the process with
// nothing but a trace. A file that was closed brings its list of free pages: bbolt
// follows all only when a commit fails, and a large one is not read.
func checkPages(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0:
		return nil
	case err != nil:
		return err
	}
	// Reading only takes the lock, and follows nothing.
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return err
	}
	err = db.View(func(tx *bolt.Tx) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		size := int64(db.Info().PageSize)
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: it is cut short: %d bytes of %d", errCorrupt, info.Size(), tx.Size())
		}
		p := pages{file: f, size: size, end: uint64(tx.Size() / size)}
		closed, err := p.closed(int64(tx.ID() % 2))
		if closed && tx.Size() > alwaysFollowed || err != nil {
			return err
		}
		return p.follow(uint64(tx.Cursor().Bucket().Root()))
	})
	return errors.Join(err, db.Close())
}

// alwaysFollowed is the size of a file up to which its pages are followed at every
// start: that takes tenths of a second.
var alwaysFollowed int64 = 256 << 20

// advised adds to an error of the file what helps.
func advised(err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w; make room for it, or move it to a larger disk and change [state] path, and start again: "+
				"nothing is lost, Postgres keeps what is not stored", err)
		}
	}
	if errors.Is(err, errCorrupt) {
		return fmt.Errorf("%w; put a copy of it in its place, or run `pgcio teardown`, move it away and start anew: "+
			"all rows are read again, and no event is doubled", err)
	}
	return err
}

func (e *boltEngine) view(fn func(reader) error) (err error) {
	defer damage(&err)()
	return e.db.View(func(tx *bolt.Tx) error {
		r := &boltReader{bucket: tx.Bucket(boltBucket)}
		if r.bucket != nil {
			r.cursor = r.bucket.Cursor()
		}
		return fn(r)
	})
}

func (e *boltEngine) commit(c commit) (err error) {
	defer damage(&err)()
	err = e.db.Update(func(tx *bolt.Tx) error {
		if err := c.journal(tx.Bucket(boltJournal)); err != nil {
			return err
		}
		bucket := tx.Bucket(boltBucket)
		bucket.FillPercent = fillPercent
		for _, w := range c.writes {
			var err error
			if w.value == nil {
				err = bucket.Delete(w.key)
			} else {
				err = bucket.Put(w.key, w.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write to the state file %s: %w", e.db.Path(), advised(err))
	}
	return nil
}

// journal adds and drops segments.
func (c *commit) journal(bucket *bolt.Bucket) error {
	if c.drop != 0 {
		cursor := bucket.Cursor()
		var gone [][]byte // a cursor loses its place when what it stands on goes
		for k, _ := cursor.First(); k != nil && binary.BigEndian.Uint64(k) <= c.drop; k, _ = cursor.Next() {
			gone = append(gone, k)
		}
		for _, k := range gone {
			if err := bucket.DeleteBucket(k); err != nil {
				return err
			}
		}
	}
	if c.segment.data == nil {
		return nil
	}
	own, err := bucket.CreateBucket(binary.BigEndian.AppendUint64(nil, c.segment.number))
	if err != nil {
		return err
	}
	return own.Put(boltSegment, c.segment.data)
}

func (e *boltEngine) segments(visit func(segment) error) (err error) {
	defer damage(&err)()
	return e.db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(boltJournal)
		if bucket == nil {
			return nil
		}
		return bucket.ForEachBucket(func(k []byte) error {
			return visit(segment{binary.BigEndian.Uint64(k), bucket.Bucket(k).Get(boltSegment)})
		})
	})
}

func (e *boltEngine) size() (total, free int64) {
	stats := e.db.Stats()
	err := e.db.View(func(tx *bolt.Tx) error {
		total = tx.Size()
		return nil
	})
	if err != nil {
		return 0, 0
	}
	return total, int64(stats.FreePageN+stats.PendingPageN) * e.pageSize
}

func (e *boltEngine) close() (err error) {
	defer damage(&err)()
	if !e.db.IsReadOnly() {
		// One last commit writes the freelist.
		e.db.NoFreelistSync = false
		if err := e.db.Update(func(*bolt.Tx) error { return nil }); err != nil {
			return errors.Join(fmt.Errorf("store the state file's freelist: %w", err), e.db.Close())
		}
	}
	return e.db.Close()
}

// damage makes an error of what bbolt does about a page that cannot be: it
// panics, or follows a length or an offset of the page out of the file. The
// records' checksums do not cover the pages' own headers. Panics of anybody
// else go on. To be deferred as `defer damage(&err)()`.
func damage(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		p := recover()
		if p == nil {
			return
		}
		_, fault := p.(interface{ Addr() uintptr })
		if !fault && !panicked("go.etcd.io/bbolt") {
			panic(p)
		}
		*err = fmt.Errorf("read a page: %w: %v", errCorrupt, p)
	}
}

// panicked tells whether the panic at hand began in a package's code rather
// than in this one's.
func panicked(pkg string) bool {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(0, pc)])
	for inside := false; ; {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			inside = true
		case inside && strings.HasPrefix(frame.Function, pkg):
			return true
		case inside && strings.HasPrefix(frame.Function, "github.com/pgcio/pgcio"):
			return false
		}
		if !more {
			return false
		}
	}
}

// boltReader looks up keys with one cursor: a new one for each would be the
// larger part of the work.
type boltReader struct {
	bucket *bolt.Bucket
	cursor *bolt.Cursor
}

func (r *boltReader) get(key []byte) []byte {
	if r.bucket == nil {
		return nil
	}
	if k, v := r.cursor.Seek(key); k != nil && bytes.Equal(k, key) {
		return v
	}
	return nil
}

func (r *boltReader) scan(from, to []byte, visit func(key, value []byte) bool) {
	if r.bucket == nil {
		return
	}
	c := r.bucket.Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if len(to) > 0 && string(k) >= string(to) || !visit(k, v) {
			return
		}
	}
}
