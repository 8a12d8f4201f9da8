package cdc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// slotRow is what pg_replication_slots says of our slot.
type slotRow struct {
	Exists      bool
	Plugin      string
	Type        string
	Database    string
	Ours        bool // a logical slot of pgoutput in this database: it may be ours
	ActivePID   int64
	Holder      string // application name of whoever holds it
	Restart     lsn.LSN
	Confirmed   lsn.LSN
	Status      string // wal_status: reserved, extended, unreserved, lost
	SafeBytes   int64  // safe_wal_size; -1: unlimited
	HeldBytes   int64  // WAL kept for it
	Invalidated string // invalidation_reason (17 and later)
}

func readSlot(ctx context.Context, s *session, name string) (slotRow, error) {
	reason := "NULL"
	if s.version >= 170000 {
		reason = "s.invalidation_reason"
	}
	r, err := s.query(ctx, `SELECT s.plugin, s.slot_type, s.database, s.active_pid, coalesce(a.application_name, ''),
		s.restart_lsn, s.confirmed_flush_lsn, coalesce(s.wal_status, ''), coalesce(s.safe_wal_size, -1),
		coalesce(`+currentLSN+` - s.restart_lsn, 0)::int8, `+reason+`,
		coalesce(s.slot_type = 'logical' AND s.plugin = 'pgoutput' AND s.database = current_database(), false)
		FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid
		WHERE s.slot_name = `+quoteLiteral(name))
	if err != nil {
		return slotRow{}, fmt.Errorf("reading replication slot %s: %w", name, err)
	}
	if len(r) == 0 {
		return slotRow{}, nil
	}
	return slotRow{Exists: true, Plugin: r.text(0, 0), Type: r.text(0, 1), Database: r.text(0, 2), ActivePID: r.int(0, 3),
		Holder: r.text(0, 4), Restart: r.lsn(0, 5), Confirmed: r.lsn(0, 6), Status: r.text(0, 7), SafeBytes: r.int(0, 8),
		HeldBytes: max(0, r.int(0, 9)), Invalidated: r.text(0, 10), Ours: r.bool(0, 11)}, nil
}

// foreign says that the slot cannot be ours; nil: it may be.
func (r slotRow) foreign(cfg Config) error {
	if !r.Exists || r.Ours {
		return nil
	}
	what := "a physical slot"
	if r.Type == "logical" {
		what = fmt.Sprintf("a logical slot with plugin %q in database %q", r.Plugin, r.Database)
	}
	return &UnfitError{"postgres.slot", fmt.Sprintf("replication slot %s is somebody else's: %s", cfg.Slot, what), "choose another name for postgres.slot"}
}

// currentLSN is how far the log goes; a standby knows only what it replayed.
const currentLSN = `CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END`

// busyError: another process holds the slot.
type busyError struct {
	slot   string
	pid    int64
	holder string
}

func (e *busyError) Error() string {
	who := ""
	if e.holder != "" {
		who = fmt.Sprintf(" (%s)", e.holder)
	}
	return fmt.Sprintf("replication slot %s is in use by process %d%s of the server: whoever reads it has to end first (a client that died holds it until wal_sender_timeout)", e.slot, e.pid, who)
}

// usable tells whether the slot can go on at a position.
func (r slotRow) usable(cfg Config, database string, at lsn.LSN) error {
	if err := r.lost(cfg, at); err != nil {
		return err
	}
	if r.Type != "logical" || r.Plugin != "pgoutput" || r.Database != database {
		return gap(at, r.Confirmed, "replication slot %s is another one: a %s slot with plugin %q in database %q", cfg.Slot, r.Type, r.Plugin, r.Database)
	}
	if r.Confirmed > at {
		return gap(at, r.Confirmed, "replication slot %s was moved on to %s, the state ends at %s", cfg.Slot, r.Confirmed, at)
	}
	if r.ActivePID != 0 {
		return &busyError{slot: cfg.Slot, pid: r.ActivePID, holder: r.Holder}
	}
	return nil
}

// lost tells whether the slot is gone or invalidated (T43).
func (r slotRow) lost(cfg Config, at lsn.LSN) error {
	switch {
	case !r.Exists:
		return slotGone(cfg, at)
	case r.Invalidated != "":
		return gap(at, 0, "postgres invalidated replication slot %s (%s)", cfg.Slot, invalidation(r.Invalidated))
	case r.Status == "lost":
		return gap(at, 0, "postgres removed WAL that replication slot %s still needed (max_slot_wal_keep_size)", cfg.Slot)
	case r.Restart == 0 && r.Type == "logical":
		return gap(at, 0, "replication slot %s holds no WAL any more", cfg.Slot)
	}
	return nil
}

// invalidation is a reason with the setting that decides it.
func invalidation(reason string) string {
	setting := map[string]string{"wal_removed": "max_slot_wal_keep_size", "idle_timeout": "idle_replication_slot_timeout",
		"wal_level_insufficient": "wal_level", "rows_removed": "hot_standby_feedback"}[reason]
	if setting == "" {
		return reason
	}
	return reason + ", by " + setting
}

// slotGone is the gap of a state whose slot is not there.
func slotGone(cfg Config, at lsn.LSN) *GapError {
	return gap(at, 0, "replication slot %s does not exist any more", cfg.Slot)
}

// room finds what keeps the server from holding one more slot that we can read.
func room(ctx context.Context, s *session) (lacks []*UnfitError, err error) {
	r, err := s.query(ctx, `SELECT current_setting('wal_level'), current_setting('max_replication_slots')::int8, (SELECT count(*) FROM pg_replication_slots)`)
	if err != nil {
		return nil, fmt.Errorf("looking for a free replication slot: %w", err)
	}
	if level := r.text(0, 0); level != "logical" && s.version < 190000 { // 19 raises it when it is needed
		lacks = append(lacks, &UnfitError{"wal_level", fmt.Sprintf("wal_level is %s, and must be logical", level),
			"ALTER SYSTEM SET wal_level = 'logical'; then restart Postgres (Amazon RDS: rds.logical_replication = 1)"})
	}
	if slots := r.int(0, 1); r.int(0, 2) >= slots {
		full, err := noRoom(ctx, s, slots)
		if err != nil {
			return nil, err
		}
		lacks = append(lacks, full)
	}
	return lacks, nil
}

// ready is what keeps the server from holding our slot, as one error.
func ready(ctx context.Context, s *session) error {
	lacks, err := room(ctx, s)
	all := []error{err}
	for _, l := range lacks {
		all = append(all, l)
	}
	return errors.Join(all...)
}

// idleShown is how many idle slots a message names.
const idleShown = 5

// noRoom names the slots that nobody reads: one of them may be in the way.
func noRoom(ctx context.Context, s *session, slots int64) (*UnfitError, error) {
	r, err := s.query(ctx, `SELECT slot_name, slot_type || coalesce(', database ' || database, ''), coalesce(`+currentLSN+` - restart_lsn, 0)::int8
		FROM pg_replication_slots WHERE active_pid IS NULL ORDER BY restart_lsn NULLS FIRST`)
	if err != nil {
		return nil, fmt.Errorf("looking for idle replication slots: %w", err)
	}
	idle := "every one is being read"
	var drop string
	if len(r) > 0 {
		var names []string
		for i := range r[:min(len(r), idleShown)] {
			names = append(names, fmt.Sprintf("%s (%s, holds %d bytes of WAL)", r.text(i, 0), r.text(i, 1), max(0, r.int(i, 2))))
		}
		if len(r) > idleShown {
			names = append(names, fmt.Sprintf("%d more", len(r)-idleShown))
		}
		idle = "nobody reads " + strings.Join(names, ", ")
		drop = "drop one that nobody needs: SELECT pg_drop_replication_slot('…'); or "
	}
	return &UnfitError{"max_replication_slots", fmt.Sprintf("all %d replication slots are taken (max_replication_slots); %s", slots, idle),
		fmt.Sprintf("%sALTER SYSTEM SET max_replication_slots = %d; then restart Postgres", drop, slots+2)}, nil
}

// ErrSlotExists: Setup found a slot of that name. A slot without the state that
// belongs to it is a gap; only the caller knows whether it was half-made by a
// start that was cut short, which DropSlot undoes.
var ErrSlotExists = errors.New("the replication slot exists already")

// createSlot makes the slot and returns its consistent point. Postgres waits
// until every transaction that is open then has ended (T23): those are named.
func createSlot(ctx context.Context, cfg Config) (Identity, lsn.LSN, error) {
	s, err := connect(ctx, cfg, replicating)
	if err != nil {
		return Identity{}, 0, err
	}
	defer s.close()
	id, _, err := identify(ctx, s, cfg)
	if err != nil {
		return id, 0, err
	}
	if slot, err := readSlot(ctx, s, cfg.Slot); err != nil {
		return id, 0, err
	} else if slot.Exists {
		return id, 0, fmt.Errorf("creating replication slot %s: %w", cfg.Slot, ErrSlotExists)
	}
	// It waits by locks on those transactions, and blocks nobody meanwhile.
	if _, err := s.query(ctx, "SET lock_timeout = 0"); err != nil {
		return id, 0, fmt.Errorf("creating replication slot %s: %w", cfg.Slot, err)
	}
	watching, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		watchSlotCreation(watching, cfg, s.PID())
	}()
	r, err := s.query(ctx, "CREATE_REPLICATION_SLOT "+quoteIdent(cfg.Slot)+" LOGICAL pgoutput NOEXPORT_SNAPSHOT")
	stop()
	<-done
	switch {
	case code(err) == codeDuplicate:
		return id, 0, fmt.Errorf("creating replication slot %s: %w", cfg.Slot, ErrSlotExists)
	case code(err) == codeLimit: // the last one went since we looked
		return id, 0, cmp.Or(ready(ctx, s), err)
	case err != nil:
		// Cut short, it may stand half-made and hold WAL for nobody.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		s.close()
		_, derr := DropSlot(clean, cfg)
		return id, 0, errors.Join(fmt.Errorf("creating replication slot %s: %w", cfg.Slot, err), derr)
	case len(r) != 1 || len(r[0]) < 2:
		return id, 0, fmt.Errorf("creating replication slot %s: no answer", cfg.Slot)
	}
	cfg.fail("slot-created")
	return id, r.lsn(0, 1), nil
}

// watchInterval is how often what is waited for is looked at again.
const watchInterval = time.Second

// watchSlotCreation tells whom the creation of the slot waits for.
func watchSlotCreation(ctx context.Context, cfg Config, pid uint32) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = ask(ctx, cfg, func(s *session) error { // a look that fails is made again
			all, err := readBlockers(ctx, s, true, pid)
			if text := blockerList(all); err == nil && text != "" && text != last && ctx.Err() == nil {
				last = text
				cfg.progress("creating the slot waits for open transactions to end: " + text)
			}
			return nil
		})
	}
}

// DropSlot drops the slot and says how many bytes of WAL it held; a slot that
// does not exist is dropped already.
func DropSlot(ctx context.Context, cfg Config) (held int64, err error) {
	cfg = cfg.withDefaults()
	err = ask(ctx, cfg, func(s *session) error {
		for try := 0; ; try++ {
			slot, err := readSlot(ctx, s, cfg.Slot)
			if err := cmp.Or(err, slot.foreign(cfg)); err != nil || !slot.Exists {
				return err
			}
			held = slot.HeldBytes
			_, err = s.query(ctx, "SELECT pg_drop_replication_slot("+quoteLiteral(cfg.Slot)+")")
			switch code(err) {
			case codeUndefinedObject:
				return nil
			case codeInUse:
				// A walsender whose client just left gives it free in a moment.
				if try < 25 && slot.Holder == cfg.ApplicationName && sleep(ctx, 200*time.Millisecond) == nil {
					continue
				}
				return &busyError{slot: cfg.Slot, pid: slot.ActivePID, holder: slot.Holder}
			}
			if err != nil {
				return fmt.Errorf("dropping replication slot %s: %w", cfg.Slot, err)
			}
			return nil
		}
	})
	return held, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
