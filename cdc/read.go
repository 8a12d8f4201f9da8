package cdc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Want asks for rows of a table: a page of a backfill (After, Limit), or the
// rows with given keys (Keys). The source answers it with a Batch of Read
// changes, handed on once the stream has passed the page's position.
type Want struct {
	ID    any      // the asker's name for it, given back in Page.Want
	Table string   // "schema.name"
	Key   []string // the columns that identify a row; pages are ordered by them

	After []string // read the rows past this key; nil: from the start
	Limit int      // at most so many rows (the reader may return fewer: MaxBytes)
	Where string   // SQL condition of the mapping's backfill_where; empty: none
	// Bytes bounds a page: past it the page ends early, after the row that
	// passed it.
	Bytes int

	Keys [][]string // not nil: read exactly these rows
}

// Page is what was read for a Want, as of one snapshot.
type Page struct {
	Want     *Want
	Snapshot Snapshot
	// Position is a place in the log, read after the snapshot was taken: every
	// commit that the snapshot sees lies before it.
	Position lsn.LSN
	Time     time.Time // when the snapshot was taken, by the server's clock
	Last     []string  // the key of the last row read: the next page's After
	Done     bool      // there are no rows past Last, or all keys are answered
	// Answered is how many of Want.Keys were looked for, from the first on; there
	// are fewer than all if the page is full (Bytes). A row that was looked for
	// and is not among the changes does not exist, or is not published.
	Answered int
	// Err is set when the rows cannot be read however often it is tried: the
	// table is gone, the role may not read it, the condition is no SQL. The page
	// then has no rows. What may pass is tried again and never reported here.
	Err error
}

// Snapshot is a pg_snapshot: which transactions a read could see. Ids are 64
// bits wide, as pg_current_snapshot() writes them (Postgres 13 and later).
type Snapshot struct {
	XMin, XMax uint64
	InProgress []uint64 // ascending
}

// Visible tells whether the snapshot sees the effects of a committed xid.
func (s Snapshot) Visible(xid uint64) bool {
	if xid < s.XMin {
		return true
	}
	if xid >= s.XMax {
		return false
	}
	_, running := slices.BinarySearch(s.InProgress, xid)
	return !running
}

// ParseSnapshot reads the text form of pg_snapshot, "xmin:xmax:xip,xip".
func ParseSnapshot(text string) (Snapshot, error) {
	var s Snapshot
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, fmt.Errorf("%q is not a pg_snapshot", text)
	}
	var err error
	if s.XMin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return s, fmt.Errorf("pg_snapshot %q: %w", text, err)
	}
	if s.XMax, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return s, fmt.Errorf("pg_snapshot %q: %w", text, err)
	}
	if parts[2] == "" {
		return s, nil
	}
	for _, p := range strings.Split(parts[2], ",") {
		xid, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			return s, fmt.Errorf("pg_snapshot %q: %w", text, err)
		}
		s.InProgress = append(s.InProgress, xid)
	}
	return s, nil
}
