package state

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Options say which state is opened and for which mappings.
type Options struct {
	Path     string  // the state file
	Memory   *Memory // instead of a file, for tests
	ReadOnly bool    // for commands when no daemon runs

	Workspaces []string // names, in the order that Mapping.Workspace counts
	Mappings   []Mapping

	// JournalSize is the bytes of writes kept in memory before they go into their
	// places in the file. 0: 16 MB.
	JournalSize int

	MaxSize int64 // bytes waiting and in flight past which Full reports true; 0: no bound
	Logger  *slog.Logger
	// Fail is called at named points of a commit, for tests that kill the
	// process between two steps. nil: nothing is called.
	Fail func(point string)
}

// Store is the open state. Its methods may be called by several goroutines.
type Store struct {
	opts   Options
	engine *journal

	// writer holds a token while a transaction runs, commits one while a commit
	// goes on: one of each at a time. Who waits behind a slow disk still sees its
	// context end.
	writer  chan struct{}
	commits chan struct{}
	head    head          // what the newest transaction has left, durable or not; writer guards it
	placing chan struct{} // holds a token when the journal is to be placed
	scratch *scratch      // memory of the transaction in hand; writer guards it
	spare   *scratch      // of the one that is being committed; commits guards it
	// quick guards what a transaction and Draw both change as they go. A view is
	// never opened under it, as it is under mu: a transaction, which has a view
	// open that others may have to wait for, takes this one alone.
	quick   sync.Mutex
	touched map[string]struct{} // records that the transaction in hand has read to change
	leaving map[string]struct{} // those of the one that is being committed
	flying  map[uint64]*Item    // steps drawn and not settled, by seq

	// mu guards everything below, which a commit publishes as a whole.
	mu        sync.Mutex
	registry  registry
	position  position
	source    Source
	seq       uint64           // the last given out
	opened    uint64           // seq when the store was opened
	lanes     map[uint8]*lanes // by workspace number
	backfill  map[uint16]*backfill
	tally     tally
	delivered delivered
	closed    bool
	broken    error         // why a commit failed
	woken     chan struct{} // closed and replaced when something may be done
}

// head is what the next transaction goes on from.
type head struct {
	position position
	seq      uint64
	tally    tally
}

// position is how far the WAL is stored.
type position struct {
	stored lsn.LSN
	open   Mark
}

// Mark is how far into a transaction the state reaches: its commit LSN and
// xid, and how many of its row messages are stored. The zero Mark: not at all.
type Mark struct {
	Commit lsn.LSN
	XID    uint64
	Rows   uint64
}

// formatVersion is the version of the keys' layout; records carry their own.
const formatVersion = 1

// Open opens the state, creates it when there is none, and enters the mappings
// in force. ErrLocked says that another process has it.
func Open(_ context.Context, opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		opts:     opts,
		writer:   make(chan struct{}, 1),
		commits:  make(chan struct{}, 1),
		placing:  make(chan struct{}, 1),
		touched:  map[string]struct{}{},
		leaving:  map[string]struct{}{},
		flying:   map[uint64]*Item{},
		lanes:    map[uint8]*lanes{},
		backfill: map[uint16]*backfill{},
		woken:    make(chan struct{}),
		scratch:  newScratch(),
		spare:    newScratch(),

		delivered: delivered{coming: nothing},
	}
	var e engine = opts.Memory
	if opts.Memory == nil {
		file, err := openBolt(opts.Path, opts.ReadOnly)
		if err != nil {
			return nil, err
		}
		e = file
	}
	var err error
	if s.engine, err = openJournal(e, cmp.Or(opts.JournalSize, journalLimit), s.fail); err != nil {
		return nil, errors.Join(err, e.close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.engine.close())
	}
	return s, nil
}

func (s *Store) load() error {
	err := s.engine.view(func(r reader) error {
		if err := s.loadFormat(r); err != nil {
			return err
		}
		if err := s.registry.load(r, &s.opts); err != nil {
			return err
		}
		if err := s.loadBackfills(r); err != nil {
			return err
		}
		if err := s.tally.load(r); err != nil {
			return err
		}
		s.tally.grow(&s.registry)
		return nil
	})
	if err != nil || s.opts.ReadOnly {
		return err
	}
	s.head = head{s.position, s.seq, s.tally}
	// The registry's numbers are stored before anything uses them.
	return s.Update(context.Background(), func(tx *Tx) error {
		tx.put(formatRecord())
		tx.put(appendWorkspaces(s.registry.workspaces))
		for _, m := range s.registry.mappings {
			tx.book(m)
		}
		return tx.startBackfills()
	})
}

func formatRecord() (key, value []byte) {
	key = metaKey("format")
	return key, seal(binary.AppendUvarint([]byte{recordVersion}, formatVersion), 0, string(key))
}

func (s *Store) loadFormat(r reader) error {
	if v := r.get(metaKey("format")); v != nil {
		d := open(string(metaKey("format")), v)
		if found := d.uint(); d.err == nil && found != formatVersion {
			return fmt.Errorf("the state file has format %d, this pgcio reads %d: run the version that wrote it", found, formatVersion)
		}
		if d.err != nil {
			return d.err
		}
	}
	if v := r.get(metaKey("position")); v != nil {
		d := open(string(metaKey("position")), v)
		s.position.stored = lsn.LSN(d.uint())
		s.position.open = Mark{lsn.LSN(d.uint()), d.uint(), d.uint()}
		s.seq = d.uint()
		s.opened = s.seq
		if d.err != nil {
			return d.err
		}
	}
	if v := r.get(metaKey("source")); v != nil {
		d := open(string(metaKey("source")), v)
		s.source.decode(&d)
		return d.err
	}
	return nil
}

func appendPosition(p position, seq uint64) (key, value []byte) {
	key = metaKey("position")
	v := []byte{recordVersion}
	v = binary.AppendUvarint(v, uint64(p.stored))
	v = binary.AppendUvarint(v, uint64(p.open.Commit))
	v = binary.AppendUvarint(v, p.open.XID)
	v = binary.AppendUvarint(v, p.open.Rows)
	v = binary.AppendUvarint(v, seq)
	return key, seal(v, 0, string(key))
}

// restWithin is how long Close goes on putting what the journal keeps into its
// place. The next start reads what is left.
const restWithin = 2 * time.Second

// Close ends the store; the state file is whole at any time, and smaller and
// quicker to open after this.
func (s *Store) Close() error {
	s.writer <- struct{}{}
	defer func() { <-s.writer }()
	s.commits <- struct{}{}
	defer func() { <-s.commits }()
	if s.closed {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	s.wake()
	s.mu.Unlock()
	var err error
	until := time.Now().Add(restWithin)
	for more := !s.opts.ReadOnly && s.broken == nil; more && err == nil && time.Now().Before(until); {
		more, err = s.engine.rest()
	}
	return errors.Join(err, s.engine.close())
}

// wake tells everyone who waits on Woken to look again. mu is held.
func (s *Store) wake() {
	close(s.woken)
	s.woken = make(chan struct{})
}

// Woken returns a channel that is closed when something has changed since:
// steps were queued or settled, the position moved, the store was closed.
func (s *Store) Woken() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.woken
}

// Stored is the durable position: the end of the last transaction whose
// effects are all in the state.
func (s *Store) Stored() (lsn.LSN, Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position.stored, s.position.open
}

func (s *Store) fail(point string) {
	if s.opts.Fail != nil {
		s.opts.Fail(point)
	}
}

// now is the state's clock: Unix time, as stored.
func now() time.Time { return time.Now() }
