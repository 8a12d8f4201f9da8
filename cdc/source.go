package cdc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Resume is where the state ends: what Run goes on from.
type Resume struct {
	Identity Identity
	Stored   lsn.LSN // the Through of the last batch stored, or Setup's position
	Open     *Mark   // the Open of the last batch stored, if it had one
}

// position is how far something reaches: whole transactions, and perhaps a part
// of one more.
type position struct {
	through lsn.LSN
	open    *Mark
}

// Source follows one replication slot and reads rows of the tables beside it.
// Next, Release, Stored, Read and Status may be called while Run runs, by other
// goroutines.
type Source struct {
	cfg   Config
	out   chan *Batch // unbuffered: what is handed on is in the caller's hands
	free  chan *Batch
	ended chan struct{}
	err   error // why Run ended; read after ended

	stored  atomic.Uint64
	waiting atomic.Int64 // calls of Next that wait
	woken   atomic.Bool
	wakes   chan struct{}
	conn    atomic.Pointer[wire]

	// Of Run's goroutine: what the caller was given, whose it is, and how often in
	// turn a connection has ended in silence with nothing handed on.
	handed   position
	id       Identity
	silences int

	pager pager

	looks chan struct{} // to the monitor: look now
	tried atomic.Int64  // when it last did, Unix nanoseconds

	mu       sync.Mutex
	status   Status
	tables   map[string]*Table // as the monitor saw them
	tablesAt time.Time
}

// freeBatches are kept for reuse: one gathered, one stored, one between.
const freeBatches = 3

// New makes a source. It does nothing until Run.
func New(cfg Config) *Source {
	s := &Source{
		cfg:   cfg.withDefaults(),
		out:   make(chan *Batch),
		free:  make(chan *Batch, freeBatches),
		ended: make(chan struct{}),
		wakes: make(chan struct{}, 1),
		looks: make(chan struct{}, 1),
	}
	s.pager.init(s)
	return s
}

// Run follows the source until ctx ends, which gives ctx.Err(), or until going
// on would be wrong: *GapError, *SourceError. Anything else is tried again.
//
// When ctx ends, what Stored was told by then is acknowledged; so end ctx after
// the last Stored. A Source runs once.
func (s *Source) Run(ctx context.Context, resume Resume) error {
	s.id = resume.Identity
	s.handed = position{resume.Stored, resume.Open}
	s.stored.Store(uint64(resume.Stored))
	s.setStatus(func(st *Status) {
		st.HandedLSN = resume.Stored
		st.SystemID, st.Timeline = s.id.SystemID, s.id.Timeline
	})

	beside, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { s.monitor(beside) })
	defer context.AfterFunc(ctx, s.wake)()

	err := s.follow(ctx)
	stop()
	wait.Wait()
	s.err = err
	close(s.ended)
	return err
}

// follow connects, streams and reconnects.
func (s *Source) follow(ctx context.Context) error {
	wait := s.cfg.RetryMin
	for {
		began := time.Now()
		streamed, err := s.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var gapped *GapError
		var other *SourceError
		if errors.As(err, &gapped) || errors.As(err, &other) {
			s.disconnected(err)
			return err
		}
		if streamed && time.Since(began) > s.cfg.RetryMax {
			wait = s.cfg.RetryMin
		}
		s.disconnected(err)
		if errors.Is(err, errStalled) {
			s.cfg.Logger.Warn("disconnected from postgres, so as not to hold up its shutdown", "reason", err)
			if err := s.progress(ctx); err != nil {
				return err
			}
			continue
		}
		// Full jitter over the upper half: never at once, never in step.
		pause := wait/2 + rand.N(wait/2+1)
		s.cfg.Logger.Warn("not streaming from postgres", "error", err, "retry_in", pause.Round(time.Millisecond))
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		wait = min(2*wait, s.cfg.RetryMax)
	}
}

// progress waits until the caller stores or asks for something.
func (s *Source) progress(ctx context.Context) error {
	// A caller who waits for more while what it has is unstored has not got on.
	stored := s.stored.Load()
	for stored == s.stored.Load() && (s.waiting.Load() == 0 || uint64(s.handed.through) > stored) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wakes:
		}
	}
	return nil
}

// Next returns the next batch, in the order of the log. It belongs to the
// caller until Release. It ends with ctx, or with the reason Run ended for.
func (s *Source) Next(ctx context.Context) (*Batch, error) {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	s.wake()
	select {
	case b := <-s.out:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.ended:
		return nil, s.err
	}
}

// Release gives a batch back: nothing of it may be used any more.
func (s *Source) Release(b *Batch) {
	b.Changes = b.Changes[:0]
	b.Through, b.Open, b.Read, b.size = 0, nil, nil, 0
	b.arena.reset()
	select {
	case s.free <- b:
	default:
	}
}

func (s *Source) batch() *Batch {
	select {
	case b := <-s.free:
		return b
	default:
		return &Batch{}
	}
}

// Stored says that everything up to a batch's Through is durable. Only this is
// ever acknowledged (law 1).
func (s *Source) Stored(l lsn.LSN) {
	for {
		old := s.stored.Load()
		if uint64(l) <= old {
			return
		}
		if s.stored.CompareAndSwap(old, uint64(l)) {
			s.wake()
			return
		}
	}
}

// Read asks for rows of a table. The answer is a batch with Read set, once the
// stream has been handed on past where the rows were read.
func (s *Source) Read(w Want) { s.pager.ask(w) }

// wake makes the reading goroutine look around, whatever it waits for.
func (s *Source) wake() {
	s.woken.Store(true)
	if w := s.conn.Load(); w != nil {
		_ = w.conn.SetReadDeadline(time.Unix(1, 0))
	}
	select {
	case s.wakes <- struct{}{}:
	default:
	}
}

// setUpTimeout bounds what lies between connecting and streaming.
const setUpTimeout = time.Minute

// session is one connection: it connects, verifies, streams. It tells whether
// it came to streaming.
func (s *Source) session(ctx context.Context) (streamed bool, err error) {
	conn, err := connect(ctx, s.cfg, replicating)
	if err != nil {
		return false, err
	}
	defer conn.close()
	cfg := s.cfg
	cfg.at = conn.at
	// A server, or what stands before it, that takes connections and answers
	// nothing must not keep us waiting (T18).
	soon, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	watch, err := startSentinel(soon, cfg)
	if err != nil {
		return false, err
	}
	defer watch.stop()
	facts, err := s.prepare(soon, conn)
	if err != nil {
		return false, err
	}
	w, err := newWire(soon, conn)
	if err != nil {
		return false, err
	}
	defer w.close()
	if err := w.start(soon, s.cfg, s.handed.through); err != nil {
		return false, s.startError(err, facts)
	}
	cancel()
	s.conn.Store(w)
	defer s.conn.Store(nil)
	watch.guard(w, s.wake)
	s.connected()
	beside, stop := context.WithCancel(ctx)
	var paging sync.WaitGroup
	paging.Go(func() { s.pager.run(beside, cfg) })
	defer func() {
		w.close() // at once, whatever a page still takes
		stop()
		paging.Wait()
		s.pager.again()
	}()
	t := newStream(ctx, s, w, facts, cfg)
	t.gone = watch.gone
	before := s.handed
	err = t.run(ctx)
	if s.handed != before || !errors.Is(err, errSilent) {
		s.silences = 0
	} else {
		s.silences++
	}
	if gone := watch.gone(); gone != nil && ctx.Err() == nil {
		return true, gone
	}
	return true, err
}

// facts are what a session must know of its server.
type facts struct {
	xid            uint64 // the next transaction id, 64 bits wide
	statusInterval time.Duration
	standby        bool
	silence        time.Duration // after so much of it the connection counts as dead
}

// prepare verifies the source and reads what the stream needs.
func (s *Source) prepare(ctx context.Context, conn *session) (facts, error) {
	var f facts
	id, err := verify(ctx, conn, s.cfg, s.id, s.handed)
	if err != nil {
		return f, err
	}
	if s.id.Timeline != id.Timeline {
		s.cfg.Logger.Info("postgres is on a new timeline, which goes on from ours", "timeline", id.Timeline)
		if s.cfg.Moved != nil {
			if err := s.cfg.Moved(ctx, id); err != nil {
				return f, fmt.Errorf("storing the source's timeline: %w", err)
			}
		}
		s.id.Timeline = id.Timeline
	}
	r, err := conn.query(ctx, `SELECT pg_snapshot_xmax(pg_current_snapshot()),
		(SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'), pg_is_in_recovery()`)
	if err != nil {
		return f, err
	}
	f.xid, f.standby = uint64(r.int(0, 0)), r.bool(0, 2)
	f.statusInterval = s.cfg.StatusInterval
	if ms := r.int(0, 1); ms > 0 {
		f.statusInterval = min(f.statusInterval, time.Duration(ms)*time.Millisecond/3)
		// While it decodes what it does not send, a walsender reads nothing, and says
		// nothing, for half of its timeout.
		f.silence = time.Duration(ms) * time.Millisecond * 3 / 4
	}
	// One without a timeout may say nothing for as long as it likes. To connect anew
	// makes it begin again: so each time in vain it has twice as long.
	f.silence = max(f.silence, s.cfg.SilenceTimeout) << min(s.silences, 6)
	return f, nil
}

// startError classifies what START_REPLICATION answered.
func (s *Source) startError(err error, f facts) error {
	at := s.handed.through
	switch code(err) {
	case codeNotInState, codeUndefinedObject:
		if f.standby { // whose slots its primary keeps up to date, for when it is promoted
			return fmt.Errorf("%w (%w)", &standbyError{s.cfg.Slot}, err)
		}
	}
	switch code(err) {
	case codeUndefinedObject:
		return gap(at, 0, "replication slot %s cannot be read: %v", s.cfg.Slot, err)
	case codeNotInState:
		return gap(at, 0, "replication slot %s cannot be read: %v", s.cfg.Slot, err)
	}
	return err
}
