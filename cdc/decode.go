package cdc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// decoder turns pgoutput messages (protocol version 1, text) into changes. It
// does no I/O but what its types need, and lives as long as one connection:
// Postgres describes every table anew in each.
type decoder struct {
	types  typeSource
	wanted map[string]bool // tables whose rows are handed on; nil: all

	tables map[uint32]*relation
	last   *relation // rows of one table come in runs
	names  map[uint32]string

	saved lsn.LSN // transactions that committed before it are stored already
	open  *Mark   // the stored part of the transaction that comes first

	in      bool // between Begin and Commit
	skip    bool // this transaction is stored already
	tx      Transaction
	ordinal uint64
	stored  uint64       // row messages of tx that are stored already
	current *Transaction // tx in the arena of the batch in hand; nil: not yet
	xid     uint64       // the newest id known, to widen the next one by

	// end is where the last transaction or keepalive ended: everything committed
	// before it was received.
	end lsn.LSN
}

// relation is a table as this connection was last told.
type relation struct {
	oid    uint32
	table  *Table
	wanted bool
}

// typeSource resolves the types of a table that is described.
type typeSource interface {
	// types returns the type of every oid; names are what Type messages said.
	types(oids []uint32, names map[uint32]string) (map[uint32]*Type, error)
	// forget drops what is known of a type, because it may have changed.
	forget(oid uint32)
}

func newDecoder(types typeSource, tables []string, at position, xid uint64) *decoder {
	d := &decoder{
		types: types, tables: map[uint32]*relation{}, names: map[uint32]string{},
		saved: at.through, open: at.open, xid: xid, end: at.through,
	}
	if len(tables) > 0 {
		d.wanted = make(map[string]bool, len(tables))
		for _, t := range tables {
			d.wanted[t] = true
		}
	}
	return d
}

// errShort is a message that ends before what it announces.
var errShort = errors.New("the message is too short")

// epoch is Postgres' epoch in Unix microseconds: 2000-01-01.
const epoch = 946684800 * 1_000_000

func pgTime(us int64) time.Time { return time.UnixMicro(us + epoch).UTC() }

// message decodes one pgoutput message into b. What b gets points into copies
// in b's arena; msg is not kept.
func (d *decoder) message(msg []byte, b *Batch) error {
	if len(msg) == 0 {
		return errShort
	}
	c := cursor{msg: msg, at: 1}
	var err error
	switch msg[0] {
	case 'B':
		err = d.begin(&c)
	case 'C':
		err = d.commit(&c, b)
	case 'I':
		err = d.row(&c, b, Insert)
	case 'U':
		err = d.row(&c, b, Update)
	case 'D':
		err = d.row(&c, b, Delete)
	case 'T':
		err = d.truncate(&c, b)
	case 'R':
		err = d.relation(&c)
	case 'Y':
		err = d.typ(&c)
	case 'O': // where a transaction came from: order and contents are its own
	case 'M': // a logical message, in or outside a transaction: not a row (T61)
	default:
		return fmt.Errorf("unknown pgoutput message %q (0x%02x)", msg[0], msg[0])
	}
	if err == nil && c.short {
		err = errShort
	}
	if err != nil {
		return fmt.Errorf("decoding pgoutput message %q: %w", msg[0], err)
	}
	return nil
}

func (d *decoder) begin(c *cursor) error {
	if d.in {
		return errors.New("a transaction begins inside another")
	}
	commit, at, xid := lsn.LSN(c.uint64()), int64(c.uint64()), c.uint32()
	if c.short {
		return errShort
	}
	// The id is widened to 64 bits by the newest one known: ids of one history
	// that can meet lie within 2^31 of each other.
	wide := d.xid + uint64(int64(int32(xid-uint32(d.xid))))
	d.xid = max(d.xid, wide)
	d.in, d.ordinal, d.stored, d.current = true, 0, 0, nil
	d.tx = Transaction{Commit: commit, XID: wide, Time: pgTime(at)}
	// A transaction is known by where its commit record starts; what is saved is
	// where one ended, so the next one starts at or after it (T3).
	d.skip = commit < d.saved
	if d.skip || d.open == nil {
		return nil
	}
	if d.open.Commit != commit || d.open.XID != wide {
		return &markError{stored: *d.open, commit: commit, xid: wide}
	}
	d.stored, d.open = d.open.Rows, nil
	return nil
}

func (d *decoder) commit(c *cursor, b *Batch) error {
	c.skip(1) // flags, unused
	commit, end := lsn.LSN(c.uint64()), lsn.LSN(c.uint64())
	if c.short {
		return errShort
	}
	if !d.in || commit != d.tx.Commit {
		return fmt.Errorf("a commit at %s ends no transaction that began (the open one commits at %s)", commit, d.tx.Commit)
	}
	if end <= commit {
		return fmt.Errorf("a transaction that commits at %s ends at %s", commit, end)
	}
	if d.ordinal < d.stored {
		return fmt.Errorf("the transaction %d that commits at %s has %d rows, of which %d were stored before", d.tx.XID, commit, d.ordinal, d.stored)
	}
	d.in, d.current = false, nil
	d.end = max(d.end, end)
	if !d.skip {
		b.Through, b.Open = end, nil
	}
	return nil
}

// row decodes an insert, update or delete.
func (d *decoder) row(c *cursor, b *Batch, kind Kind) error {
	oid := c.uint32()
	r := d.last
	if r == nil || r.oid != oid {
		if r = d.tables[oid]; r == nil {
			return fmt.Errorf("a row of the table with oid %d, which was not described", oid)
		}
		d.last = r
	}
	if !d.in {
		return fmt.Errorf("a row of %s outside a transaction", r.table)
	}
	d.ordinal++
	if d.skip || d.ordinal <= d.stored || !r.wanted {
		return nil
	}
	data := b.arena.copy(c.msg[c.at:])
	b.size += len(data)
	t := cursor{msg: data}
	part := t.byte()
	var old, fresh Tuple
	keyOnly := false
	var err error
	if kind != Insert && (part == 'K' || part == 'O') {
		keyOnly = part == 'K'
		if old, err = d.tuple(&t, b, r.table, keyOnly); err != nil {
			return err
		}
		if kind == Update {
			part = t.byte()
		}
	}
	if kind != Delete {
		if part != 'N' {
			return fmt.Errorf("a row of %s whose new version is marked %q", r.table, part)
		}
		if fresh, err = d.tuple(&t, b, r.table, false); err != nil {
			return err
		}
		// A large value that did not change is left out of the new row, also where
		// the old one carries it (T25): take it from there.
		for i := range old.cols {
			if fresh.cols[i].size == sizeAbsent && old.cols[i].size >= 0 {
				fresh.cols[i] = old.cols[i]
			}
		}
	} else if old.cols == nil {
		return fmt.Errorf("a deleted row of %s without its key", r.table)
	}
	d.add(b, Change{Kind: kind, KeyOnly: keyOnly, Table: r.table, Old: old, New: fresh, Ordinal: d.ordinal})
	return nil
}

func (d *decoder) add(b *Batch, c Change) {
	if d.current == nil {
		d.current = b.arena.transaction(d.tx)
	}
	c.Tx = d.current
	b.Changes = append(b.Changes, c)
}

// tuple places the columns of one row image. A key-only image sends nulls in
// place of the columns outside the key: they are not known, not null (T26).
func (d *decoder) tuple(c *cursor, b *Batch, t *Table, keyOnly bool) (Tuple, error) {
	n := int(c.uint16())
	if n != len(t.Columns) {
		return Tuple{}, fmt.Errorf("a row of %s with %d columns instead of %d", t, n, len(t.Columns))
	}
	cols := b.arena.columns(n)
	for i := range cols {
		switch k := c.byte(); k {
		case 't':
			size := int(c.uint32())
			cols[i] = span{start: int32(c.at), size: int32(size)}
			c.skip(size)
		case 'n':
			cols[i] = span{size: sizeNull}
		case 'u':
			cols[i] = span{size: sizeAbsent}
		default:
			if c.short {
				return Tuple{}, errShort
			}
			return Tuple{}, fmt.Errorf("column %s of %s is marked %q", t.Columns[i].Name, t, k)
		}
		if keyOnly && !t.Columns[i].Key {
			cols[i] = span{size: sizeAbsent}
		}
	}
	if c.short {
		return Tuple{}, errShort
	}
	return Tuple{data: c.msg, cols: cols}, nil
}

// truncate makes one change of each table, all of one message.
func (d *decoder) truncate(c *cursor, b *Batch) error {
	n := int(c.uint32())
	c.skip(1) // CASCADE, RESTART IDENTITY: both done
	if n < 0 || n > (len(c.msg)-c.at)/4 {
		return errShort
	}
	if !d.in {
		return errors.New("a truncate outside a transaction")
	}
	for range n {
		r := d.tables[c.uint32()]
		if r == nil {
			return errors.New("a truncate of a table that was not described")
		}
		d.ordinal++
		if d.skip || d.ordinal <= d.stored || !r.wanted {
			continue
		}
		d.add(b, Change{Kind: Truncate, Table: r.table, Ordinal: d.ordinal})
	}
	return nil
}

// relation takes the description of a table, which comes before its first row
// in a connection and after every change.
func (d *decoder) relation(c *cursor) error {
	oid := c.uint32()
	t := &Table{OID: oid, Rows: -1, Schema: c.string(), Name: c.string()}
	t.Identity = ReplicaIdentity(c.byte())
	if t.Schema == "" {
		t.Schema = "pg_catalog" // how pgoutput writes it
	}
	n := int(c.uint16())
	if c.short || n > len(c.msg)-c.at {
		return errShort
	}
	oids := make([]uint32, n)
	t.Columns = make([]TableColumn, n)
	for i := range t.Columns {
		t.Columns[i].Key = c.byte()&1 != 0
		t.Columns[i].Name = c.string()
		oids[i] = c.uint32()
		c.skip(4) // type modifier: the text is already cut to it
		if t.Columns[i].Key {
			t.IdentityColumns = append(t.IdentityColumns, t.Columns[i].Name)
		}
	}
	if c.short {
		return errShort
	}
	wanted := d.wanted == nil || d.wanted[t.String()]
	if wanted { // of others nothing is decoded
		types, err := d.types.types(oids, d.names)
		if err != nil {
			return fmt.Errorf("finding the types of %s: %w", t, err)
		}
		for i := range t.Columns {
			t.Columns[i].Type = types[oids[i]]
		}
	}
	d.tables[oid] = &relation{oid: oid, table: t, wanted: wanted}
	d.last = nil
	return nil
}

// typ notes the name of a type that is not built in. It is sent again with
// every description of a table, so it also says that the type may have changed.
func (d *decoder) typ(c *cursor) error {
	oid := c.uint32()
	_ = c.string() // its schema
	name := c.string()
	if !c.short {
		d.names[oid] = name
		d.types.forget(oid)
	}
	return nil
}

// mark says how far into the open transaction the batch reaches, when it ends
// inside one; nil if nothing of it is new.
func (d *decoder) mark() *Mark {
	if !d.in || d.skip || d.ordinal <= d.stored {
		return nil
	}
	return &Mark{Commit: d.tx.Commit, XID: d.tx.XID, Rows: d.ordinal}
}

// cut begins the next batch: its arena must hold the transaction too.
func (d *decoder) cut() { d.current = nil }

// cursor reads a message and never past its end: short is set instead.
type cursor struct {
	msg   []byte
	at    int
	short bool
}

func (c *cursor) has(n int) bool {
	if n < 0 || n > len(c.msg)-c.at {
		c.short, c.at = true, len(c.msg)
		return false
	}
	return true
}

func (c *cursor) skip(n int) {
	if c.has(n) {
		c.at += n
	}
}

func (c *cursor) byte() byte {
	if !c.has(1) {
		return 0
	}
	c.at++
	return c.msg[c.at-1]
}

func (c *cursor) uint16() uint16 {
	if !c.has(2) {
		return 0
	}
	c.at += 2
	return binary.BigEndian.Uint16(c.msg[c.at-2:])
}

func (c *cursor) uint32() uint32 {
	if !c.has(4) {
		return 0
	}
	c.at += 4
	return binary.BigEndian.Uint32(c.msg[c.at-4:])
}

func (c *cursor) uint64() uint64 {
	if !c.has(8) {
		return 0
	}
	c.at += 8
	return binary.BigEndian.Uint64(c.msg[c.at-8:])
}

func (c *cursor) string() string {
	n := bytes.IndexByte(c.msg[c.at:], 0)
	if n < 0 {
		c.short, c.at = true, len(c.msg)
		return ""
	}
	s := string(c.msg[c.at : c.at+n])
	c.at += n + 1
	return s
}
