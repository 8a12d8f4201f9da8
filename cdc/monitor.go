package cdc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// monitor looks at the slot and the publication now and then, by an ordinary
// connection that it closes again.
func (s *Source) monitor(ctx context.Context) {
	tick := time.NewTicker(s.cfg.MonitorInterval)
	defer tick.Stop()
	told := false
	for {
		err := s.look(ctx)
		if ctx.Err() != nil {
			return
		}
		// While the stream stands nobody else tells that the figures are old, and that
		// no alarm would be raised.
		if err != nil && !told && s.Status().Connected {
			s.cfg.Logger.Warn("cannot look at the slot and the publication", "error", err, "again_in", s.cfg.MonitorInterval)
			told = true
		}
		told = told && err != nil
		s.tried.Store(time.Now().UnixNano())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.looks:
		}
	}
}

// refreshInterval is how old what the monitor saw may be while somebody asks.
const refreshInterval = 2 * time.Second

// Refresh says that somebody looks at the Status: what of it takes a question to
// Postgres is asked for anew, unless that was done a moment ago.
func (s *Source) Refresh() {
	if time.Since(time.Unix(0, s.tried.Load())) < refreshInterval {
		return
	}
	select {
	case s.looks <- struct{}{}:
	default:
	}
}

// Tables describes the mapped tables as the monitor last saw them, and tells
// when it began to look; a table that is not there was not found. The zero time:
// it has not looked yet.
func (s *Source) Tables() (map[string]*Table, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tables, s.tablesAt
}

func (s *Source) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MonitorInterval)
	defer cancel()
	began := time.Now()
	return ask(ctx, s.cfg, func(c *session) error {
		slot, err := readSlot(ctx, c, s.cfg.Slot)
		if err != nil {
			return err
		}
		// What is not flushed no walsender reads.
		r, err := c.query(ctx, "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END")
		if err != nil {
			return err
		}
		pub, err := readPublication(ctx, c, s.cfg.Publication)
		if err != nil {
			return err
		}
		tables, problems, err := describe(ctx, c, s.cfg, s.cfg.Tables)
		if err != nil {
			return err
		}
		var missing []string
		if lacks := pub.lacks(); pub.Exists && len(lacks) > 0 && (!s.cfg.InsertsOnly || !pub.Insert) {
			missing = append(missing, advised(fmt.Sprintf("publication %s does not publish %s: such changes are never seen", s.cfg.Publication, strings.Join(lacks, ", ")), s.cfg.publishAll()))
		}
		for _, p := range problems {
			missing = append(missing, p.Error())
		}
		for name, t := range tables {
			switch writes := pub.Update || pub.Delete; {
			case !t.Published:
				missing = append(missing, fmt.Sprintf("table %s is not in publication %s: its changes are not sent", name, s.cfg.Publication))
			case writes && !t.identified():
				problem, fix := t.unidentified(true)
				missing = append(missing, fmt.Sprintf("table %s: %s", name, advised(problem, fix)))
			}
		}
		slices.Sort(missing)
		s.setStatus(func(st *Status) {
			s.tables, s.tablesAt = tables, began
			st.Looked, st.head, st.restart = time.Now(), r.lsn(0, 0), slot.Restart
			st.RetainedBytes, st.SafeBytes, st.SlotStatus = slot.HeldBytes, slot.SafeBytes, slot.Status
			st.ConfirmedLSN = max(st.ConfirmedLSN, slot.Confirmed)
			st.alarm(AlarmPublication, len(missing) > 0, strings.Join(missing, "; "))
			st.alarm(AlarmRetained, slot.HeldBytes > s.cfg.RetainedAlarm, fmt.Sprintf("the slot holds %d bytes of WAL", slot.HeldBytes))
			// Less than is held already: at this pace the slot is lost before long.
			risk := slot.Exists && (slot.Status == "unreserved" || slot.Status == "lost" || slot.SafeBytes >= 0 && slot.SafeBytes < slot.HeldBytes)
			detail := fmt.Sprintf("the slot is lost after %d more bytes of WAL (max_slot_wal_keep_size)", max(0, slot.SafeBytes))
			if slot.Status == "lost" {
				detail = "the slot is lost: it needed more WAL than max_slot_wal_keep_size lets it hold"
			}
			st.alarm(AlarmSlot, risk, detail)
		})
		return nil
	})
}

// alarm raises or clears.
func (st *Status) alarm(name string, on bool, detail string) {
	if on {
		st.raise(name, detail)
	} else {
		st.clear(name)
	}
}
