package cdc

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// monitor looks at the slot and the publication now and then, by an ordinary
// connection that it closes again.
func (s *Source) monitor(ctx context.Context) {
	tick := time.NewTicker(s.cfg.MonitorInterval)
	defer tick.Stop()
	for {
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Debug("cannot look at the slot now", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Source) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MonitorInterval)
	defer cancel()
	return ask(ctx, s.cfg, func(c *session) error {
		slot, err := readSlot(ctx, c, s.cfg.Slot)
		if err != nil {
			return err
		}
		r, err := c.query(ctx, "SELECT "+currentLSN)
		if err != nil {
			return err
		}
		tables, problems, err := describe(ctx, c, s.cfg, s.cfg.Tables)
		if err != nil {
			return err
		}
		var missing []string
		for _, p := range problems {
			missing = append(missing, p.Error())
		}
		for name, t := range tables {
			if !t.Published {
				missing = append(missing, fmt.Sprintf("table %s is not in publication %s: its changes are not sent", name, s.cfg.Publication))
			}
		}
		s.setStatus(func(st *Status) {
			st.Looked, st.head = time.Now(), r.lsn(0, 0)
			st.ConfirmedLSN, st.RetainedBytes, st.SafeBytes, st.SlotStatus = slot.Confirmed, slot.HeldBytes, slot.SafeBytes, slot.Status
			if st.alarm(AlarmPublication, len(missing) > 0, strings.Join(missing, "; ")) {
				s.cfg.Logger.Warn("a mapped table is not followed", "tables", missing)
			}
			if st.alarm(AlarmRetained, slot.HeldBytes > s.cfg.RetainedAlarm, fmt.Sprintf("the slot holds %d bytes of WAL", slot.HeldBytes)) {
				s.cfg.Logger.Warn("the slot holds much WAL", "bytes", slot.HeldBytes)
			}
			// Less than is held already: at this pace the slot is lost before long.
			risk := slot.Exists && (slot.Status == "unreserved" || slot.Status == "lost" || slot.SafeBytes >= 0 && slot.SafeBytes < slot.HeldBytes)
			if st.alarm(AlarmSlot, risk, fmt.Sprintf("the slot is lost after %d more bytes of WAL (max_slot_wal_keep_size)", max(0, slot.SafeBytes))) {
				s.cfg.Logger.Warn("the slot is about to be lost", "safe_bytes", slot.SafeBytes, "status", slot.Status)
			}
		})
		return nil
	})
}

// alarm raises or clears, and tells whether it was raised anew.
func (st *Status) alarm(name string, on bool, detail string) bool {
	if !on {
		st.clear(name)
		return false
	}
	n := len(st.Alarms)
	st.raise(name, detail)
	return len(st.Alarms) > n
}
