package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/lsn"
)

// tape is one connection to the world's slot: what cdc.Source is to Postgres.
// It resends from what was acknowledged, as Postgres does.
type tape struct {
	w       *world
	rng     *rand.Rand
	next    int    // transaction
	skip    uint64 // of its changes
	handed  lsn.LSN
	pause   time.Duration // how long a transaction may take to come in, at times
	resumes time.Time     // nothing is handed on before
	paused  func()        // called at the end of a pause inside a transaction
	fail    func(format string, args ...any)
	pages   []page

	mu     sync.Mutex // guards wants
	wants  []cdc.Want
	wanted chan struct{}
}

// page is what was read, and when the reading is done.
type page struct {
	*cdc.Batch
	ready time.Time
}

// newTape resumes after what the state has stored. It reports an error when
// the slot has forgotten what the state has not.
func newTape(w *world, seed uint64, stored lsn.LSN, open *cdc.Mark) (*tape, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.acked > stored {
		return nil, fmt.Errorf("the slot is at %s, the state at %s: changes are lost", w.acked, stored)
	}
	t := &tape{w: w, rng: rand.New(rand.NewPCG(seed, 2)), handed: stored, paused: func() {}, wanted: make(chan struct{}, 1)}
	for t.next < len(w.txns) && w.txns[t.next].commit < stored {
		t.next++
	}
	if open.Commit != 0 {
		if t.next >= len(w.txns) || w.txns[t.next].commit != open.Commit || w.txns[t.next].xid != open.XID {
			return nil, fmt.Errorf("the mark %+v is not of the transaction that comes", *open)
		}
		t.skip = open.Rows
	}
	return t, nil
}

// Release takes nothing back: the batches are the world's.
func (t *tape) Release(*cdc.Batch) {}

// Stored acknowledges.
func (t *tape) Stored(at lsn.LSN) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if at > t.handed {
		t.fail("acknowledged %s, of which only %s was received", at, t.handed)
	}
	if t.rng.IntN(4) > 0 { // status updates get lost
		t.w.acked = max(t.w.acked, at)
	}
}

// Read asks for rows.
func (t *tape) Read(want cdc.Want) {
	t.mu.Lock()
	t.wants = append(t.wants, want)
	t.mu.Unlock()
	select {
	case t.wanted <- struct{}{}:
	default:
	}
}

// Next hands on a page or a piece of the stream.
func (t *tape) Next(ctx context.Context) (*cdc.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if d := time.Until(t.resumes); d > 0 {
			select {
			case <-ctx.Done():
				continue
			case <-time.After(d):
			}
			t.paused()
		}
		t.w.mu.Lock()
		grown := t.w.grown
		t.read()
		b, soon := t.page()
		if b == nil {
			b = t.stream()
		}
		t.w.mu.Unlock()
		if b != nil {
			return b, nil
		}
		timer := time.NewTimer(soon)
		select {
		case <-ctx.Done():
		case <-grown:
		case <-t.wanted:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// stream hands on some whole transactions, or a part of one.
func (t *tape) stream() *cdc.Batch {
	b := &cdc.Batch{}
	for n := 1 + t.rng.IntN(3); n > 0 && t.next < len(t.w.txns); n-- {
		txn := &t.w.txns[t.next]
		rest := txn.changes[t.skip:]
		if len(rest) > 1 && t.rng.IntN(4) == 0 {
			part := 1 + t.rng.IntN(len(rest)-1)
			b.Changes = append(b.Changes, rest[:part]...)
			t.skip += uint64(part)
			b.Open = &cdc.Mark{Commit: txn.commit, XID: txn.xid, Rows: t.skip}
			if t.rng.IntN(3) == 0 {
				t.resumes = time.Now().Add(t.pause)
			}
			break
		}
		b.Changes = append(b.Changes, rest...)
		b.Through = txn.end
		t.next++
		t.skip = 0
	}
	if b.Through != 0 {
		t.handed = b.Through
	}
	if b.Through == 0 && b.Open == nil {
		return nil
	}
	return b
}

// read answers what was asked for from a snapshot that may be a little behind
// the newest commit, as a synchronous standby makes it, and takes its time.
func (t *tape) read() {
	t.mu.Lock()
	wants := t.wants
	t.wants = nil
	t.mu.Unlock()
	for i := range wants {
		t.w.seen = max(t.w.seen, t.w.xid-uint64(t.rng.IntN(3)))
		p := page{t.w.read(&wants[i], 1+t.rng.IntN(4)), time.Now()}
		if t.rng.IntN(2) == 0 {
			p.ready = p.ready.Add(time.Duration(t.rng.Int64N(int64(6 * time.Second))))
		}
		t.pages = append(t.pages, p)
	}
}

// page hands on what was read once the stream is past it, or says when there
// may be something by the passing of time.
func (t *tape) page() (b *cdc.Batch, soon time.Duration) {
	now := time.Now()
	soon = time.Hour
	for i, p := range t.pages {
		if p.ready.After(now) {
			soon = min(soon, p.ready.Sub(now))
			continue
		}
		if p.Read.Position <= t.handed && t.skip == 0 {
			t.pages = slices.Delete(t.pages, i, i+1)
			t.w.meet(p.Batch)
			return p.Batch, 0
		}
	}
	return nil, soon
}

// meet enters whom a page of the first mapping brings before the stream does.
func (w *world) meet(b *cdc.Batch) {
	if b.Read.Want.ID != pageID(0) {
		return
	}
	for i := range b.Changes {
		text, _ := b.Changes[i].New.Get(0)
		if id := string(text); w.changedBy(users, id) <= w.slotXID && !out(w.current(users, id)) {
			w.met[id] = true
		}
	}
}

// read is what the newest snapshot shows of a table: a page of at most limit
// rows, or the rows of some keys.
func (w *world) read(want *cdc.Want, limit int) *cdc.Batch {
	b := &cdc.Batch{Read: &cdc.Page{
		Want: want, Snapshot: cdc.Snapshot{XMin: w.seen + 1, XMax: w.seen + 1}, Position: w.end, Time: time.Now(),
		Done: want.Keys == nil, Answered: len(want.Keys),
	}}
	for _, id := range w.ids[want.Table] {
		if want.Keys != nil && !slices.ContainsFunc(want.Keys, func(k []string) bool { return k[0] == id }) ||
			want.After != nil && number(id) <= number(want.After[0]) {
			continue
		}
		var row []cdc.Column
		for _, v := range w.rows[want.Table][id] {
			if v.xid <= w.seen {
				row = v.columns
			}
		}
		if row == nil {
			continue
		}
		if want.Keys == nil && len(b.Changes) == limit {
			b.Read.Done = false
			break
		}
		b.Changes = append(b.Changes, cdc.Change{
			Kind: cdc.Read, Table: w.tables[want.Table], New: cdc.NewTuple(row...), Tx: &cdc.Transaction{Time: b.Read.Time},
		})
		b.Read.Last = []string{id}
	}
	return b
}

func number(id string) int {
	n, err := strconv.Atoi(id)
	if err != nil {
		panic(err)
	}
	return n
}
