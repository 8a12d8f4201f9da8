package cdc

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Identity is the identity of a source: a position means something only beside
// it. The caller stores it with the first position and gives it back to Run.
type Identity struct {
	SystemID    string // of the cluster, as IDENTIFY_SYSTEM gives it
	Timeline    int32
	Database    string
	Slot        string
	Publication string
}

// identify asks a walsender who it is, and how far its log is on disk.
func identify(ctx context.Context, s *session, cfg Config) (Identity, lsn.LSN, error) {
	sys, err := pglogrepl.IdentifySystem(ctx, s.PgConn)
	if err != nil {
		return Identity{}, 0, fmt.Errorf("asking postgres for its identity: %w", err)
	}
	id := Identity{SystemID: sys.SystemID, Timeline: sys.Timeline, Database: sys.DBName, Slot: cfg.Slot, Publication: cfg.Publication}
	if cfg.SystemID != "" && cfg.SystemID != id.SystemID {
		return id, 0, &SourceError{What: "system identifier", Want: cfg.SystemID, Have: id.SystemID,
			Advice: "postgres.system_id pins another cluster: correct postgres.url, or postgres.system_id if the data did move"}
	}
	return id, lsn.LSN(sys.XLogPos), nil
}

// verify finds whether what follows on a position can be read from here, and
// nothing else (law 4). It is asked before every START_REPLICATION, because
// that protects nobody: a position before the slot's is moved forward in
// silence (T4), one past the server's end is taken, and all before it skipped
// (T6). The answer carries the timeline to store.
func verify(ctx context.Context, s *session, cfg Config, expect Identity, from position) (Identity, error) {
	at := from.through
	id, end, err := identify(ctx, s, cfg)
	if err != nil {
		return id, err
	}
	for _, c := range []struct{ what, want, have string }{
		{"system identifier", expect.SystemID, id.SystemID},
		{"database", expect.Database, id.Database},
		{"slot", expect.Slot, id.Slot},
	} {
		if c.want != c.have {
			return id, &SourceError{What: c.what, Want: c.want, Have: c.have, Advice: otherSource}
		}
	}
	if err := verifyTimeline(ctx, s, expect.Timeline, id.Timeline, at); err != nil {
		return id, err
	}
	slot, err := readSlot(ctx, s, cfg.Slot)
	if err != nil {
		return id, err
	}
	if !slot.Exists {
		if standby, err := inRecovery(ctx, s); err != nil || standby {
			return id, cmp.Or(err, error(&standbyError{cfg.Slot}))
		}
	}
	if err := slot.usable(cfg, id.Database, at); err != nil {
		return id, err
	}
	reaches := at
	if from.open != nil {
		reaches = max(at, from.open.Commit) // of that transaction a part is stored
	}
	if reaches > end {
		return id, gap(reaches, end, "the state is ahead of the server, which was restored or replaced by an older copy")
	}
	return id, nil
}

// standbyError: a standby does not have the slot, which its primary may have.
type standbyError struct{ slot string }

func (e *standbyError) Error() string {
	return advised(fmt.Sprintf("this server is a standby without replication slot %s", e.slot), "to be led to the primary, name all servers in postgres.url, with target_session_attrs=read-write")
}

func inRecovery(ctx context.Context, s *session) (bool, error) {
	r, err := s.query(ctx, "SELECT pg_is_in_recovery()")
	if err != nil {
		return false, err
	}
	return r.bool(0, 0), nil
}

// verifyTimeline lets a new timeline pass if it left the old one at or after
// the position: until there both are one history (T45).
func verifyTimeline(ctx context.Context, s *session, was, is int32, at lsn.LSN) error {
	if was == is {
		return nil
	}
	if is < was {
		return gap(at, 0, "the server is on timeline %d, the state on the later timeline %d: this is an older copy", is, was)
	}
	h, err := pglogrepl.TimelineHistory(ctx, s.PgConn, is)
	if err != nil {
		return fmt.Errorf("reading the history of timeline %d: %w", is, err)
	}
	left, ok := switchPoint(string(h.Content), was)
	switch {
	case !ok:
		return gap(at, 0, "the server is on timeline %d, which does not come from the state's timeline %d", is, was)
	case at > left:
		return gap(at, left, "the server left timeline %d for timeline %d at %s, before what is stored: the rest of the old timeline never happened there", was, is, left)
	}
	return nil
}

// switchPoint finds in a timeline's history file where the given timeline was
// left: lines "timeline<tab>LSN<tab>reason".
func switchPoint(history string, timeline int32) (lsn.LSN, bool) {
	for line := range strings.Lines(history) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, err := strconv.ParseInt(f[0], 10, 32)
		if err != nil || int32(n) != timeline {
			continue
		}
		if l, err := lsn.Parse(f[1]); err == nil {
			return l, true
		}
	}
	return 0, false
}
