package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/state"
)

// resume is where the state ends. A state that belongs to no source yet gets
// one: its slot is created, and where it begins is stored.
//
// The intent is stored before the slot is created, so that a crash between the
// two is told from a slot whose state was lost: the first is undone and made
// again, the second is a gap.
func resume(ctx context.Context, store *state.Store, cfg cdc.Config, log *slog.Logger) (cdc.Resume, error) {
	src := store.Source()
	if !src.Known() {
		var err error
		if src, err = firstStart(ctx, store, cfg, log); err != nil {
			return cdc.Resume{}, err
		}
	}
	stored, open := store.Stored()
	r := cdc.Resume{
		Identity: cdc.Identity{
			SystemID: src.SystemID, Timeline: src.Timeline, Database: src.Database,
			Slot: src.Slot, Publication: src.Publication,
		},
		Stored: stored,
	}
	if open != (state.Mark{}) {
		r.Open = &cdc.Mark{Commit: open.Commit, XID: open.XID, Rows: open.Rows}
	}
	return r, nil
}

func firstStart(ctx context.Context, store *state.Store, cfg cdc.Config, log *slog.Logger) (state.Source, error) {
	if store.Source().Intent {
		log.Info("the last start was cut short while it created the slot, which is made anew", "slot", cfg.Slot)
		if _, err := cdc.DropSlot(ctx, cfg); err != nil {
			return state.Source{}, err
		}
	} else {
		there, err := cdc.Droppable(ctx, cfg)
		if err != nil {
			return state.Source{}, err
		}
		if there.Slot != "" {
			return state.Source{}, &cdc.GapError{
				Reason: fmt.Sprintf("replication slot %s exists, and no state that belongs to it", cfg.Slot),
				Advice: "put the state file back; or, to start over from what the tables hold now: `pgcio teardown`, then `pgcio run`",
			}
		}
		if err := store.Intend(ctx); err != nil {
			return state.Source{}, fmt.Errorf("storing the intent to create a slot: %w", err)
		}
	}
	id, at, err := cdc.Setup(ctx, cfg)
	if errors.Is(err, cdc.ErrSlotExists) {
		// Somebody else made it since we looked: it is not ours to drop.
		return state.Source{}, errors.Join(err, store.SetSource(ctx, state.Source{}, 0))
	}
	if err != nil {
		return state.Source{}, err
	}
	src := state.Source{
		SystemID: id.SystemID, Timeline: id.Timeline, Database: id.Database,
		Slot: id.Slot, Publication: id.Publication, Generation: 1,
	}
	if err := store.SetSource(ctx, src, at); err != nil {
		return state.Source{}, fmt.Errorf("storing where the slot begins: %w", err)
	}
	log.Info("created the slot", "slot", id.Slot, "publication", id.Publication, "at", at)
	return src, nil
}
