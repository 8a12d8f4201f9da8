package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pgcio/pgcio/internal/status"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/state"
)

// desk is where an operator's requests are answered: by the daemon through its
// control socket, or from the state file itself when no daemon runs.
type desk struct {
	snapshot func() status.Snapshot
	store    *state.Store
	mappings []string // the names of those in force
}

// listLimit is how many entries of a mapping a list shows at most. There may be a
// hundred thousand, and whoever lists so many wants another tool.
const listLimit = 10_000

// asideList is what a list shows.
type asideList struct {
	Entries []state.Aside `json:"entries"`
	Cut     bool          `json:"cut"` // of a mapping there may be more
}

// selection is which entries a retry or a drop is about.
type selection struct {
	IDs     []uint64 `json:"ids,omitempty"`
	Mapping string   `json:"mapping,omitempty"`
	All     bool     `json:"all,omitempty"`
}

// check refuses a selection that names nothing, or entries in two ways.
func (s selection) check() error {
	named := 0
	for _, given := range []bool{len(s.IDs) > 0, s.Mapping != "", s.All} {
		if given {
			named++
		}
	}
	switch {
	case named == 0:
		return usagef("name the entries, or --all, or --mapping")
	case named > 1:
		return usagef("entries, --all and --mapping exclude each other")
	}
	return nil
}

func (d *desk) list(orphaned bool) (asideList, error) {
	all, err := d.store.Asides("", orphaned, listLimit)
	if err == nil && len(all) == listLimit {
		// One mapping's entries stand behind another's: each has its share.
		all, err = d.shares(all, orphaned)
	}
	if err != nil {
		return asideList{}, fmt.Errorf("listing what is set aside: %w", err)
	}
	list := asideList{Entries: append([]state.Aside{}, all...)}
	count := map[string]int{}
	for i := range list.Entries {
		e := &list.Entries[i]
		nameRow(e)
		count[e.Mapping]++
		list.Cut = list.Cut || count[e.Mapping] == listLimit
	}
	return list, nil
}

// shares adds to a list what it lacks of the mappings in force.
func (d *desk) shares(list []state.Aside, orphaned bool) ([]state.Aside, error) {
	listed := make(map[uint64]bool, len(list))
	for _, e := range list {
		listed[e.ID] = true
	}
	for _, name := range d.mappings {
		share, err := d.store.Asides(name, orphaned, listLimit)
		if err != nil {
			return nil, err
		}
		for _, e := range share {
			if !listed[e.ID] {
				list = append(list, e)
			}
		}
	}
	slices.SortFunc(list, func(a, b state.Aside) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

func (d *desk) show(id uint64) (state.Aside, error) {
	e, err := d.store.Aside(id)
	if errors.Is(err, state.ErrNoEntry) {
		err = usageError{err}
	}
	nameRow(&e)
	return e, err
}

// nameRow names the row of an entry that asks nothing of any thing, by its key as
// Postgres writes it.
func nameRow(e *state.Aside) {
	if e.Thing != "" {
		return
	}
	key, err := mapping.DecodeKey(e.Row)
	if err != nil {
		e.Thing = "a row whose key is not known"
		return
	}
	for i, text := range key {
		if quoted := strconv.Quote(text); quoted != `"`+text+`"` || text == "" {
			key[i] = quoted // it would not show, or do something to a terminal
		}
	}
	e.Thing = "row " + strings.Join(key, ", ")
}

func (d *desk) retry(ctx context.Context, s selection) (int, error) {
	return d.each(ctx, s, d.store.Retry)
}

func (d *desk) drop(ctx context.Context, s selection) (int, error) {
	return d.each(ctx, s, d.store.Drop)
}

func (d *desk) each(ctx context.Context, s selection, do func(context.Context, string, []uint64) (int, error)) (int, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	if s.Mapping != "" && !slices.Contains(d.mappings, s.Mapping) {
		return 0, usagef("there is no mapping %q", s.Mapping)
	}
	n, err := do(ctx, s.Mapping, s.IDs)
	if errors.Is(err, state.ErrNoEntry) {
		err = usageError{err}
	}
	return n, err
}
