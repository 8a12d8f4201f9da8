package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/status"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

// view puts together what the parts say of themselves.
type view struct {
	cfg   *config
	store *state.Store

	mu      sync.Mutex
	sinks   []*sink.Sink
	stream  *cdc.Source // nil: not yet
	reads   *reads
	fit     *fitness
	problem string         // why there is no stream yet; "": there is one, or nothing is known
	missed  map[int]string // by mapping: what changes are missing

	looking sync.Mutex // one look at the alarms at a time
	alarms  alarms
}

func newView(cfg *config, store *state.Store, log *slog.Logger) *view {
	return &view{cfg: cfg, store: store, alarms: alarms{log: log}}
}

// add makes a workspace's sink seen.
func (v *view) add(s *sink.Sink) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sinks = append(v.sinks, s)
}

// waiting notes why there is no stream yet.
func (v *view) waiting(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.problem = err.Error()
}

// streaming makes the stream seen.
func (v *view) streaming(stream *cdc.Source, r *reads, f *fitness) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stream, v.reads, v.fit, v.problem = stream, r, f, ""
}

// asked is the status for somebody who asked: what Postgres has to be asked for
// is soon asked for anew.
func (v *view) asked() status.Snapshot {
	v.mu.Lock()
	stream := v.stream
	v.mu.Unlock()
	if stream != nil {
		stream.Refresh()
	}
	return v.snapshot()
}

// snapshot is the status now.
func (v *view) snapshot() status.Snapshot {
	v.looking.Lock()
	defer v.looking.Unlock()
	v.mu.Lock()
	sinks, stream, reads, fit, problem := slices.Clone(v.sinks), v.stream, v.reads, v.fit, v.problem
	v.mu.Unlock()

	out := status.Snapshot{Version: buildVersion(), State: status.Starting}
	out.Postgres.Slot = v.cfg.postgres.slot
	alarms := v.alarms.look()
	if problem != "" {
		alarms.raise(cdc.AlarmSource, "", problem)
	}
	// The source is looked at before the state, so that nothing seems confirmed
	// that is not stored.
	var source cdc.Status
	if stream != nil {
		source = stream.Status()
	}
	st, err := v.store.Status()
	if err != nil {
		alarms.raise("state", "", err.Error())
		out.Alarms = alarms.list // of the others nothing is known now
		return out
	}
	out.StateBytes = st.Size
	v.postgres(&out, source, problem, st, alarms)
	busy := v.workspaces(&out, st, sinks, alarms)
	if v.store.Full() {
		alarms.raise("outbox_full", "", "what waits to be sent has passed [state] max_size: nothing is read until it drains")
	}
	troubles := map[int]string{}
	if reads != nil {
		troubles = reads.Broken()
		maps.Copy(troubles, fit.troubles())
	}
	misses := v.misses(stream)
	for _, i := range slices.Sorted(maps.Keys(misses)) {
		name := v.cfg.mappings[i].Name
		alarms.raise("lost_changes", name, name+": "+misses[i])
	}
	backfilling := v.mappings(&out, st, troubles, alarms)
	if source.Connected {
		out.State = status.Streaming
		if backfilling {
			out.State = status.Backfilling
		}
	}
	out.Alarms = alarms.end()
	for _, m := range out.Mappings {
		busy = busy || m.Changes.Waiting > 0 || m.Changes.InFlight > 0
	}
	out.CaughtUp = source.CaughtUp && !backfilling && !busy && st.Rereads == 0
	return out
}

// postgres tells where the source stands. What was stored since it was looked at
// it had sent before.
func (v *view) postgres(out *status.Snapshot, s cdc.Status, problem string, st state.Status, alarms *look) {
	out.Postgres = status.Postgres{
		SystemID: cmp.Or(s.SystemID, st.Source.SystemID), Timeline: cmp.Or(s.Timeline, st.Source.Timeline), Slot: v.cfg.postgres.slot,
		Stored: st.Stored, Delivered: st.Delivered, Confirmed: s.ConfirmedLSN,
		LagSeconds: s.LagSeconds, RetainedWALBytes: s.RetainedBytes,
	}
	p := &out.Postgres
	if why := cmp.Or(problem, s.LastError); why != "" && !s.Connected {
		p.LastError = &why
	}
	if s.StoredLSN == 0 {
		return // there is no stream yet
	}
	p.Server, p.Received = max(s.ServerLSN, st.Stored), max(s.ReceivedLSN, st.Stored)
	p.LagBytes = max(0, s.LagBytes-int64(max(st.Stored, s.StoredLSN)-s.StoredLSN))
	if s.SafeBytes >= 0 && !s.Looked.IsZero() {
		p.SafeBytes = &s.SafeBytes
	}
	for _, a := range s.Alarms {
		alarms.add(status.Alarm{Name: a.Name, Since: a.Since, Detail: a.Detail})
	}
}

// workspaces tells as well whether anything waits to be sent or is on its way.
func (v *view) workspaces(out *status.Snapshot, st state.Status, sinks []*sink.Sink, alarms *look) (busy bool) {
	for i, w := range st.Workspaces {
		ws := status.Workspace{
			Name: w.Name, State: status.Waiting, Entries: w.Entries,
			TrackRequestsPerSecond: v.cfg.workspaces[i].trackRequestsPerSecond,
		}
		if i < len(sinks) {
			s := sinks[i].Status()
			ws.State = status.WorkspaceState(s.State)
			ws.TrackRequestsPerSecond = s.RequestsPerSecond
			ws.Rates = map[string]float64{"track": s.RequestsPerSecond}
			if s.LastError != "" {
				ws.LastError = &s.LastError
			}
			if ws.State == status.Blocked {
				alarms.raise("workspace_blocked", w.Name, w.Name+": "+s.LastError)
			}
		}
		busy = busy || w.Entries > 0
		out.Workspaces = append(out.Workspaces, ws)
	}
	return busy
}

// leftAlarm is how long the alarm stays after a value was last left out, and
// leftListed how many attributes it names.
const (
	leftAlarm  = 24 * time.Hour
	leftListed = 100
)

// left raises one alarm for all values that were left out of what was sent, those
// left out last named first.
func left(mappings []state.MappingStatus, alarms *look) {
	type one struct {
		mapping string
		state.Left
	}
	var all []one
	for _, m := range mappings {
		for _, l := range m.Left {
			if time.Since(l.Last) < leftAlarm {
				all = append(all, one{m.Name, l})
			}
		}
	}
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b one) int { return b.Last.Compare(a.Last) })
	var reasons []string
	names := map[string][]string{} // by reason
	for _, l := range all[:min(len(all), leftListed)] {
		if names[l.Reason] == nil {
			reasons = append(reasons, l.Reason)
		}
		names[l.Reason] = append(names[l.Reason], fmt.Sprintf("%s.%s (%s)", l.mapping, l.Name, plural(int(l.Times), "time", "times")))
	}
	var text []string
	for _, reason := range reasons {
		text = append(text, fmt.Sprintf("left out was %s, the last time because %s", strings.Join(names[reason], ", "), reason))
	}
	if more := len(all) - leftListed; more > 0 {
		text = append(text, plural(more, "more attribute", "more attributes"))
	}
	alarms.raiseKept("values_left_out", "", strings.Join(text, "; "), func() time.Time {
		return slices.MinFunc(all, func(a, b one) int { return a.First.Compare(b.First) }).First
	})
}

// mappings tells as well whether a backfill runs.
func (v *view) mappings(out *status.Snapshot, st state.Status, troubles map[int]string, alarms *look) (backfilling bool) {
	left(st.Mappings, alarms)
	for i, m := range st.Mappings {
		b := m.Books
		c := status.Changes{
			Received: int64(b.Received), Ignored: int64(b.Ignored), Filtered: int64(b.Filtered), Unchanged: int64(b.Unchanged),
			Waiting: int64(b.Waiting - m.InFlight), InFlight: int64(m.InFlight), Orphaned: int64(b.Orphaned),
			Held: int64(b.Held), Parked: int64(b.Parked), Discarded: int64(b.Discarded), Delivered: int64(b.Delivered),
		}
		row := status.Mapping{
			Name: m.Name, State: status.MappingLive, Changes: c, OperationsSent: int64(b.Sent),
			Backfill:      backfill(m.Backfill),
			Operations:    map[string]int64{v.action(i): int64(b.Sent)},
			ParkedEntries: m.Parked, OrphanedEntries: m.Orphaned,
		}
		switch {
		case troubles[i] != "":
			row.State, row.Trouble = status.MappingBroken, troubles[i]
			alarms.raise("mapping_broken", m.Name, m.Name+": "+troubles[i])
		case m.Paused:
			row.State = status.MappingPaused
		case m.Backfill.Running:
			row.State = status.MappingBackfilling
		}
		if c.Parked > 0 {
			alarms.raiseKept("parked", m.Name, fmt.Sprintf("%s of mapping %s: see `pgcio parked list`", plural(int(c.Parked), "change", "changes"), m.Name),
				func() time.Time { return v.parkedSince(m.Name) })
		}
		if m.Bounded {
			alarms.raise("parked_bounded", m.Name, fmt.Sprintf("%s of mapping %s: of those since, only key and reason are kept, and `pgcio parked retry` reads the rows again",
				plural(int(m.Parked+m.Orphaned), "entry", "entries"), m.Name))
		}
		backfilling = backfilling || m.Backfill.Running
		out.Mappings = append(out.Mappings, row)
	}
	return backfilling
}

// parkedSince is since when something of a mapping is parked; zero where that is
// not known.
func (v *view) parkedSince(mapping string) (since time.Time) {
	all, err := v.store.Asides(mapping, false, listLimit)
	if err != nil || len(all) == listLimit { // an older one may be among the rest
		return time.Time{}
	}
	for _, e := range all {
		if since.IsZero() || e.Since.Before(since) {
			since = e.Since
		}
	}
	return since
}

// backfill is how far a backfill is. The estimate may be too low, or there may be
// none.
func backfill(b state.Backfill) status.Backfill {
	out := status.Backfill{Rows: int64(b.Rows), Total: max(b.Total, int64(b.Rows))}
	if b.Running && b.Total <= 0 {
		out.Total = 0
	}
	return out
}

// action is what a mapping's operations do at Customer.io.
func (v *view) action(mapping int) string {
	return v.cfg.mappings[mapping].Kind().Action().String()
}
