package cdc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// pager answers wants: one goroutine reads pages by one ordinary connection,
// which is there only while there is something to read; the stream hands them
// on when it has passed them. It runs beside each connection of the stream and
// ends with it: nothing is read that nobody can hand on, no session of ours waits
// for a server that stops, and a page does not outlive the server that showed it.
type pager struct {
	s     *Source
	wakes chan struct{}

	mu    sync.Mutex
	wants []*wanted
	pages []*fence
	count int // wants without an answer
}

// wanted is a want in hand.
type wanted struct {
	Want
	// older are the transactions that must have ended; nil: not looked at yet.
	// Only for the first page of a backfill: such a transaction may have written
	// rows whose changes nobody kept, or that were not published yet.
	older   map[string]bool
	looked  time.Time
	blocked string // what was last logged
}

// Timing of the pager.
const (
	fenceInterval = 250 * time.Millisecond // how often open transactions are looked at
	flushInterval = 10 * time.Millisecond  // how often the flushed position is
	planTTL       = time.Second            // how long a table's description is believed
	// stepTimeout is how long a page may take, and twice as long after each that
	// took longer: a condition without an index may have to look at a whole table,
	// but a connection that hangs ends some time.
	stepTimeout = 30 * time.Minute
)

// pagesWaiting is how many bytes of pages may wait for the stream to pass them,
// as they all do inside a long transaction: past that none is read.
const pagesWaiting = 16 << 20

func (p *pager) init(s *Source) { p.s, p.wakes = s, make(chan struct{}, 1) }

func (p *pager) ask(w Want) {
	p.mu.Lock()
	p.wants = append(p.wants, &wanted{Want: w})
	p.count++
	p.mu.Unlock()
	select {
	case p.wakes <- struct{}{}:
	default:
	}
}

func (p *pager) outstanding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// passed returns a page that may be handed on, or nil.
func (p *pager) passed(reached lsn.LSN) *Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.pages {
		if f.position <= reached {
			f.batch.Read.Position = f.position
			return f.batch
		}
	}
	return nil
}

// waits tells whether a page waits for the stream.
func (p *pager) waits(reached lsn.LSN) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.pages {
		if f.position > reached {
			return true
		}
	}
	return false
}

// done says that a page was handed on.
func (p *pager) done(b *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.pages {
		if f.batch == b {
			p.pages = append(p.pages[:i], p.pages[i+1:]...)
			p.count--
			break
		}
	}
	select {
	case p.wakes <- struct{}{}: // there is room for another
	default:
	}
}

func (p *pager) add(f *fence) {
	p.mu.Lock()
	p.pages = append(p.pages, f)
	p.mu.Unlock()
	p.s.wake()
}

// again has what was read and not handed on read once more, beside the next
// connection. A crash takes back what synchronous_commit = off has shown, a
// promotion what the standby did not have: such rows are in no log, and no
// change would ever mend them.
func (p *pager) again() {
	p.mu.Lock()
	wants := make([]*wanted, 0, len(p.pages)+len(p.wants))
	for _, f := range p.pages {
		wants = append(wants, f.want)
	}
	p.wants, p.pages = append(wants, p.wants...), nil
	p.mu.Unlock()
	p.s.setStatus(func(st *Status) { st.Blockers = nil })
}

// run reads until ctx ends.
func (p *pager) run(ctx context.Context, cfg Config) {
	r := reader{p: p, cfg: cfg, plans: map[string]*plan{}}
	defer r.close()
	pause, within := p.s.cfg.RetryMin, stepTimeout
	for ctx.Err() == nil {
		step, cancel := context.WithTimeout(ctx, within)
		idle, err := r.step(step)
		if step.Err() != nil {
			within *= 2
		}
		cancel()
		if err == nil {
			pause, within = p.s.cfg.RetryMin, stepTimeout
			p.idle(ctx, idle, &r)
			continue
		}
		r.close()
		if ctx.Err() != nil {
			return
		}
		p.s.cfg.Logger.Warn("cannot read from the tables now", "error", err, "retry_in", pause)
		_ = sleep(ctx, pause)
		pause = min(2*pause, p.s.cfg.RetryMax)
	}
}

// idle waits for something to do: until woken, or for d.
func (p *pager) idle(ctx context.Context, d time.Duration, r *reader) {
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-p.wakes:
	case <-t.C:
		if d >= p.s.cfg.SessionIdle {
			r.close()
		}
	}
}

// next takes the first want that need not wait, or tells that one waits.
func (p *pager) next() (ready, waiting *wanted, unsettled *fence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := 0
	for _, f := range p.pages {
		size += f.batch.size
		if !f.settled {
			unsettled = f
		}
	}
	if size > pagesWaiting {
		return nil, nil, unsettled
	}
	for _, w := range p.wants {
		if w.After != nil || w.Keys != nil {
			ready = w
			break
		}
		if waiting == nil || w.looked.Before(waiting.looked) {
			waiting = w
		}
	}
	return ready, waiting, unsettled
}

func (p *pager) remove(w *wanted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.wants {
		if p.wants[i] == w {
			p.wants = append(p.wants[:i], p.wants[i+1:]...)
			return
		}
	}
}

// reader is the pager's connection and what is known by it.
type reader struct {
	p           *pager
	cfg         Config
	session     *session
	plans       map[string]*plan
	writerDelay time.Duration
}

func (r *reader) close() {
	if r.session != nil {
		r.session.close()
		r.session = nil
	}
}

func (r *reader) open(ctx context.Context) error {
	if r.session != nil {
		return nil
	}
	s, err := connect(ctx, r.cfg, ordinary)
	if err != nil {
		return err
	}
	q, err := s.query(ctx, "SELECT setting FROM pg_settings WHERE name = 'wal_writer_delay'")
	if err != nil {
		s.close()
		return err
	}
	r.session, r.writerDelay = s, time.Duration(q.int(0, 0))*time.Millisecond
	return nil
}

// step does one thing, and says how long there is nothing to do then.
func (r *reader) step(ctx context.Context) (time.Duration, error) {
	ready, waiting, unsettled := r.p.next()
	if ready == nil && waiting == nil && unsettled == nil {
		return r.p.s.cfg.SessionIdle, nil
	}
	if err := r.open(ctx); err != nil {
		return 0, err
	}
	switch {
	case ready != nil:
		return 0, r.read(ctx, ready)
	case unsettled != nil:
		return flushInterval, r.settle(ctx)
	}
	if d := fenceInterval - time.Since(waiting.looked); d > 0 {
		return d, nil
	}
	clear, err := r.look(ctx, waiting)
	if err != nil || !clear {
		return 0, err
	}
	return 0, r.read(ctx, waiting)
}

// look tells whether every transaction has ended that was open when the want
// was first looked at. That is no earlier than when it was asked.
func (r *reader) look(ctx context.Context, w *wanted) (bool, error) {
	w.looked = time.Now()
	all, err := readBlockers(ctx, r.session, false, r.session.PID())
	if err != nil {
		return false, err
	}
	if w.older == nil {
		w.older = make(map[string]bool, len(all))
		for _, b := range all {
			w.older[b.XID] = true
		}
	}
	all = slices.DeleteFunc(all, func(b Blocker) bool { return !w.older[b.XID] })
	r.p.s.setStatus(func(st *Status) { st.Blockers = all })
	if len(all) == 0 {
		return true, nil
	}
	if text := blockerKeys(all); text != w.blocked {
		w.blocked = text
		r.p.s.cfg.Logger.Info("the backfill waits for transactions that began before it", "table", w.Table, "transactions", blockerList(all))
	}
	return false, nil
}

// read answers a want with a page.
func (r *reader) read(ctx context.Context, w *wanted) error {
	b := &Batch{}
	old := r.plans[w.Table]
	f, err := r.page(ctx, w, b)
	if err != nil {
		known := old != nil && old == r.plans[w.Table]
		r.rollback(ctx)
		switch {
		case known && (lasting(err) || errors.Is(err, errChanged)):
			return nil // the next step looks at the table first
		case !lasting(err):
			return err
		}
		b = &Batch{Read: &Page{Err: err}}
		f = &fence{batch: b, settled: true}
	}
	b.Read.Want, f.want = &w.Want, w
	r.p.s.cfg.fail("page-read")
	r.p.remove(w)
	r.p.add(f)
	return nil
}

func (r *reader) page(ctx context.Context, w *wanted, b *Batch) (*fence, error) {
	old := r.plans[w.Table]
	if old == nil || time.Since(old.made) > planTTL {
		p, err := makePlan(ctx, r.session, r.p.s.cfg, w.Table)
		if err != nil {
			return nil, err
		}
		p.renew(old)
		r.plans[w.Table] = p
	}
	return readPage(ctx, r.session, r.plans[w.Table], &w.Want, b)
}

// rollback ends the transaction of a page that failed, if the connection still
// stands, and forgets how tables looked: the failure may come from that.
func (r *reader) rollback(ctx context.Context) {
	clear(r.plans)
	if r.session.IsClosed() {
		r.close()
	} else if _, err := r.session.query(ctx, "ROLLBACK"); err != nil {
		r.close()
	}
}

// lasting tells that reading again would fail again: the table, the rights or
// the condition have to change first.
func lasting(err error) bool {
	var t *TableError
	if errors.As(err, &t) {
		return true
	}
	c := code(err)
	if len(c) != 5 {
		return false
	}
	if c == codeReadOnly {
		return true
	}
	switch c[:2] {
	case "0A", "22", "23", "2B", "3F", "42", "P0": // not supported, data, access and syntax
		return true
	}
	return false
}

// settle looks how far the log is on disk.
func (r *reader) settle(ctx context.Context) error {
	asked := time.Now()
	q, err := r.session.query(ctx, "SELECT pg_current_wal_flush_lsn()")
	if err != nil {
		return err
	}
	r.p.mu.Lock()
	for _, f := range r.p.pages {
		f.settle(q.lsn(0, 0), r.writerDelay, asked)
	}
	r.p.mu.Unlock()
	r.p.s.wake()
	return nil
}
