package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/state"
)

// A table that left the publication, or was dropped and made anew, is published
// again at the next start, and no change of the time between ever comes (T40,
// T42); nor does one of a mapping that was not in the file. So the state keeps which table each mapping was streamed of, and what
// the catalog has now is compared with that.

// whyMissed says why changes of a table were missed since it was last streamed
// ("": none were). A mapping that is given another table begins with that.
func whyMissed(was state.Table, now *cdc.Table) string {
	switch {
	case was == state.Table{} || now == nil:
		return ""
	case was.OID != now.OID && was.Name == now.String():
		return fmt.Sprintf("table %s was dropped and made anew", now)
	case was.OID != now.OID:
		return ""
	case was.Away:
		return "pgcio ran without this mapping for a time"
	case !now.Published:
		return fmt.Sprintf("table %s was taken out of the publication", now)
	case was.Member != now.Member:
		return fmt.Sprintf("table %s was taken out of the publication and put back, or that was altered", now)
	}
	return ""
}

// missed finds the mappings whose tables were not streamed for a time, before
// anything is published again. What backfills is read again; of the others
// nobody can tell what was lost, but everybody is told that it was.
func missed(ctx context.Context, store *state.Store, mappings []mapping.Mapping, tables map[string]*cdc.Table, view *view, log *slog.Logger) error {
	for i, was := range store.Tables() {
		m := mappings[i]
		why := whyMissed(was, tables[m.Table])
		if why == "" {
			continue
		}
		again, err := store.Missed(ctx, i)
		if err != nil {
			return err
		}
		if again {
			log.Warn("changes of a table were missed: it is read again", "mapping", m.Name, "table", m.Table, "reason", why)
			continue
		}
		fix := catchUp(m.Object, false)
		view.missing(i, fmt.Sprintf("%s: changes in between were not sent; %s", why, fix))
		log.Warn("changes of a table were missed, and are not sent", "mapping", m.Name, "table", m.Table, "reason", why, "fix", fix)
	}
	return nil
}

// catchUp says what sends after all what a mapping has missed.
func catchUp(object string, backfill bool) string {
	switch {
	case backfill:
		return "restart pgcio, and the table is read again"
	case object == "event":
		return "to send the events of its rows, give the mapping a timestamp and backfill = true (backfill_where says which rows) and restart"
	}
	return "to read the table, give the mapping backfill = true and restart"
}

// streamed stores the tables that are streamed from now on.
func streamed(ctx context.Context, store *state.Store, mappings []mapping.Mapping, tables map[string]*cdc.Table) error {
	now := make([]state.Table, len(mappings))
	for i, m := range mappings {
		if t := tables[m.Table]; t != nil {
			now[i] = state.Table{Name: t.String(), OID: t.OID, Member: t.Member}
		}
	}
	return store.Streamed(ctx, now)
}

// missing notes for the alarm that a mapping has missed changes: it stays until
// the daemon ends.
func (v *view) missing(mapping int, detail string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.missed == nil {
		v.missed = map[int]string{}
	}
	v.missed[mapping] = detail
}

// misses says, by mapping, what changes are missing: those found at the start,
// and those of tables that have left the stream since.
func (v *view) misses(stream *cdc.Source) map[int]string {
	if stream != nil {
		tables, _ := stream.Tables()
		for i, was := range v.store.Tables() {
			m := &v.cfg.mappings[i]
			if why := whyMissed(was, tables[m.FullTable()]); why != "" {
				v.missing(i, fmt.Sprintf("%s: changes since then were not sent; %s", why, catchUp(m.Object, m.Backfill)))
			}
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.missed)
}
