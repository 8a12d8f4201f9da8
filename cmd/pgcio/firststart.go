package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/state"
)

// resume is where the state ends. A state that belongs to no source yet gets
// one: its slot is created, and where it begins is stored. place is the state
// file's, for people.
//
// The intent is stored before the slot is created, so that a crash between the
// two is told from a slot whose state was lost: the first is undone and made
// again, the second is a gap.
func resume(ctx context.Context, store *state.Store, place string, cfg cdc.Config, log *slog.Logger) (cdc.Resume, error) {
	if !store.Source().Known() {
		if err := firstStart(ctx, store, place, cfg, log); err != nil {
			return cdc.Resume{}, err
		}
	}
	r, _ := storedResume(store)
	return r, nil
}

// storedResume is where the state ends, and whether it belongs to a source.
func storedResume(store *state.Store) (r cdc.Resume, known bool) {
	src := store.Source()
	stored, open := store.Stored()
	r = cdc.Resume{
		Identity: cdc.Identity{
			SystemID: src.SystemID, Timeline: src.Timeline, Database: src.Database,
			Slot: src.Slot, Publication: src.Publication,
		},
		Stored: stored,
	}
	if open != (state.Mark{}) {
		r.Open = &cdc.Mark{Commit: open.Commit, XID: open.XID, Rows: open.Rows}
	}
	return r, src.Known()
}

// goOn lets the mappings go on inside the transaction that the state has half of:
// from where the one is that has least of it.
func goOn(ctx context.Context, store *state.Store, mapper *mapping.Mapper) (*cdc.Mark, error) {
	var defined []state.Definition
	for _, m := range mapper.Mappings() {
		defined = append(defined, m.Digest)
	}
	open, rows, err := store.GoOn(ctx, defined)
	if err != nil || open == (state.Mark{}) {
		return nil, err
	}
	mark := cdc.Mark{Commit: open.Commit, XID: open.XID, Rows: open.Rows}
	mapper.Had(mark, rows)
	return &mark, nil
}

// sound refuses a start that could come to nothing, before a state is made or
// anybody is sent to: mappings that do not fit the database and, where there is
// no state yet, a server that a slot cannot be made at.
func sound(ctx context.Context, cfg *config, source cdc.Config) error {
	_, _, err := compile(ctx, cfg, source)
	if _, missing := os.Stat(cfg.state.path); err == nil && errors.Is(missing, fs.ErrNotExist) {
		err = soundFirst(ctx, cfg.state.place(), source)
	}
	return err
}

// soundFirst is sound for a first start.
func soundFirst(ctx context.Context, place string, source cdc.Config) error {
	there, err := cdc.Droppable(ctx, source)
	if err != nil {
		return err
	}
	if there.Slot != "" {
		return cdc.NoState(source, place, there.ReadBy)
	}
	return cdc.Ready(ctx, source)
}

func firstStart(ctx context.Context, store *state.Store, place string, cfg cdc.Config, log *slog.Logger) error {
	id, err := cdc.Identify(ctx, cfg)
	if err != nil {
		return err
	}
	if ours(store.Source(), id) {
		log.Info("the last start was cut short while it created the slot, which is made anew", "slot", cfg.Slot)
		if _, err := cdc.DropSlot(ctx, cfg); err != nil {
			return err
		}
	} else {
		there, err := cdc.Droppable(ctx, cfg)
		if err != nil {
			return err
		}
		if there.Slot != "" {
			return cdc.NoState(cfg, place, there.ReadBy)
		}
		if err := store.Intend(ctx, sourceOf(id)); err != nil {
			return fmt.Errorf("storing the intent to create a slot: %w", err)
		}
	}
	id, at, err := cdc.Setup(ctx, cfg)
	if err != nil {
		// A slot that somebody else made since we looked is not ours to drop; and of
		// one that is not there nothing has to be dropped.
		if errors.Is(err, cdc.ErrSlotExists) || noSlot(ctx, cfg) {
			err = errors.Join(err, store.SetSource(context.WithoutCancel(ctx), state.Source{}, 0))
		}
		return err
	}
	if err := store.SetSource(ctx, sourceOf(id), at); err != nil {
		return fmt.Errorf("storing where the slot begins: %w", err)
	}
	log.Info("created the slot", "slot", id.Slot, "publication", id.Publication, "at", at)
	return nil
}

func sourceOf(id cdc.Identity) state.Source {
	return state.Source{
		SystemID: id.SystemID, Timeline: id.Timeline, Database: id.Database,
		Slot: id.Slot, Publication: id.Publication, Generation: 1,
	}
}

// ours tells whether a slot so named may be one that the last start was making.
func ours(src state.Source, id cdc.Identity) bool {
	return src.Intent && src.SystemID == id.SystemID && src.Database == id.Database && src.Slot == id.Slot
}

// noSlot tells whether it is known that there is no slot, even while stopping.
func noSlot(ctx context.Context, cfg cdc.Config) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	there, err := cdc.Droppable(ctx, cfg)
	return err == nil && there.Slot == ""
}

// removeUnused removes a state that was made for a start which was refused, and
// is closed: without a source there is nothing in it.
func removeUnused(store *state.Store, path string) error {
	if src := store.Source(); src.Known() || src.Intent {
		return nil
	}
	return os.Remove(path)
}
