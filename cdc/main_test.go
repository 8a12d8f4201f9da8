package cdc

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/pgtest"
)

// leaks runs the tests and then finds goroutines that are left.
type leaks struct{ m *testing.M }

func (l leaks) Run() int {
	code := l.m.Run()
	if err := goleak.Find(
		goleak.IgnoreAnyFunction("github.com/pgcio/pgcio/internal/pgtest.(*postmaster).watch"),
		goleak.IgnoreAnyFunction("github.com/pgcio/pgcio/internal/pgtest.(*postmaster).reap")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) { pgtest.Main(leaks{m}) }

// patient bounds waiting for an event that must come; it is never waited out.
const patient = 30 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patient)
	t.Cleanup(cancel)
	return ctx
}

func config(t *testing.T, db *pgtest.DB, tables ...string) Config {
	cfg := Config{URL: db.URL(), Publication: "pgcio", Slot: "pgcio_" + db.Name, Manage: true, Tables: tables,
		Logger:   slog.New(slog.NewTextHandler(testLog{t}, nil)),
		RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond}
	return cfg
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// pump takes what a source hands on and stores it, as the daemon does.
type pump struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	src    *Source
	done   chan error

	id     Identity
	stored lsn.LSN
	open   *Mark
	all    []string // changes, as text
	orders [][2]uint64
	pages  []*Page
	hold   bool // do not tell Stored
	look   func(Change)
}

// begin sets up and runs a source.
func begin(t *testing.T, cfg Config) *pump {
	t.Helper()
	id, at, err := Setup(testContext(t), cfg)
	if err != nil {
		t.Fatalf("setup: %v", err)
	}
	return resume(t, cfg, Resume{Identity: id, Stored: at})
}

func resume(t *testing.T, cfg Config, from Resume) *pump {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	p := &pump{t: t, ctx: ctx, cancel: cancel, src: New(cfg), done: make(chan error, 1), id: from.Identity, stored: from.Stored, open: from.Open}
	go func() { p.done <- p.src.Run(ctx, from) }()
	t.Cleanup(func() { cancel(); <-p.src.ended })
	return p
}

func (p *pump) resume() Resume { return Resume{Identity: p.id, Stored: p.stored, Open: p.open} }

// stop ends the source and gives what a restart would begin with.
func (p *pump) stop() Resume {
	p.t.Helper()
	p.cancel()
	if err := <-p.done; err != context.Canceled {
		p.t.Fatalf("run ended with %v", err)
	}
	return p.resume()
}

// next takes one batch and stores it.
func (p *pump) next() error {
	ctx, cancel := context.WithTimeout(p.ctx, patient)
	defer cancel()
	b, err := p.src.Next(ctx)
	if err != nil {
		return err
	}
	for _, c := range b.Changes {
		p.all = append(p.all, describeChange(c))
		if p.look != nil {
			p.look(c)
		}
		p.orders = append(p.orders, [2]uint64{uint64(c.Tx.Commit), c.Ordinal})
	}
	if b.Read != nil {
		p.pages = append(p.pages, b.Read)
	} else {
		if b.Through > 0 {
			p.stored, p.open = b.Through, nil
		}
		if b.Open != nil {
			p.open = b.Open
		}
		if b.Through > 0 && !p.hold {
			p.src.Stored(b.Through)
		}
	}
	p.src.Release(b)
	return nil
}

// until takes batches until the condition holds.
func (p *pump) until(cond func() bool) {
	p.t.Helper()
	for !cond() {
		if err := p.next(); err != nil {
			p.t.Fatalf("next: %v; so far %q", err, p.all)
		}
	}
}

// want takes batches until exactly these changes came.
func (p *pump) want(changes ...string) {
	p.t.Helper()
	p.until(func() bool { return len(p.all) >= len(changes) })
	if !slices.Equal(p.all, changes) {
		p.t.Fatalf("got\n%s\nwant\n%s", strings.Join(p.all, "\n"), strings.Join(changes, "\n"))
	}
	p.all = nil
}

// ends waits until Run ends by itself.
func (p *pump) ends() error {
	p.t.Helper()
	for {
		if err := p.next(); err != nil {
			select {
			case err := <-p.done:
				p.done <- err
				return err
			case <-time.After(patient):
				p.t.Fatalf("run does not end: %v", err)
			}
		}
	}
}

func describeChange(c Change) string {
	kind := map[Kind]string{Insert: "insert", Update: "update", Delete: "delete", Truncate: "truncate", Read: "read"}[c.Kind]
	text := kind + " " + c.Table.Name
	if c.Old.Len() > 0 {
		text += " " + describeTuple(c.Table, c.Old)
		if c.KeyOnly {
			text += "(key)"
		}
		text += " ->"
	}
	if c.New.Len() > 0 {
		text += " " + describeTuple(c.Table, c.New)
	}
	return strings.TrimSuffix(text, " ->")
}

func describeTuple(t *Table, u Tuple) string {
	var parts []string
	for i := range u.Len() {
		text, state := u.Get(i)
		v := string(text)
		switch state {
		case Absent:
			v = "absent"
		case Null:
			v = "null"
		default:
			if len(v) > 40 {
				v = fmt.Sprintf("%s…%d", v[:4], len(v))
			}
		}
		parts = append(parts, t.Columns[i].Name+"="+v)
	}
	return "{" + strings.Join(parts, " ") + "}"
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
