package cdc

import (
	"context"
	"log/slog"
	"time"
)

// Config says which source to follow, and how. The zero value of a tunable is
// its default.
type Config struct {
	URL         string // as psql takes it
	Publication string
	Slot        string
	Manage      bool     // we may create the publication and add tables to it
	SystemID    string   // refuse any other cluster; empty: none
	Tables      []string // the mapped tables, "schema.name"; nil: hand on all that is published
	// Columns are those that pages read of a table, by "schema.name", and that
	// therefore must be granted; of a table that is not named, all published ones.
	Columns         map[string][]string
	ApplicationName string // "pgcio"
	Logger          *slog.Logger

	// A batch is handed on BatchDelay (5ms) after its first change, where a
	// transaction ends; while the caller is busy it grows to BatchChanges (5,000)
	// or BatchBytes (16 MB), and then reading stops. A delay of 5 ms is well below
	// one fsync of most disks and gathers what commits together.
	BatchDelay   time.Duration
	BatchChanges int
	BatchBytes   int

	// StatusInterval (10s, or a third of the server's wal_sender_timeout if that
	// is less) is how often Postgres is told where we are, whatever else goes on.
	StatusInterval time.Duration
	// SilenceTimeout (90s, or three quarters of the server's wal_sender_timeout if
	// that is more) is how long the server may say nothing, though asked every
	// StatusInterval, until the connection counts as dead (T18).
	SilenceTimeout time.Duration
	// StallTimeout (30s) is how long what was handed on may stay unstored until
	// we disconnect, so as not to hold up a shutdown of the database (T22).
	StallTimeout time.Duration
	// RetryMin and RetryMax (250ms, 30s) bound the wait before reconnecting. It
	// doubles with every failure and has jitter.
	RetryMin, RetryMax time.Duration
	// MonitorInterval (30s) is how often the slot and the publication are looked
	// at by an ordinary connection.
	MonitorInterval time.Duration
	// SessionIdle (10s) is how long the connection that reads pages stays open
	// with nothing to read.
	SessionIdle time.Duration
	// RetainedAlarm (10 GB) is the WAL held for the slot from which on there is an
	// alarm.
	RetainedAlarm int64

	// Moved is told before anything is streamed that the source is on a later
	// timeline, which goes on from the one that was stored: the next start compares
	// with it. nil: nobody needs to know.
	Moved func(context.Context, Identity) error

	// InsertsOnly tells that only inserted rows matter: a publication of inserts
	// alone will do.
	InsertsOnly bool

	// Progress is told what Setup waits for; nil: it is logged.
	Progress func(string)

	// Fail is called at named points, for tests that end the process there:
	// after-receive, before-hand, after-hand, before-status, after-status,
	// publication-created, slot-created, page-read.
	Fail func(point string)

	at string // the one address to connect to; "": any that URL names
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.BatchDelay, 5*time.Millisecond)
	def(&c.StatusInterval, 10*time.Second)
	def(&c.SilenceTimeout, 90*time.Second)
	def(&c.StallTimeout, 30*time.Second)
	def(&c.RetryMin, 250*time.Millisecond)
	def(&c.RetryMax, 30*time.Second)
	def(&c.MonitorInterval, 30*time.Second)
	def(&c.SessionIdle, 10*time.Second)
	if c.BatchChanges == 0 {
		c.BatchChanges = 5_000
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 16 << 20
	}
	if c.RetainedAlarm == 0 {
		c.RetainedAlarm = 10 << 30
	}
	if c.ApplicationName == "" {
		c.ApplicationName = "pgcio"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) fail(point string) {
	if c.Fail != nil {
		c.Fail(point)
	}
}

func (c Config) progress(text string) {
	if c.Progress != nil {
		c.Progress(text)
		return
	}
	c.Logger.Info(text)
}
