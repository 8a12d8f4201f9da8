package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/status"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

// daemonOptions are what `run` was told beside the configuration.
type daemonOptions struct {
	log                *slog.Logger
	acceptNewWorkspace bool
	progress           bool // draw a backfill's progress on the terminal
	fail               func(point string)
}

// daemon runs until it is asked to end, or going on would be wrong. It is the
// wiring: what feeds what, started so that everything can be seen from the
// beginning, and stopped in the opposite order, so that what was received is
// stored, what was stored is acknowledged, and what was sent is settled.
func (a *app) daemon(asked context.Context, cfg *config, opts daemonOptions) (err error) {
	log := opts.log
	end := &shutdown{log: log}
	var unused func() error // removes a state that came to nothing; nil: there is none
	defer func() {
		notifier{log}.stopping()
		if asked.Err() != nil && errors.Is(err, context.Canceled) {
			log.Info("stopping")
			err = nil // it is what was asked for
		}
		err = errors.Join(err, end.run())
		if unused != nil && exitStatus(err) == exitUsage {
			err = errors.Join(err, unused())
		}
	}()
	ctx, fail := context.WithCancelCause(asked)
	defer fail(nil)
	loop := &loops{end, fail, func() error { return context.Cause(ctx) }}
	alive := newPulse(roundLimit)

	source := cfg.source(log)
	source.Fail = opts.fail
	if err := sound(ctx, cfg, source); err != nil && !passing(err) {
		return err
	}
	_, missing := os.Stat(cfg.state.path)
	stored := cfg.stateOptions(log)
	stored.Fail = opts.fail
	store, err := state.Open(ctx, stored)
	if err != nil {
		return notOpened(err)
	}
	end.then("state", store.Close)
	if errors.Is(missing, fs.ErrNotExist) {
		unused = func() error { return removeUnused(store, cfg.state.path) }
	}

	gone, err := store.GiveUp(ctx)
	if err != nil {
		return fmt.Errorf("giving up what waits of mappings that are not in the configuration: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		log.Warn("a mapping is not in the configuration any more: what was unsent of it is discarded", "mapping", name, "changes", gone[name])
	}

	// Whoever looks sees the start too, and why it takes long.
	recorder := status.NewRecorder()
	view := newView(cfg, store, log)
	if err := serveStatus(loop, cfg, view, recorder, alive); err != nil {
		return err
	}
	if err := serveControl(loop, cfg, view, store); err != nil {
		return err
	}
	loop.start("watchdog", func(ctx context.Context) error {
		notifier{log}.feed(ctx, alive)
		return ctx.Err()
	})
	loop.start("report", func(ctx context.Context) error { return a.report(ctx, view, opts) })
	loop.start("sweeper", store.Run)

	// What is in the outbox is sent even while Postgres is away.
	var sinks []*sink.Sink
	for i := range cfg.workspaces {
		s := newSink(cfg, i, store, opts, recorder, alive)
		view.add(s)
		sinks = append(sinks, s)
	}
	loop.start("sending", func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, s := range sinks {
			g.Go(func() error { return s.Run(ctx) })
		}
		return g.Wait()
	})

	from, mapper, tables, err := a.connect(ctx, cfg, source, store, view, log)
	if err != nil {
		return recordLoss(ctx, store, err)
	}
	if err := recordLoss(ctx, store, nil); err != nil {
		return err
	}
	source.Columns = columnsByTable(mapper)
	source.InsertsOnly = !slices.ContainsFunc(mapper.Mappings(), func(m mapping.Mapping) bool { return m.Kind != customerio.Event })
	source.Moved = func(ctx context.Context, id cdc.Identity) error {
		known := store.Source()
		known.Timeline = id.Timeline
		return store.SetSource(ctx, known, 0)
	}
	stream := cdc.New(source)
	loop.start("stream", func(ctx context.Context) error {
		return recordLoss(ctx, store, stream.Run(ctx, from))
	})

	reads := newReads(stream, store, mapper.Mappings(), tables, log)
	reads.beat = alive.loop("the reading of tables").round
	beat := alive.loop("the pump")
	fit := newFitness(mapper, stream, log)
	pump := &pump{source: watchedSource{stream, beat}, mapper: mapper, store: store, reads: reads, fit: fit, beat: beat.round}
	view.streaming(stream, reads, fit)
	loop.start("pump", pump.run)
	loop.start("reads", reads.run)

	<-ctx.Done()
	return context.Cause(ctx)
}

// recordLoss keeps in the state what was found to be lost: `pgcio status` tells
// of it when no daemon runs any more. nil: nothing was lost, this time.
func recordLoss(ctx context.Context, store *state.Store, err error) error {
	switch {
	case err == nil:
		return store.RecordGap(ctx, "")
	case lost(err):
		return errors.Join(err, store.RecordGap(context.WithoutCancel(ctx), err.Error()))
	}
	return err
}

// connect finds out what the database has, and where to go on from, trying
// again for as long as the database is away.
func (a *app) connect(ctx context.Context, cfg *config, source cdc.Config, store *state.Store, view *view, log *slog.Logger) (cdc.Resume, *mapping.Mapper, map[string]*cdc.Table, error) {
	wait := source.RetryMin
	if wait == 0 {
		wait = 250 * time.Millisecond
	}
	for {
		from, mapper, tables, err := prepare(ctx, cfg, source, store, view, log)
		switch {
		case ctx.Err() != nil:
			return from, nil, nil, context.Cause(ctx)
		case err == nil || !passing(err):
			return from, mapper, tables, err
		}
		view.waiting(err)
		log.Warn("not connected to postgres", "error", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return from, nil, nil, context.Cause(ctx)
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

// prepare does what must be done once before streaming.
func prepare(ctx context.Context, cfg *config, source cdc.Config, store *state.Store, view *view, log *slog.Logger) (cdc.Resume, *mapping.Mapper, map[string]*cdc.Table, error) {
	// Nothing is written to a database that is not the one.
	if from, known := storedResume(store); known {
		if err := cdc.Verify(ctx, source, from); err != nil {
			return cdc.Resume{}, nil, nil, err
		}
	}
	mapper, tables, err := compile(ctx, cfg, source)
	if err != nil {
		return cdc.Resume{}, nil, nil, err
	}
	if !store.Source().Known() {
		if err := cdc.Ready(ctx, source); err != nil {
			return cdc.Resume{}, nil, nil, err
		}
	}
	if err := publish(ctx, cfg, source, store, mapper.Mappings(), tables, view, log); err != nil {
		return cdc.Resume{}, nil, nil, err
	}
	from, err := resume(ctx, store, cfg.state.place(), source, log)
	if err != nil {
		return cdc.Resume{}, nil, nil, err
	}
	if from.Open, err = goOn(ctx, store, mapper); err != nil {
		return cdc.Resume{}, nil, nil, err
	}
	return from, mapper, tables, nil
}

// publish publishes the tables that were mapped since the last start: now, so
// that the publication is there before the slot is; an older slot could not be
// read.
func publish(ctx context.Context, cfg *config, source cdc.Config, store *state.Store, mappings []mapping.Mapping, tables map[string]*cdc.Table, view *view, log *slog.Logger) error {
	if err := missed(ctx, store, mappings, tables, view, log); err != nil {
		return err
	}
	published, err := cdc.Publish(ctx, source)
	switch {
	case err != nil && !source.Manage:
		return &awaitedError{err}
	case err != nil:
		return err
	case len(published.Tables) > 0:
		log.Info("published tables", "publication", source.Publication, "tables", published.Tables)
		if tables, err = catalog(ctx, cfg, source); err != nil {
			return err
		}
		// One of them may have left since it was first looked at.
		if err := missed(ctx, store, mappings, tables, view, log); err != nil {
			return err
		}
	}
	return streamed(ctx, store, mappings, tables)
}

// serveStatus opens [http] listen.
func serveStatus(loop *loops, cfg *config, view *view, recorder *status.Recorder, alive *pulse) error {
	if cfg.http.listen == "" {
		return nil
	}
	l, names, err := listenHTTP(cfg.http.listen)
	if err != nil {
		return err
	}
	views := status.Views{Snapshot: view.asked, Recorder: recorder, Alive: alive.alive, Names: names}
	server := &http.Server{Handler: views.Handler(), ReadHeaderTimeout: 10 * time.Second}
	loop.start("status server", func(ctx context.Context) error { return serve(ctx, server, l) })
	return nil
}

// serveControl opens the control socket.
func serveControl(loop *loops, cfg *config, view *view, store *state.Store) error {
	l, err := listenControl(cfg.state.socket())
	if err != nil {
		return err
	}
	d := &desk{snapshot: view.asked, store: store, mappings: cfg.mappingNames()}
	server := &http.Server{Handler: controlHandler(d), ReadHeaderTimeout: 10 * time.Second}
	loop.start("control socket", func(ctx context.Context) error { return serve(ctx, server, l) })
	return nil
}
