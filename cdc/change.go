package cdc

import (
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Kind is what happened to a row, or that the row was read from its table.
type Kind uint8

// The kinds of change. Read is a row that a backfill or a refetch found in
// its table; it has a New tuple and no Old one.
const (
	Insert Kind = iota + 1
	Update
	Delete
	Truncate
	Read
)

// Transaction is the committed transaction that a change belongs to. For a
// Read it stands for the snapshot: XID 0, Time when the snapshot was taken.
type Transaction struct {
	Commit lsn.LSN   // where its commit record starts; 0 for a Read
	XID    uint64    // its id, widened to 64 bits on receipt
	Time   time.Time // its commit time, by the server's clock
}

// Change is one row change of a committed transaction, in commit order. Its
// bytes live as long as its Batch.
type Change struct {
	Kind    Kind
	KeyOnly bool // Old carries only the columns of the replica identity
	Table   *Table
	Old     Tuple // the row before, as far as the replica identity sends it
	New     Tuple // the row after; empty for Delete and Truncate
	Tx      *Transaction
	// Ordinal is the change's place among the row messages of its transaction,
	// counted from 1 before any mapping looks at it. (Commit, Ordinal) is the
	// only order there is: row LSNs are neither unique nor monotone (T10, T11).
	Ordinal uint64
}

// Batch is what the source hands on at once: some whole transactions, and then
// perhaps a part of one more; or rows read from a table.
type Batch struct {
	Changes []Change

	// Through is the end LSN of the last transaction that ends in the batch, or
	// the position of an idle server (a keepalive, with no Changes). 0: the
	// batch ends no transaction.
	Through lsn.LSN

	// Open is set when the batch ends inside a transaction.
	Open *Mark

	// Read is set when the changes are rows read from a table; Through and Open
	// are then unset.
	Read *Page

	arena arena
	size  int // bytes of row data in the arena
}

// Mark is how far into a transaction a batch reaches. A restart that finds it
// stored skips exactly Rows row messages of that transaction.
type Mark struct {
	Commit lsn.LSN
	XID    uint64
	Rows   uint64
}

// State tells a column's three states apart: absent is not null (law 11).
type State uint8

// The three states of a column.
const (
	// Absent: Postgres did not send the column (an unchanged large value, or a
	// column outside the replica identity of an old row).
	Absent State = iota
	Null
	Present
)

// Tuple is one row image: for each column of its table a state and, if the
// column is present, its text as Postgres writes it under the pinned settings.
type Tuple struct {
	data []byte
	cols []span
}

// span places a column's text in its tuple's data; size -1 is null, -2 absent.
type span struct{ start, size int32 }

const (
	sizeNull   = -1
	sizeAbsent = -2
)

// Len is the number of columns; 0 for a tuple that was not sent.
func (t Tuple) Len() int { return len(t.cols) }

// Get returns the state and, if present, the text of column i. The text must
// not be changed, and lives as long as the batch.
func (t Tuple) Get(i int) ([]byte, State) {
	if i < 0 || i >= len(t.cols) {
		return nil, Absent
	}
	c := t.cols[i]
	switch c.size {
	case sizeNull:
		return nil, Null
	case sizeAbsent:
		return nil, Absent
	}
	return t.data[c.start : c.start+c.size : c.start+c.size], Present
}

// Column is one column's state and text, for NewTuple.
type Column struct {
	State State
	Text  []byte
}

// NewTuple builds a tuple from its columns: for rows put together from two
// sources (a refetched row under what the stream brought) and for tests.
func NewTuple(columns ...Column) Tuple {
	size := 0
	for _, c := range columns {
		size += len(c.Text)
	}
	t := Tuple{data: make([]byte, 0, size), cols: make([]span, len(columns))}
	for i, c := range columns {
		switch c.State {
		case Null:
			t.cols[i] = span{size: sizeNull}
		case Present:
			t.cols[i] = span{start: int32(len(t.data)), size: int32(len(c.Text))}
			t.data = append(t.data, c.Text...)
		default:
			t.cols[i] = span{size: sizeAbsent}
		}
	}
	return t
}
