package cdc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgcio/pgcio/internal/lsn"
)

// stream reads one replication connection, and writes to it: one goroutine does
// both, so that nothing is acknowledged but what it knows.
type stream struct {
	s    *Source
	w    *wire
	d    *decoder
	gone func() error // why the sentinel ended: a full batch keeps us from reading it

	batch *Batch
	first time.Time // when the batch's first change came

	interval   time.Duration
	silence    time.Duration
	received   lsn.LSN // no more than this is acknowledged
	acked      lsn.LSN // what the last status said
	lastStatus time.Time
	lastHeard  time.Time
	lastIdle   time.Time // when a position without changes was last handed on
	progressed time.Time // when something was last stored or handed on, or nothing was pending
	storedThen lsn.LSN

	reply  bool    // the server asked for a status
	asked  lsn.LSN // and where it was then: answer again once that is stored
	nudged time.Time
	quiet  int // nudges without an answer that helps

	serverLSN  lsn.LSN
	serverTime time.Time
	timer      *time.Timer
}

// Limits of the loop.
const (
	// ackInterval: what is stored is acknowledged this often at most, unless the
	// server asks.
	ackInterval = time.Second
	// paceDelay: a walsender sends every message by itself, and being woken for each
	// costs both sides more than all else. Where changes are at hand, which wait
	// for BatchDelay anyway, a read that brought less than paceBytes is followed by
	// a pause in which more can come.
	paceDelay = 250 * time.Microsecond
	paceBytes = 8 << 10
	// farewellTimeout bounds the wait for the server to have read the last status.
	farewellTimeout = time.Second
)

// errStalled: nothing handed on was stored for StallTimeout.
var errStalled = errors.New("nothing was stored for too long")

var errSilent = errors.New("postgres has been silent for too long: the connection is taken for dead")

func newStream(ctx context.Context, s *Source, w *wire, f facts, cfg Config) *stream {
	now := time.Now()
	catalog := &typeCatalog{within: ctx, open: func(ctx context.Context) (*session, func(), error) {
		c, err := connect(ctx, cfg, ordinary)
		if err != nil {
			return nil, nil, err
		}
		return c, c.close, nil
	}}
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &stream{
		s: s, w: w, d: newDecoder(catalog, s.cfg.Tables, s.handed, f.xid), batch: s.batch(), interval: f.statusInterval, silence: max(f.silence, s.cfg.SilenceTimeout),
		gone: func() error { return nil }, received: s.handed.through, lastHeard: now, progressed: now, timer: t, storedThen: lsn.LSN(s.stored.Load()),
	}
}

func (t *stream) run(ctx context.Context) error {
	defer func() { t.s.Release(t.batch) }()
	var deadline time.Time // until then nothing is due
	now := time.Now()
	for {
		woken := t.s.woken.Swap(false)
		due, err := t.drain()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			t.farewell()
			return ctx.Err()
		}
		if err := t.gone(); err != nil {
			return err
		}
		full := t.full()
		// A walsender sends every message by itself, so this turns for each: what
		// time decides is looked at when something changed or has come due.
		if woken || due || full || !now.Before(deadline) {
			if deadline, err = t.duties(now); err != nil {
				return err
			}
		}
		if full {
			// While a full batch waits nothing is read: the kernel's buffers fill and
			// the server waits.
			if t.full() {
				t.wait(ctx, deadline)
				t.lastHeard = time.Now()
			}
			now = time.Now()
			continue
		}
		got, err := t.w.fill(deadline, t.s.woken.Load)
		if err != nil {
			return fmt.Errorf("reading the replication stream: %w", err)
		}
		now = time.Now()
		if got {
			t.lastHeard = now
			t.s.cfg.fail("after-receive")
			if n := len(t.batch.Changes); n > 0 && t.w.w-t.w.r < paceBytes {
				pause(paceDelay)
			}
		}
	}
}

// full: the batch has gathered enough.
func (t *stream) full() bool {
	return len(t.batch.Changes) >= t.s.cfg.BatchChanges || t.batch.size >= t.s.cfg.BatchBytes
}

// drain decodes what was read already, up to a full batch. It tells whether
// something may be due that was not before.
func (t *stream) drain() (due bool, err error) {
	changes, through := len(t.batch.Changes), t.batch.Through
	for !t.full() {
		kind, body, ok, err := t.w.next()
		if err != nil {
			return false, err
		}
		if !ok {
			break
		}
		switch kind {
		case 'd':
			err = t.copyData(body)
		case 'E':
			err = t.serverError(serverError(body))
		case 'N':
			err = t.notice(body)
		case 'S': // a setting changed
		case 'c', 'C', 'Z':
			err = errors.New("postgres ended the replication stream")
		default:
			err = fmt.Errorf("unknown message %q (0x%02x) in the replication stream", kind, kind)
		}
		if err != nil {
			return false, err
		}
	}
	// The first change sets a time; the end of a transaction may be what a batch
	// waits for whose time has come.
	first := changes == 0 && len(t.batch.Changes) > 0
	ended := through != t.batch.Through && !t.d.in
	return t.reply || first || ended && (len(t.batch.Changes) == 0 || t.lastHeard.Sub(t.first) >= t.s.cfg.BatchDelay), nil
}

func (t *stream) copyData(body []byte) error {
	switch {
	case len(body) >= 25 && body[0] == 'w':
		t.heard(lsn.LSN(binary.BigEndian.Uint64(body[9:])), int64(binary.BigEndian.Uint64(body[17:])))
		empty := len(t.batch.Changes) == 0
		if err := t.d.message(body[25:], t.batch); err != nil {
			return t.decodeError(err)
		}
		if empty && len(t.batch.Changes) > 0 {
			t.first = t.lastHeard
		}
		t.received = max(t.received, t.d.end)
		return nil
	case len(body) >= 18 && body[0] == 'k':
		end := lsn.LSN(binary.BigEndian.Uint64(body[1:]))
		t.heard(end, int64(binary.BigEndian.Uint64(body[9:])))
		return t.keepalive(end, body[17] != 0)
	case len(body) == 0:
		return errShort
	case body[0] == 'w' || body[0] == 'k':
		return fmt.Errorf("reading message %q of the replication stream: %w", body[0], errShort)
	}
	return fmt.Errorf("unknown message %q (0x%02x) in the replication stream", body[0], body[0])
}

func (t *stream) heard(end lsn.LSN, us int64) {
	t.serverLSN = max(t.serverLSN, end)
	t.serverTime = pgTime(us)
}

// keepalive moves on to where the server is, if nothing is between: inside a
// transaction it says nothing about what was received (T21).
func (t *stream) keepalive(end lsn.LSN, reply bool) error {
	if reply {
		t.reply, t.asked = true, max(t.asked, end)
	}
	if t.d.in {
		return nil
	}
	if t.d.open != nil {
		if end > t.d.open.Commit {
			return t.decodeError(&markError{stored: *t.d.open, commit: end})
		}
		return nil // what comes first must be the rest of that transaction
	}
	if end > t.d.end {
		t.d.end = end
		t.received = max(t.received, end)
		if end > t.s.handed.through {
			t.batch.Through = end
		}
	}
	return nil
}

// decodeError makes a gap of a stream that is not what follows on the state.
func (t *stream) decodeError(err error) error {
	var m *markError
	if errors.As(err, &m) {
		return gap(t.s.handed.through, 0, "%s", m.Error())
	}
	return err
}

// serverError classifies the end of the stream.
func (t *stream) serverError(err error) error {
	// pgoutput reads the publication as it was at the place in the log it has come
	// to: one that did not exist there cannot be read past, ever (T42).
	if code(err) == codeUndefinedObject {
		return gap(t.s.handed.through, 0, "publication %s did not exist at this place in the log (%v): it was dropped, or made after the slot", t.s.cfg.Publication, err)
	}
	return fmt.Errorf("postgres ended the replication stream: %w", err)
}

// notice: a newer Postgres warns of a missing publication, and then streams
// nothing of it (T42). The words may be of any language.
func (t *stream) notice(body []byte) error {
	var m pgproto3.NoticeResponse
	if err := m.Decode(body); err != nil {
		return fmt.Errorf("reading a notice of the server: %w", err)
	}
	if m.Code == codeNotInState || strings.Contains(m.Message, "publication") {
		return gap(t.s.handed.through, 0, "publication %s cannot be read at this place in the log (%s)", t.s.cfg.Publication, m.Message)
	}
	t.s.cfg.Logger.Info("notice from postgres", "severity", m.Severity, "message", m.Message)
	return nil
}

// duties does what time or other goroutines ask for, and says until when
// nothing more is due.
func (t *stream) duties(now time.Time) (time.Time, error) {
	deadline := now.Add(t.interval)
	until := func(at time.Time) {
		if at.Before(deadline) {
			deadline = at
		}
	}
	if due, at := t.due(now); due {
		if !t.hand() && t.s.waiting.Load() > 0 {
			until(now.Add(offerTime))
		}
	} else if !at.IsZero() {
		until(at)
	}
	if at := t.pages(now); !at.IsZero() {
		until(at)
	}
	if err := t.stall(now); err != nil {
		return deadline, err
	}
	if now.Sub(t.lastHeard) > t.silence {
		return deadline, errSilent
	}
	until(t.lastHeard.Add(t.silence))
	t.publish()
	at, err := t.acknowledge(now)
	until(at)
	return deadline, err
}

// stall ends the connection if the caller stores nothing: the server would wait
// for us in a shutdown (T22).
func (t *stream) stall(now time.Time) error {
	stored := lsn.LSN(t.s.stored.Load())
	pending := t.s.handed.through > stored || len(t.batch.Changes) > 0 || t.batch.Through > t.s.handed.through
	if stored != t.storedThen || !pending {
		t.storedThen, t.progressed = stored, now
	}
	if now.Sub(t.progressed) > t.s.cfg.StallTimeout {
		return errStalled
	}
	return nil
}

// acknowledge sends a status if one is due, and says when the next will be.
func (t *stream) acknowledge(now time.Time) (time.Time, error) {
	ack := min(lsn.LSN(t.s.stored.Load()), t.received)
	tick := t.lastStatus.Add(t.interval)
	news := ack > t.acked && (now.Sub(t.lastStatus) >= ackInterval || t.asked > t.acked && ack >= t.asked)
	if !t.reply && !news && now.Before(tick) {
		if ack > t.acked {
			return t.lastStatus.Add(ackInterval), nil
		}
		return tick, nil
	}
	t.s.cfg.fail("before-status")
	// Asking for an answer each time makes an idle server speak, so that silence
	// means a dead connection (T18).
	ask := !now.Before(tick) || t.nudged.Equal(now)
	if err := t.w.status(ack, now, ask); err != nil {
		return tick, fmt.Errorf("sending a status update: %w", err)
	}
	t.reply, t.acked, t.lastStatus = false, ack, now
	t.s.setStatus(func(st *Status) { st.ConfirmedLSN = max(st.ConfirmedLSN, ack) })
	t.s.cfg.fail("after-status")
	return now.Add(t.interval), nil
}

// publish puts the figures where Status finds them.
func (t *stream) publish() {
	t.s.setStatus(func(st *Status) {
		st.ServerLSN, st.ReceivedLSN, st.HandedLSN = t.serverLSN, t.received, t.s.handed.through
		st.serverTime = t.serverTime
		if !t.d.tx.Time.IsZero() {
			st.lastCommit, st.lastCommitLSN = t.d.tx.Time, t.d.tx.Commit
		}
	})
}

// farewell acknowledges what is stored and waits until the server has read it:
// a status sent just before the end may never be seen (T13).
func (t *stream) farewell() {
	ack := min(lsn.LSN(t.s.stored.Load()), t.received)
	now := time.Now()
	deadline := now.Add(farewellTimeout)
	t.s.cfg.fail("before-status")
	if t.w.status(ack, now, true) != nil {
		return
	}
	for {
		kind, body, ok, err := t.w.next()
		if err != nil {
			return
		}
		if ok {
			if kind == 'd' && len(body) > 0 && body[0] == 'k' {
				break
			}
			continue
		}
		if got, err := t.w.fill(deadline, func() bool { return false }); err != nil || !got {
			break
		}
	}
	t.w.goodbye()
}
