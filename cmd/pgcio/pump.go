package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/state"
)

// changes is what the pump needs of a source: cdc.Source, or a script.
type changes interface {
	Next(context.Context) (*cdc.Batch, error)
	Release(*cdc.Batch)
	Stored(lsn.LSN)
}

// pump moves batches from the source through the mapper into the state. It is
// the one place where they meet.
type pump struct {
	source changes
	mapper *mapping.Mapper
	store  *state.Store
	reads  *reads
	fit    *fitness // nil: nobody asks
	beat   func()   // called after every batch, and before every wait

	commits sync.WaitGroup // those that go on

	asks []customerio.Ask
	refs []state.Ref
	rows []byte // of refs
}

func (p *pump) run(ctx context.Context) error {
	defer p.commits.Wait()
	for {
		p.beat()
		if err := p.roomy(ctx); err != nil {
			return err
		}
		batch, err := p.source.Next(ctx)
		if err != nil {
			return err
		}
		if batch.Read != nil {
			err = p.reads.answer(ctx, p, batch)
		} else {
			err = p.take(ctx, batch)
		}
		if err != nil {
			return err
		}
		p.source.Release(batch)
	}
}

// roomy waits while what is still to be sent has passed [state] max_size.
func (p *pump) roomy(ctx context.Context) error {
	for {
		woken := p.store.Woken()
		if _, open := p.store.Stored(); !p.store.Full() || open.Commit != 0 {
			return nil // inside a transaction law 7 yields before the disk does
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		case <-time.After(restLimit):
		}
		p.beat()
	}
}

// take stores what a batch of the stream asks, and lets Postgres know once that
// is durable. The next batch need not wait for it.
func (p *pump) take(ctx context.Context, batch *cdc.Batch) error {
	p.mapper.Reset()
	if p.fit != nil {
		p.fit.batch(batch)
	}
	p.commits.Add(1)
	err := p.store.Start(ctx, func(tx *state.Tx) error {
		open := markOf(batch.Open)
		tx.Fetch(p.touched(batch))
		tx.Begin(open.Commit)
		var change *cdc.Change
		origin := state.Origin{Columns: func() []state.Column { return columnsOf(change) }}
		for i := range batch.Changes {
			change = &batch.Changes[i]
			origin.Commit, origin.XID, origin.Time = change.Tx.Commit, change.Tx.XID, change.Tx.Time
			origin.Insert = change.Kind == cdc.Insert
			tx.From(&origin)
			p.asks = p.mapper.Map(p.asks[:0], change, tx)
			for j := range p.asks {
				tx.Apply(&p.asks[j])
			}
		}
		tx.Through(batch.Through, open)
		return nil
	}, func(err error) {
		defer p.commits.Done()
		if err == nil {
			stored, _ := p.store.Stored()
			p.source.Stored(stored)
		}
	})
	if err != nil {
		p.commits.Done()
		return fmt.Errorf("store what was read from the WAL: %w", err)
	}
	return nil
}

// touched lists the rows of a batch, so that the state reads all it knows of
// them at once.
func (p *pump) touched(batch *cdc.Batch) []state.Ref {
	p.refs, p.rows = p.refs[:0], p.rows[:0]
	p.mapper.Keys(batch, func(t mapping.Touch) {
		if t.IsEvent {
			return
		}
		ref := state.Ref{Mapping: t.Mapping}
		if t.Person != 0 {
			ref.Person = customerio.Identifier{Type: t.Person, Value: string(t.Name)}
		} else {
			start := len(p.rows)
			p.rows = append(p.rows, t.Row...)
			ref.Row = p.rows[start:len(p.rows):len(p.rows)]
		}
		p.refs = append(p.refs, ref)
	})
	return p.refs
}

func markOf(m *cdc.Mark) state.Mark {
	if m == nil {
		return state.Mark{}
	}
	return state.Mark{Commit: m.Commit, XID: m.XID, Rows: m.Rows}
}

// columnsOf gives a change's new row by column, for a row that must wait.
func columnsOf(c *cdc.Change) []state.Column {
	columns := make([]state.Column, len(c.Table.Columns))
	for i := range columns {
		text, st := c.New.Get(i)
		columns[i] = state.Column{Name: c.Table.Columns[i].Name, State: uint8(st), Text: text}
	}
	return columns
}

// under lays what the stream brought of a row over what was read of it.
func under(read *cdc.Change, brought []state.Column) cdc.Change {
	columns := make([]cdc.Column, len(read.Table.Columns))
	for i := range columns {
		text, st := read.New.Get(i)
		columns[i] = cdc.Column{State: st, Text: text}
	}
	for _, c := range brought {
		if i := read.Table.Index(c.Name); i >= 0 && cdc.State(c.State) != cdc.Absent {
			columns[i] = cdc.Column{State: cdc.State(c.State), Text: c.Text}
		}
	}
	whole := *read
	whole.New = cdc.NewTuple(columns...)
	return whole
}
