package cdc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Defaults of a Want that does not say.
const (
	pageLimit = 5_000
	pageBytes = 8 << 20
)

// firstFetch is how many rows are fetched of a table whose rows' size is not
// known yet: enough to learn it, few enough to hold if they are large.
const firstFetch = 64

// plan is how the rows of a table are read.
type plan struct {
	table   *Table
	from    string // ONLY "schema"."table"; a partitioned table has no rows of its own
	columns string
	path    string            // search_path: with it, > means the order of the keys' indexes
	casts   map[string]string // key column to its type
	made    time.Time
	rowSize int // bytes, as seen so far
}

// makePlan reads from the catalog how a table's rows are read like the stream
// sends them: the columns and rows that are published, and no children's.
func makePlan(ctx context.Context, s *session, cfg Config, name string) (*plan, error) {
	found, problems, err := describe(ctx, s, cfg, []string{name})
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, problems[0]
	}
	t := found[name].only(cfg.Columns[name])
	p := &plan{table: t, made: time.Now(), casts: map[string]string{}, from: "ONLY " + quoteTable(name)}
	if t.Kind == 'p' {
		p.from = quoteTable(name)
	}
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	p.columns = quoteIdents(names)
	// A literal is cast to the column's type (a domain's base) without modifier,
	// -1: "character" alone would be one letter. Types of extensions have their
	// operators in their own schema: without it in the path, citext would compare
	// as text but be ordered as citext.
	r, err := s.query(ctx, fmt.Sprintf(`WITH RECURSIVE b AS (
			SELECT a.attname, a.atttypid AS typ FROM pg_attribute a WHERE a.attrelid = %d AND a.attnum > 0 AND NOT a.attisdropped
			UNION ALL SELECT b.attname, t.typbasetype FROM b JOIN pg_type t ON t.oid = b.typ WHERE t.typtype = 'd')
		SELECT b.attname, format_type(t.oid, -1), n.nspname FROM b JOIN pg_type t ON t.oid = b.typ AND t.typtype <> 'd'
		JOIN pg_namespace n ON n.oid = t.typnamespace`, t.OID))
	if err != nil {
		return nil, fmt.Errorf("reading the column types of %s: %w", t, err)
	}
	path := []string{"pg_catalog"}
	for i := range r {
		p.casts[r.text(i, 0)] = r.text(i, 1)
		if schema := r.text(i, 2); !slices.Contains(path, schema) {
			path = append(path, schema)
		}
	}
	if !slices.Contains(path, "public") {
		path = append(path, "public")
	}
	p.path = quoteIdents(path)
	return p, nil
}

// renew keeps the table's pointer if it is unchanged, so that who resolved its
// columns need not do it again.
func (p *plan) renew(old *plan) {
	if old != nil {
		p.rowSize = old.rowSize
		a, b := *p.table, *old.table
		a.Rows, b.Rows = 0, 0
		if reflect.DeepEqual(a, b) {
			p.table = old.table
		}
	}
}

// query is the SELECT that answers a want; of one by keys it reads those given.
func (p *plan) query(w *Want, keys [][]string) (string, error) {
	key := make([]int, len(w.Key))
	for i, k := range w.Key {
		if key[i] = p.table.Index(k); key[i] < 0 {
			return "", &TableError{Table: p.table.String(), Reason: fmt.Sprintf("the key column %s is not there, or not published", k)}
		}
	}
	if len(key) == 0 {
		return "", &TableError{Table: p.table.String(), Reason: "rows cannot be read without a key"}
	}
	var where []string
	if p.table.RowFilter != "" {
		where = append(where, "("+p.table.RowFilter+")")
	}
	if w.Where != "" {
		where = append(where, "("+w.Where+"\n)") // the line ends what may be a comment
	}
	row := func(values []string) (string, error) {
		if len(values) != len(w.Key) {
			return "", &TableError{Table: p.table.String(), Reason: fmt.Sprintf("a key of %d values instead of %d", len(values), len(w.Key))}
		}
		literals := make([]string, len(values))
		for i, v := range values {
			literals[i] = quoteLiteral(v) + "::" + p.casts[w.Key[i]]
		}
		return "(" + strings.Join(literals, ", ") + ")", nil
	}
	columns := "(" + quoteIdents(w.Key) + ")"
	order := ""
	switch {
	case w.Keys != nil:
		list := make([]string, len(keys))
		for i, k := range keys {
			var err error
			if list[i], err = row(k); err != nil {
				return "", err
			}
		}
		where = append(where, columns+" IN ("+strings.Join(list, ", ")+")")
	default:
		if w.After != nil {
			after, err := row(w.After)
			if err != nil {
				return "", err
			}
			where = append(where, columns+" > "+after)
		}
		order = " ORDER BY " + quoteIdents(w.Key)
		if w.Limit > 0 {
			order += fmt.Sprintf(" LIMIT %d", w.Limit) // the planner should know
		}
	}
	sql := "SELECT " + p.columns + " FROM " + p.from
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	return sql + order, nil
}

// readPage reads what a want asks for as of one snapshot.
func readPage(ctx context.Context, s *session, p *plan, w *Want, b *Batch) (*fence, error) {
	// Any statement would take the snapshot; the position is read after it.
	r, err := s.query(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off; SET LOCAL search_path = `+p.path+`;
		SELECT pg_current_snapshot(), `+currentLSN+`, CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END,
		(extract(epoch FROM clock_timestamp()) * 1000000)::int8`)
	if err != nil {
		return nil, err
	}
	page := &Page{Want: w, Time: time.UnixMicro(r.int(0, 3)).UTC()}
	if page.Snapshot, err = ParseSnapshot(r.text(0, 0)); err != nil {
		return nil, err
	}
	f := &fence{batch: b, position: r.lsn(0, 1), read: time.Now(), settled: r.null(0, 2)}
	f.seen(r.lsn(0, 2))
	b.Read = page
	tx := b.arena.transaction(Transaction{Time: page.Time})
	if w.Keys != nil {
		err = readKeys(ctx, s, p, w, b, tx)
	} else {
		err = readRange(ctx, s, p, w, b, tx)
	}
	if err != nil {
		return nil, err
	}
	if n := len(b.Changes); n > 0 {
		p.rowSize = b.size/n + 1
	}
	if _, err := s.query(ctx, "COMMIT"); err != nil {
		return nil, err
	}
	return f, nil
}

// step is how many rows are read at once: as many as there is room for, going
// by the rows before.
func (p *plan) step(left, room int) int {
	if p.rowSize == 0 {
		return min(left, firstFetch)
	}
	return max(1, min(left, room/p.rowSize))
}

func size(w *Want) int {
	if w.Bytes > 0 {
		return w.Bytes
	}
	return pageBytes
}

// readRange reads the rows past a key by a cursor, in steps, so that rows past
// the page's bytes are hardly read.
func readRange(ctx context.Context, s *session, p *plan, w *Want, b *Batch, tx *Transaction) error {
	sql, err := p.query(w, nil)
	if err != nil {
		return err
	}
	if _, err := s.one(ctx, "DECLARE page NO SCROLL CURSOR FOR "+sql).Close(); err != nil {
		return err
	}
	left := w.Limit
	if left <= 0 {
		left = pageLimit
	}
	for left > 0 && b.size <= size(w) {
		n := p.step(left, size(w)-b.size)
		got, cut, err := takeRows(ctx, s, p, b, tx, fmt.Sprintf("FETCH %d FROM page", n), size(w))
		if err != nil {
			return err
		}
		left -= n
		if got < n {
			b.Read.Done = !cut
			break
		}
	}
	if n := len(b.Changes); n > 0 {
		for _, k := range w.Key {
			text, _ := b.Changes[n-1].New.Get(p.table.Index(k))
			b.Read.Last = append(b.Read.Last, string(text))
		}
	}
	return nil
}

// readKeys reads the rows with given keys, in their order, until the page is
// full.
func readKeys(ctx context.Context, s *session, p *plan, w *Want, b *Batch, tx *Transaction) error {
	for b.Read.Answered < len(w.Keys) && b.size <= size(w) {
		keys := w.Keys[b.Read.Answered:]
		keys = keys[:p.step(len(keys), size(w)-b.size)]
		sql, err := p.query(w, keys)
		if err != nil {
			return err
		}
		if _, _, err := takeRows(ctx, s, p, b, tx, sql, math.MaxInt); err != nil {
			return err
		}
		b.Read.Answered += len(keys)
	}
	b.Read.Done = b.Read.Answered == len(w.Keys)
	return nil
}

// takeRows takes the rows of a statement into b, and leaves out (cut) those past
// size: the next page begins with them. It tells how many rows there were.
func takeRows(ctx context.Context, s *session, p *plan, b *Batch, tx *Transaction, sql string, size int) (got int, cut bool, err error) {
	r := s.one(ctx, sql)
	err = p.fits(r.FieldDescriptions())
	for r.NextRow() && err == nil {
		got++
		if cut = b.size > size; !cut {
			err = addRow(p.table, b, tx, r.Values())
		}
	}
	if _, cerr := r.Close(); err == nil {
		err = cerr
	}
	return got, cut, err
}

// errChanged: a table has changed since it was looked at.
var errChanged = errors.New("the table was changed just now")

// fits tells whether columns of a result have the types that the plan knows.
func (p *plan) fits(fields []pgconn.FieldDescription) error {
	for i, f := range fields {
		if i < len(p.table.Columns) && f.DataTypeOID != p.table.Columns[i].Type.OID {
			return fmt.Errorf("reading column %s of %s: %w", p.table.Columns[i].Name, p.table, errChanged)
		}
	}
	return nil
}

func addRow(t *Table, b *Batch, tx *Transaction, values [][]byte) error {
	if len(values) != len(t.Columns) {
		return fmt.Errorf("a row of %s with %d columns instead of %d", t, len(values), len(t.Columns))
	}
	total := 0
	for _, v := range values {
		total += len(v)
	}
	data, cols := b.arena.bytes.take(total, byteChunk), b.arena.columns(len(values))
	at := 0
	for i, v := range values {
		if v == nil {
			cols[i] = span{size: sizeNull}
			continue
		}
		cols[i] = span{start: int32(at), size: int32(len(v))}
		at += copy(data[at:], v)
	}
	b.size += total
	b.Changes = append(b.Changes, Change{Kind: Read, Table: t, New: Tuple{data: data, cols: cols}, Tx: tx, Ordinal: uint64(len(b.Changes) + 1)})
	return nil
}

// fence is what a page waits for: the stream must have been handed on past its
// position, so that nothing goes back in time.
type fence struct {
	batch    *Batch
	want     *wanted
	position lsn.LSN // where the log ended after the snapshot was taken
	read     time.Time
	settled  bool // the position will be reached without new commits
}

// Sizes of WAL page headers (SizeOfXLogShortPHD, SizeOfXLogLongPHD): the
// insert position of an empty page lies behind its header, the end of the last
// record before it.
const (
	walPage        = 8192
	walShortHeader = 24
	walLongHeader  = 40
)

// seen takes how far the log is on disk, which is as far as a walsender reads.
func (f *fence) seen(flushed lsn.LSN) {
	if off := f.position % walPage; off == walShortHeader || off == walLongHeader {
		f.position -= off
	}
	f.settled = f.settled || flushed >= f.position
}

// settle lowers the position to what is on disk, once that holds every commit
// the snapshot sees. The rest is of transactions that are still open, and may
// stay in memory for long. A commit is on disk before it is visible, or, with
// synchronous_commit = off, at most three rounds of the WAL writer later
// (Postgres' documentation, "Asynchronous Commit").
func (f *fence) settle(flushed lsn.LSN, writerDelay time.Duration, asked time.Time) {
	f.seen(flushed)
	if !f.settled && asked.Sub(f.read) > 3*writerDelay+100*time.Millisecond {
		f.position, f.settled = flushed, true
	}
}
