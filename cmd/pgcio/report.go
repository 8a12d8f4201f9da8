package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/pgcio/pgcio/internal/status"
)

const (
	reportInterval = 500 * time.Millisecond
	statusInterval = 10 * time.Second
	logInterval    = time.Minute
)

// report tells systemd how the daemon is, and whoever watches how far the
// backfills are: a bar on a terminal, a line a minute in a log.
func (a *app) report(ctx context.Context, view *view, opts daemonOptions) error {
	n := notifier{opts.log}
	p := &progress{log: opts.log}
	if opts.progress && isTerminal(a.stderr) {
		p.bar, p.width = a.stderr, width(a.stderr)
	}
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	var ready bool
	var state status.State
	var told time.Time
	for {
		s := view.snapshot()
		switch {
		case s.State != status.Starting && !ready:
			ready = true
			n.ready()
		case !ready:
			// Postgres may be away for long, which is no failure to start.
			n.send("EXTEND_TIMEOUT_USEC=30000000")
		}
		if s.State != state || time.Since(told) > statusInterval {
			state, told = s.State, time.Now()
			n.status(statusLine(s))
		}
		p.show(s)
		select {
		case <-ctx.Done():
			p.clear()
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// statusLine is the status in one line, for systemctl status.
func statusLine(s status.Snapshot) string {
	all := sum(s)
	line := fmt.Sprintf("%s; %d changes received, %d waiting, %d parked; lag %s",
		s.State, all.changes.Received, all.changes.Waiting+all.changes.InFlight, all.changes.Parked, lag(s))
	if reason, ok := s.Ready(); !ok {
		line += "; " + oneLine(reason)
	}
	return line
}

// progress shows how far the backfills are.
type progress struct {
	log   *slog.Logger
	bar   io.Writer // nil: a log
	width int

	mapping string // the one whose backfill runs
	began   time.Time
	from    int64 // rows that were read before this run
	logged  time.Time
	drawn   bool
}

func (p *progress) show(s status.Snapshot) {
	var m status.Mapping
	for _, one := range s.Mappings {
		if one.State == status.MappingBackfilling && one.Backfill.Rows > 0 && m.Name == "" {
			m = one
		}
		if one.Name == p.mapping && one.State == status.MappingLive {
			p.clear()
			p.log.Info("backfill done", "mapping", one.Name, "rows", one.Backfill.Rows)
			p.mapping = ""
		}
	}
	if m.Name == "" {
		return
	}
	if m.Name != p.mapping {
		p.mapping, p.began, p.from, p.logged = m.Name, time.Now(), m.Backfill.Rows, time.Time{}
	}
	left := p.left(m.Backfill)
	if p.bar != nil {
		p.drawn = true
		fmt.Fprintf(p.bar, "\r\x1b[K%s", bar(m, left, p.width))
		return
	}
	if time.Since(p.logged) >= logInterval {
		p.logged = time.Now()
		args := []any{"mapping", m.Name, "rows", m.Backfill.Rows}
		if m.Backfill.Total > 0 {
			args = append(args, "of", m.Backfill.Total)
		}
		p.log.Info("backfill", append(args, "left", left)...)
	}
}

// left estimates how long the rest takes, at the pace so far.
func (p *progress) left(b status.Backfill) string {
	done, took := b.Rows-p.from, time.Since(p.began)
	if done <= 0 || b.Total <= b.Rows {
		return "unknown"
	}
	return (time.Duration(float64(took) / float64(done) * float64(b.Total-b.Rows))).Round(time.Second).String()
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.bar, "\r\x1b[K")
		p.drawn = false
	}
}

// bar draws "people [=====>    ] 1200 of 4000, 12s left".
func bar(m status.Mapping, left string, width int) string {
	text := fmt.Sprintf(" %s, %s left", m.Backfill, left)
	room := width - len(m.Name) - len(text) - len(" []") - 1
	if room < 4 {
		return m.Name + text
	}
	full := room
	if m.Backfill.Total > 0 {
		full = min(room, int(int64(room)*m.Backfill.Rows/m.Backfill.Total))
	}
	return m.Name + " [" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "]" + text
}
