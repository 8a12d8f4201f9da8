package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/state"
)

const (
	// pageRows and pageBytes bound a backfill's page: large enough that a commit
	// is worth its fsync, small enough that the snapshot lives for some
	// milliseconds and memory stays small.
	pageRows  = 4_000
	pageBytes = 8 << 20
	// rereadRows is how many keys one refetch asks for.
	rereadRows = 300
	// rereadAgain is how long rows wait whose newest change the last read did
	// not see yet.
	rereadAgain = 100 * time.Millisecond
	// readAgain is how long a table that could not be read is left alone.
	readAgain = 30 * time.Second
)

// asker is what reads need of a source.
type asker interface {
	Read(cdc.Want)
}

// reads decides what is read from the tables beside the stream: the pages of
// backfills, and rows that must be read again. At most one request of each
// kind is under way for a mapping.
type reads struct {
	source   asker
	store    *state.Store
	mappings []mapping.Mapping
	tables   map[string]*cdc.Table
	log      *slog.Logger

	mu     sync.Mutex
	asked  map[readID]bool
	wanted map[int][][]byte     // by mapping: the keys of the rows asked for again
	rest   map[readID]time.Time // not before
	broken map[readID]string    // why the table cannot be read
	nudge  chan struct{}

	beat func() // called at every look
}

func newReads(source asker, store *state.Store, mappings []mapping.Mapping, tables map[string]*cdc.Table, log *slog.Logger) *reads {
	return &reads{
		source: source, store: store, mappings: mappings, tables: tables, log: log,
		asked: map[readID]bool{}, wanted: map[int][][]byte{}, rest: map[readID]time.Time{}, broken: map[readID]string{},
		nudge: make(chan struct{}, 1), beat: func() {},
	}
}

// run asks for what is wanted until ctx ends.
func (r *reads) run(ctx context.Context) error {
	for i, m := range r.mappings {
		if t := r.tables[m.Table]; m.Backfill && t != nil && t.Rows >= 0 {
			r.store.EstimateBackfill(i, t.Rows)
		}
	}
	// A look each second covers what wakes nobody: a rest that is over.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		r.beat()
		woken := r.store.Woken()
		next, err := r.ask(ctx)
		if err != nil {
			return err
		}
		soon := time.NewTimer(next)
		select {
		case <-ctx.Done():
			soon.Stop()
			return ctx.Err()
		case <-woken:
		case <-r.nudge:
		case <-soon.C:
		case <-tick.C:
		}
		soon.Stop()
	}
}

// readID is what is read for a mapping: Want.ID.
type readID struct {
	mapping int
	again   bool // rows that must be read again; else the next page of its backfill
}

func pageID(mapping int) readID   { return readID{mapping, false} }
func rereadID(mapping int) readID { return readID{mapping, true} }

// ask requests what may be requested now, and says when to look again.
func (r *reads) ask(ctx context.Context) (time.Duration, error) {
	next := time.Second
	busy := map[string]bool{} // workspaces whose backfill is under way
	for _, b := range r.store.Backfills() {
		m := &r.mappings[b.Mapping]
		if !b.Running || busy[m.Workspace] {
			continue
		}
		if r.resting(pageID(b.Mapping)) {
			continue // a table that cannot be read keeps no other waiting
		}
		busy[m.Workspace] = true
		if r.store.Crowded() || !r.claim(pageID(b.Mapping)) {
			continue
		}
		// Until the claim a page may still have been coming in.
		if b = r.store.Backfill(b.Mapping); !b.Running {
			r.release(pageID(b.Mapping), 0)
			next = 0
			continue
		}
		r.source.Read(cdc.Want{
			ID: pageID(b.Mapping), Table: m.Table, Key: m.Key,
			After: b.After, Limit: pageRows, Bytes: pageBytes, Where: m.BackfillWhere,
		})
	}
	for i := range r.mappings {
		if !r.claim(rereadID(i)) {
			if r.resting(rereadID(i)) {
				next = min(next, rereadAgain)
			}
			continue
		}
		rows, err := r.store.Rereads(i, rereadRows)
		if err != nil {
			return 0, fmt.Errorf("look for rows to read again: %w", err)
		}
		var keys [][]byte
		want := cdc.Want{ID: rereadID(i), Table: r.mappings[i].Table, Key: r.mappings[i].Key}
		var others []*state.Waiting
		for _, row := range rows {
			key, err := mapping.DecodeKey(row.Row)
			if err != nil || len(key) != len(want.Key) {
				others = append(others, row)
				continue
			}
			want.Keys = append(want.Keys, key)
			keys = append(keys, row.Row)
		}
		if others != nil {
			if err := r.sort(ctx, i, others); err != nil {
				return 0, fmt.Errorf("look for the keys of rows to read again: %w", err)
			}
			next = 0
		}
		if want.Keys == nil {
			r.release(rereadID(i), 0)
			continue
		}
		r.mu.Lock()
		r.wanted[i] = keys
		r.mu.Unlock()
		r.source.Read(want)
	}
	return next, nil
}

// sort settles rows that cannot be read by the key they wait under: one whose
// columns tell its key waits under that from now on, the others are set aside.
func (r *reads) sort(ctx context.Context, i int, rows []*state.Waiting) error {
	return r.store.Update(ctx, func(tx *state.Tx) error {
		for _, row := range rows {
			w, ok := tx.WaitingRow(i, row.Row)
			if !ok {
				continue
			}
			if key, reason := r.keyOf(i, w); reason == "" {
				tx.Keyed(w, key)
			} else {
				tx.SetAside(w, reason)
			}
		}
		return nil
	})
}

// keyOf finds the key of a row that waits without one, or says why it cannot.
func (r *reads) keyOf(i int, w *state.Waiting) (key []byte, reason string) {
	m := &r.mappings[i]
	table := r.tables[m.Table]
	switch {
	case !w.Unkeyed():
		return nil, "the key that the row is remembered by is none of " + m.Table + " now"
	case table == nil:
		return nil, "the change does not carry the row's key, and there is no table " + m.Table + " now"
	case len(w.Columns) == 0:
		return nil, fmt.Sprintf("the change does not carry the row's key %s, and none of its columns were kept", strings.Join(m.Key, ", "))
	}
	var had []string
	key, lacking := mapping.KeyOf(table, m.Key, func(column string) ([]byte, bool) {
		for _, c := range w.Columns {
			if c.Name == column {
				return c.Text, cdc.State(c.State) == cdc.Present
			}
		}
		return nil, false
	})
	if lacking == "" {
		return key, ""
	}
	for _, c := range w.Columns {
		had = append(had, c.Name)
	}
	return nil, fmt.Sprintf("the change does not carry the row's key: what was kept of it (%s) has no value of %s", strings.Join(had, ", "), lacking)
}

func (r *reads) claim(id readID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked[id] || time.Now().Before(r.rest[id]) {
		return false
	}
	r.asked[id] = true
	return true
}

func (r *reads) resting(id readID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.asked[id] && time.Now().Before(r.rest[id])
}

func (r *reads) release(id readID, rest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[id] = false
	if rest > 0 {
		r.rest[id] = time.Now().Add(rest)
	}
}

// Broken says, by mapping, why its table cannot be read.
func (r *reads) Broken() map[int]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[int]string, len(r.broken))
	for id, why := range r.broken {
		out[id.mapping] = why
	}
	return out
}

// answer stores what was read.
func (r *reads) answer(ctx context.Context, p *pump, batch *cdc.Batch) error {
	page := batch.Read
	id, ok := page.Want.ID.(readID)
	if !ok {
		return fmt.Errorf("rows of %s came in, which nobody asked for", page.Want.Table)
	}
	i := id.mapping
	if page.Err != nil {
		r.mu.Lock()
		r.broken[id] = page.Err.Error()
		r.mu.Unlock()
		r.release(id, readAgain)
		return nil
	}
	if b := r.store.Backfill(i); !id.again && !(b.Running && slices.Equal(b.After, page.Want.After)) {
		// The backfill has begun anew since it was asked for.
		r.release(id, 0)
		return nil
	}
	ahead := !id.again && !page.Done && page.Last != nil && !r.store.Crowded()
	if ahead {
		// The next page is read while this one is stored.
		next := *page.Want
		next.After = page.Last
		r.source.Read(next)
	}
	p.mapper.Reset()
	unseen := 0
	err := p.store.Update(ctx, func(tx *state.Tx) error {
		unseen = 0
		tx.Fetch(p.touched(batch))
		if !id.again {
			return r.takePage(tx, p, batch, i)
		}
		unseen = r.takeRereads(tx, p, batch, i)
		return nil
	})
	if err != nil {
		return fmt.Errorf("store what was read from %s: %w", page.Want.Table, err)
	}
	r.mu.Lock()
	delete(r.broken, id)
	r.mu.Unlock()
	if ahead {
		return nil
	}
	rest := time.Duration(0)
	if unseen > 0 {
		rest = rereadAgain
	}
	r.release(id, rest)
	select {
	case r.nudge <- struct{}{}:
	default:
	}
	return nil
}

// takePage applies the rows of a backfill's page.
func (r *reads) takePage(tx *state.Tx, p *pump, batch *cdc.Batch, i int) error {
	page := batch.Read
	origin := state.Origin{Time: page.Time, Visible: page.Snapshot.Visible}
	var change *cdc.Change
	origin.Columns = func() []state.Column { return columnsOf(change) }
	for n := range batch.Changes {
		change = &batch.Changes[n]
		tx.From(&origin)
		if ask := p.one(change, tx, i); ask != nil {
			tx.Apply(ask)
		}
	}
	return tx.Backfilled(i, page.Want.After, len(batch.Changes), page.Last, page.Done)
}

// takeRereads applies rows that were read again, each under what the stream
// brought of it, and settles those that are no longer there. It returns how
// many the read was too old for.
func (r *reads) takeRereads(tx *state.Tx, p *pump, batch *cdc.Batch, i int) (unseen int) {
	page := batch.Read
	found := make(map[string]bool, len(batch.Changes))
	for n := range batch.Changes {
		change := &batch.Changes[n]
		origin := state.Origin{Time: page.Time, Visible: page.Snapshot.Visible}
		tx.From(&origin)
		ask := p.one(change, tx, i)
		if ask == nil {
			continue
		}
		found[string(ask.Row)] = true
		waiting, ok := tx.WaitingRow(i, ask.Row)
		if !ok {
			continue // a newer change has said what it asks
		}
		if !waiting.Seen(page.Snapshot.Visible) {
			unseen++
			continue
		}
		whole := under(change, waiting.Columns)
		origin.Reread = waiting
		origin.Commit = waiting.Commit()
		r.asStreamed(&whole, &origin)
		origin.Columns = func() []state.Column { return columnsOf(&whole) }
		if ask = p.one(&whole, tx, i); ask != nil {
			tx.Apply(ask)
		}
	}
	r.mu.Lock()
	wanted := r.wanted[i][:page.Answered] // the others did not fit, and are asked for again
	r.mu.Unlock()
	for _, row := range wanted {
		if found[string(row)] {
			continue
		}
		waiting, ok := tx.WaitingRow(i, row)
		switch {
		case !ok:
		case waiting.Seen(page.Snapshot.Visible):
			r.vanished(tx, p, waiting, i, page)
		default:
			unseen++
		}
	}
	return unseen
}

// vanished settles a row that waited and is not in the table. An event's row
// that is wholly known needs no table: it happened. One that is not is parked.
func (r *reads) vanished(tx *state.Tx, p *pump, w *state.Waiting, i int, page *cdc.Page) {
	table := r.tables[r.mappings[i].Table]
	switch {
	case r.mappings[i].Object != "event":
		tx.Vanished(w)
		return
	case !w.Whole || table == nil:
		tx.SetAside(w, "the row is gone, and not all that its event was is known")
		return
	}
	change := cdc.Change{Kind: cdc.Read, Table: table, Tx: &cdc.Transaction{Time: page.Time}}
	change = under(&change, w.Columns)
	origin := state.Origin{Time: page.Time, Visible: page.Snapshot.Visible, Reread: w, Commit: w.Commit()}
	origin.Columns = func() []state.Column { return columnsOf(&change) }
	r.asStreamed(&change, &origin)
	tx.From(&origin)
	if ask := p.one(&change, tx, i); ask != nil {
		tx.Apply(ask)
	}
}

// asStreamed lets a row that waited since its change was streamed be mapped as
// that change: it happened then.
func (r *reads) asStreamed(c *cdc.Change, origin *state.Origin) {
	if origin.Reread.Streamed() {
		c.Kind = cdc.Insert
		origin.Time = origin.Reread.Time()
	}
}

// one maps a read row through a single mapping.
func (p *pump) one(c *cdc.Change, tx *state.Tx, i int) *customerio.Ask {
	p.asks = p.mapper.Map(p.asks[:0], c, tx)
	for j := range p.asks {
		if p.asks[j].Mapping == i {
			return &p.asks[j]
		}
	}
	return nil
}
