package cdc

import (
	"slices"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Status is one look at a source.
type Status struct {
	SystemID string
	Timeline int32

	Connected bool      // streaming
	Since     time.Time // of being connected, or of not being it
	Sentinel  bool      // the connection that notices a shutdown stands
	LastError string    // why it was last not connected

	ServerLSN    lsn.LSN // where the server's log ended in its last message
	ReceivedLSN  lsn.LSN // the end of what was received
	HandedLSN    lsn.LSN // the end of what Next returned
	StoredLSN    lsn.LSN // what Stored was told
	ConfirmedLSN lsn.LSN // what was last acknowledged; before that the slot's own

	// CaughtUp: nothing lies between the server's last message and what is
	// stored, as far as the server told.
	CaughtUp   bool
	LagBytes   int64
	LagSeconds float64 // from commit to receipt, by the server's clock

	RetainedBytes int64 // WAL held for the slot: from where it was last seen to begin
	SafeBytes     int64 // WAL that may still be written before the slot is lost; -1: no limit
	SlotStatus    string
	Looked        time.Time // when the slot was last looked at

	Reading  int       // wants that are not answered
	Blockers []Blocker // what the first page of a backfill waits for
	Alarms   []Alarm

	lastCommit    time.Time // of the transaction last received
	lastCommitLSN lsn.LSN
	serverTime    time.Time // of the server's last message
	head          lsn.LSN   // where the log ended when the slot was looked at
	restart       lsn.LSN   // and from where WAL was held for it
}

// Alarm is something that somebody should look at.
type Alarm struct {
	Name   string
	Since  time.Time
	Detail string
}

// Names of alarms.
const (
	AlarmRetained    = "retained_wal"  // the slot holds much WAL
	AlarmSlot        = "slot_at_risk"  // the slot is about to be lost
	AlarmPublication = "publication"   // a mapped table is not published, or must not be as it is
	AlarmSource      = "not_streaming" // not connected for alarmAfter
	AlarmStalled     = "stalled"       // disconnected because nothing is stored
)

// alarmAfter is how long Postgres may be away, as it is while it restarts, without
// an alarm.
const alarmAfter = 10 * time.Second

// Status returns how the source is.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Alarms = slices.Clone(st.Alarms)
	st.Blockers = slices.Clone(st.Blockers)
	st.StoredLSN = lsn.LSN(s.stored.Load())
	st.Reading = s.pager.outstanding()
	end := max(st.ServerLSN, st.head)
	if end > st.StoredLSN {
		st.LagBytes = int64(end - st.StoredLSN)
	}
	if st.restart > 0 && end > st.restart {
		st.RetainedBytes = int64(end - st.restart)
	}
	// The stream says nothing while the server decodes a large transaction: where
	// the log ends is then known from looking alone. The header of a page that holds
	// nothing yet is no change.
	st.CaughtUp = st.Connected && st.StoredLSN >= st.ServerLSN && st.StoredLSN >= st.ReceivedLSN && st.StoredLSN+walLongHeader >= st.head
	st.ServerLSN = end
	// While all that was received is stored, log that holds nothing of ours is no
	// lag: the last commit may be hours old.
	stored := st.Connected && st.StoredLSN > st.lastCommitLSN && st.lastCommitLSN > 0
	if !st.CaughtUp && !stored && !st.lastCommit.IsZero() {
		now := st.serverTime
		if !st.Connected {
			now = time.Now()
		}
		st.LagSeconds = max(0, now.Sub(st.lastCommit).Seconds())
	}
	if !st.Connected && !st.Since.IsZero() && time.Since(st.Since) > alarmAfter {
		st.Alarms = append(st.Alarms, Alarm{AlarmSource, st.Since, st.LastError})
	}
	return st
}

func (s *Source) setStatus(set func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.status)
}

func (s *Source) connected() {
	s.setStatus(func(st *Status) {
		st.Timeline = s.id.Timeline
		st.Connected, st.Sentinel, st.Since = true, true, time.Now()
		st.clear(AlarmStalled)
	})
	s.cfg.Logger.Info("streaming from postgres", "slot", s.cfg.Slot, "from", s.handed.through)
}

func (s *Source) disconnected(err error) {
	s.setStatus(func(st *Status) {
		if st.Connected || st.Since.IsZero() {
			st.Since = time.Now()
		}
		st.Connected, st.Sentinel = false, false
		if err != nil {
			st.LastError = err.Error()
		}
		if err == errStalled {
			st.raise(AlarmStalled, err.Error())
		}
	})
}

func (st *Status) raise(name, detail string) {
	for i := range st.Alarms {
		if st.Alarms[i].Name == name {
			st.Alarms[i].Detail = detail
			return
		}
	}
	st.Alarms = append(st.Alarms, Alarm{name, time.Now(), detail})
}

func (st *Status) clear(name string) {
	st.Alarms = slices.DeleteFunc(st.Alarms, func(a Alarm) bool { return a.Name == name })
}
