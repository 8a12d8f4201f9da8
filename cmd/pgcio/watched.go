package main

import (
	"context"
	"errors"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

// watchedSource waits for a batch as its loop's pulse asks: never for long
// without a sign of life.
type watchedSource struct {
	*cdc.Source
	beat *beat
}

func (s watchedSource) Next(ctx context.Context) (*cdc.Batch, error) {
	for {
		s.beat.round()
		waiting, cancel := context.WithTimeout(ctx, restLimit)
		b, err := s.Source.Next(waiting)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return b, err
		}
	}
}

// watchedOutbox watches a sink where it may get stuck: in the state. Its
// requests end by themselves, and what it waits for may take as long as it
// likes.
type watchedOutbox struct {
	sink.Outbox
	draws, settles *beat
}

func (o watchedOutbox) Draw(workspace, room int, take func(*customerio.Operation) bool) ([]*state.Item, time.Time, error) {
	o.draws.round()
	defer o.draws.end()
	return o.Outbox.Draw(workspace, room, take)
}

func (o watchedOutbox) Settle(ctx context.Context, settled []state.Settled) error {
	o.settles.round()
	defer o.settles.end()
	return o.Outbox.Settle(ctx, settled)
}
