package main

import (
	"cmp"
	"fmt"
	"slices"
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
	problem status.Alarm         // why there is no stream yet
	since   map[string]time.Time // of the alarms that are found here
}

func newView(cfg *config, store *state.Store) *view {
	return &view{cfg: cfg, store: store, since: map[string]time.Time{}}
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
	since := v.problem.Since
	if since.IsZero() {
		since = time.Now()
	}
	v.problem = status.Alarm{Name: cdc.AlarmSource, Since: since, Detail: err.Error()}
}

// streaming makes the stream seen.
func (v *view) streaming(stream *cdc.Source, r *reads) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stream, v.reads, v.problem = stream, r, status.Alarm{}
}

// snapshot is the status now.
func (v *view) snapshot() status.Snapshot {
	v.mu.Lock()
	sinks, stream, reads, problem := slices.Clone(v.sinks), v.stream, v.reads, v.problem
	v.mu.Unlock()

	out := status.Snapshot{Version: buildVersion(), State: status.Starting}
	out.Postgres.Slot = v.cfg.postgres.slot
	if problem.Name != "" {
		out.Alarms = append(out.Alarms, problem)
	}
	// The source is looked at before the state, so that nothing seems stored
	// that the server has not been heard to have.
	var source cdc.Status
	if stream != nil {
		source = stream.Status()
		v.postgres(&out, source)
	}
	st, err := v.store.Status()
	if err != nil {
		out.Alarms = append(out.Alarms, status.Alarm{Name: "state", Since: time.Now(), Detail: err.Error()})
		return out
	}
	out.StateBytes = st.Size
	out.Postgres.SystemID = cmp.Or(out.Postgres.SystemID, st.Source.SystemID)
	out.Postgres.Timeline = cmp.Or(out.Postgres.Timeline, st.Source.Timeline)
	out.Postgres.Stored, out.Postgres.Delivered = st.Stored, st.Delivered
	busy := v.workspaces(&out, st, sinks)
	if v.store.Full() {
		v.raise(&out, "outbox_full", "what waits to be sent has passed [state] max_size: nothing is read until it drains")
	}
	var troubles map[int]string
	if reads != nil {
		troubles = reads.Broken()
	}
	backfilling := v.mappings(&out, st, troubles)
	if source.Connected {
		out.State = status.Streaming
		if backfilling {
			out.State = status.Backfilling
		}
	}
	v.forget(&out)
	for _, m := range out.Mappings {
		busy = busy || m.Changes.Waiting > 0 || m.Changes.InFlight > 0
	}
	out.CaughtUp = source.CaughtUp && !backfilling && !busy && st.Rereads == 0
	return out
}

func (v *view) postgres(out *status.Snapshot, s cdc.Status) {
	p := &out.Postgres
	p.SystemID, p.Timeline = s.SystemID, s.Timeline
	p.Server, p.Received, p.Confirmed = s.ServerLSN, s.ReceivedLSN, s.ConfirmedLSN
	p.LagBytes, p.LagSeconds, p.RetainedWALBytes = s.LagBytes, s.LagSeconds, s.RetainedBytes
	if s.SafeBytes >= 0 && !s.Looked.IsZero() {
		p.SafeBytes = &s.SafeBytes
	}
	for _, a := range s.Alarms {
		out.Alarms = append(out.Alarms, status.Alarm{Name: a.Name, Since: a.Since, Detail: a.Detail})
	}
}

// workspaces tells as well whether anything waits to be sent or is on its way.
func (v *view) workspaces(out *status.Snapshot, st state.Status, sinks []*sink.Sink) (busy bool) {
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
				out.Alarms = append(out.Alarms, status.Alarm{Name: "workspace_blocked", Since: s.Since, Detail: w.Name + ": " + s.LastError})
			}
		}
		busy = busy || w.Entries > 0
		out.Workspaces = append(out.Workspaces, ws)
	}
	return busy
}

// leftAlarm is how long the alarm stays after a value was last left out.
const leftAlarm = 24 * time.Hour

// left tells which values were left out of what was sent, and why.
func (v *view) left(out *status.Snapshot, m state.MappingStatus) {
	for _, l := range m.Left {
		if time.Since(l.Last) < leftAlarm {
			v.raise(out, "values_left_out", fmt.Sprintf("%s: %s was left out %d times, the last time because %s", m.Name, l.Name, l.Times, l.Reason))
		}
	}
}

// mappings tells as well whether a backfill runs.
func (v *view) mappings(out *status.Snapshot, st state.Status, troubles map[int]string) (backfilling bool) {
	for i, m := range st.Mappings {
		b := m.Books
		c := status.Changes{
			Received: int64(b.Received), Ignored: int64(b.Ignored), Filtered: int64(b.Filtered), Unchanged: int64(b.Unchanged),
			Waiting: int64(b.Waiting - m.InFlight), InFlight: int64(m.InFlight), Orphaned: int64(b.Orphaned),
			Held: int64(b.Held), Parked: int64(b.Parked), Discarded: int64(b.Discarded), Delivered: int64(b.Delivered),
		}
		row := status.Mapping{
			Name: m.Name, State: status.MappingLive, Changes: c, OperationsSent: int64(b.Sent),
			Backfill:      status.Backfill{Rows: int64(m.Backfill.Rows), Total: max(m.Backfill.Total, int64(m.Backfill.Rows))},
			Operations:    map[string]int64{v.action(i): int64(b.Sent)},
			ParkedEntries: m.Parked, OrphanedEntries: m.Orphaned,
		}
		v.left(out, m)
		switch {
		case troubles[i] != "":
			row.State = status.MappingBroken
			v.raise(out, "mapping_broken", m.Name+": "+troubles[i])
		case m.Paused:
			row.State = status.MappingPaused
		case m.Backfill.Running:
			row.State = status.MappingBackfilling
		}
		if c.Parked > 0 {
			v.raise(out, "parked", fmt.Sprintf("%s of mapping %s: see `pgcio parked list`", plural(int(c.Parked), "change", "changes"), m.Name))
		}
		backfilling = backfilling || m.Backfill.Running
		out.Mappings = append(out.Mappings, row)
	}
	return backfilling
}

// raise adds an alarm, with the time since when it has been there.
func (v *view) raise(out *status.Snapshot, name, detail string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.since[name].IsZero() {
		v.since[name] = time.Now()
	}
	out.Alarms = append(out.Alarms, status.Alarm{Name: name, Since: v.since[name], Detail: detail})
}

// forget forgets the alarms that are over.
func (v *view) forget(out *status.Snapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.since {
		if !slices.ContainsFunc(out.Alarms, func(a status.Alarm) bool { return a.Name == name }) {
			delete(v.since, name)
		}
	}
}

// action is what a mapping's operations do at Customer.io.
func (v *view) action(mapping int) string {
	if v.cfg.mappings[mapping].Object == "event" {
		return "event"
	}
	return "identify"
}
