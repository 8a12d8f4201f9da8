package cdc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgcio/pgcio/internal/lsn"
)

// wire is the copy-both stream of a replication connection: messages in, status
// updates out. One goroutine uses it, but anyone may wake its read.
//
// pgconn would do, but costs a context, a deadline and an allocation a message.
type wire struct {
	conn net.Conn
	buf  []byte
	r, w int
	out  [5 + 34]byte
}

// wireBuffer is what is read at once: large enough that system calls do not
// count, small enough to stay in the cache.
const wireBuffer = 128 << 10

// writeTimeout bounds sending a status update: 39 bytes that the kernel takes
// at once unless the connection is dead.
const writeTimeout = 10 * time.Second

// newWire takes over an idle connection.
func newWire(ctx context.Context, s *session) (*wire, error) {
	if err := s.SyncConn(ctx); err != nil {
		return nil, err
	}
	h, err := s.Hijack()
	if err != nil {
		return nil, err
	}
	// A context that ended just now may have left a deadline behind.
	_ = h.Conn.SetDeadline(time.Time{})
	return &wire{conn: h.Conn, buf: make([]byte, wireBuffer)}, nil
}

// start sends START_REPLICATION and waits until the stream begins.
func (w *wire) start(ctx context.Context, cfg Config, at lsn.LSN) error {
	sql := fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (proto_version '1', publication_names %s)",
		quoteIdent(cfg.Slot), at, quoteLiteral(quoteIdent(cfg.Publication)))
	msg, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(startTimeout)
	_ = w.conn.SetDeadline(deadline)
	defer w.conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := w.conn.Write(msg); err != nil {
		return err
	}
	for {
		kind, body, err := w.wait()
		if err != nil {
			return err
		}
		switch kind {
		case 'W': // CopyBothResponse
			return nil
		case 'E':
			return serverError(body)
		case 'N', 'S':
		default:
			return fmt.Errorf("unexpected message %q in answer to START_REPLICATION", kind)
		}
	}
}

// startTimeout bounds the wait for the stream to begin: the server reads the
// slot's snapshot from disk first, nothing more.
const startTimeout = 60 * time.Second

// next returns the next message of those that are there already. Its body is
// valid until the next fill.
func (w *wire) next() (kind byte, body []byte, ok bool, err error) {
	have := w.w - w.r
	if have < 5 {
		return 0, nil, false, nil
	}
	size := int(binary.BigEndian.Uint32(w.buf[w.r+1:]))
	if size < 4 || size > maxMessage {
		return 0, nil, false, fmt.Errorf("the server sent a message of %d bytes", size)
	}
	if have < 1+size {
		return 0, nil, false, nil
	}
	kind, body = w.buf[w.r], w.buf[w.r+5:w.r+1+size]
	w.r += 1 + size
	return kind, body, true, nil
}

// maxMessage is Postgres' own limit on an allocation (MaxAllocSize), which no
// message passes.
const maxMessage = 1 << 30

// wait blocks for one message; only the connection's deadline ends it.
func (w *wire) wait() (kind byte, body []byte, err error) {
	for {
		kind, body, ok, err := w.next()
		if ok || err != nil {
			return kind, body, err
		}
		w.room()
		n, err := w.conn.Read(w.buf[w.w:])
		w.w += n
		if n == 0 && err != nil {
			return 0, nil, err
		}
	}
}

// fill reads what is there, or waits for it until the deadline. It returns
// false if nothing came. woken is asked after the deadline is set, so that
// whoever sets it and then moves the deadline is never missed.
func (w *wire) fill(deadline time.Time, woken func() bool) (bool, error) {
	w.room()
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return false, err
	}
	if woken() {
		return false, nil
	}
	n, err := w.conn.Read(w.buf[w.w:])
	w.w += n
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		return n > 0, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return false, err
}

// room makes place to read into, for the whole of the message that is begun.
func (w *wire) room() {
	if w.r == w.w {
		w.r, w.w = 0, 0
		if len(w.buf) > wireBuffer {
			w.buf = make([]byte, wireBuffer) // let go of what one large row took
		}
		return
	}
	need := wireBuffer / 2
	if w.w-w.r >= 5 {
		need = 1 + int(binary.BigEndian.Uint32(w.buf[w.r+1:]))
	}
	switch {
	case need > len(w.buf):
		buf := make([]byte, need)
		w.w = copy(buf, w.buf[w.r:w.w])
		w.r, w.buf = 0, buf
	case w.r > 0 && (w.r+need > len(w.buf) || w.w == len(w.buf)):
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
}

// status sends a standby status update. Written, flushed and applied are one
// value: to Postgres 0 as flushed means "take what was written" (T2).
func (w *wire) status(stored lsn.LSN, now time.Time, reply bool) error {
	b := w.out[:]
	b[0] = 'd'
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1))
	b[5] = 'r'
	binary.BigEndian.PutUint64(b[6:], uint64(stored))
	binary.BigEndian.PutUint64(b[14:], uint64(stored))
	binary.BigEndian.PutUint64(b[22:], uint64(stored))
	binary.BigEndian.PutUint64(b[30:], uint64(now.UnixMicro()-epoch))
	b[38] = 0
	if reply {
		b[38] = 1
	}
	_ = w.conn.SetWriteDeadline(now.Add(writeTimeout))
	_, err := w.conn.Write(b)
	return err
}

// goodbye ends the stream politely: CopyDone, Terminate. The server needs no
// answer to give the slot free.
func (w *wire) goodbye() {
	_ = w.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = w.conn.Write([]byte{'c', 0, 0, 0, 4, 'X', 0, 0, 0, 4})
}

func (w *wire) close() { _ = w.conn.Close() }

func serverError(body []byte) error {
	var m pgproto3.ErrorResponse
	if err := m.Decode(body); err != nil {
		return fmt.Errorf("reading an error of the server: %w", err)
	}
	return pgconn.ErrorResponseToPgError(&m)
}
