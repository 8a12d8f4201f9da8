package cdc

import (
	"fmt"
	"strings"

	"github.com/pgcio/pgcio/internal/lsn"
)

// GapError says that changes are lost: between From and To nothing can be read
// any more, or what can be read is not what follows on From.
type GapError struct {
	Reason string  // what was found
	From   lsn.LSN // everything up to here is stored
	To     lsn.LSN // from here on changes can be read again; 0: not known
	Advice string  // what to do
}

func (e *GapError) Error() string { return advised(e.problem(), e.Advice) }

// problem is the error without its advice.
func (e *GapError) problem() string {
	var b strings.Builder
	fmt.Fprintf(&b, "changes are lost: %s", e.Reason)
	if e.From == 0 && e.To == 0 {
		return b.String()
	}
	b.WriteString("; ")
	switch {
	case e.To > e.From:
		fmt.Fprintf(&b, "what was committed between %s and %s cannot be read any more", e.From, e.To)
	case e.To != 0:
		fmt.Fprintf(&b, "the state reaches to %s, the server only to %s", e.From, e.To)
	default:
		fmt.Fprintf(&b, "what was committed after %s cannot be read any more", e.From)
	}
	return b.String()
}

func (e *GapError) parts() (problem, fix string) { return e.problem(), e.Advice }

func (e *SourceError) parts() (problem, fix string) { return e.problem(), e.Advice }

// lostError is a *GapError or a *SourceError.
type lostError interface {
	error
	parts() (problem, fix string)
}

// NoState is the gap of a slot without the state that belongs to it. path is where
// the state was looked for, "" if that is not known: more often than a state is
// lost, it is looked for in the wrong place. reader is the server process that
// reads the slot, 0: none does.
func NoState(cfg Config, path string, reader int64) *GapError {
	e := &GapError{
		Reason: fmt.Sprintf("replication slot %s exists, and no state that belongs to it", cfg.Slot),
		Advice: "put the state file back; or, to start over from what the tables hold now: `pgcio teardown`, then `pgcio run` (" + overAgain + ")",
	}
	if path != "" {
		e.Reason += " at " + path
		e.Advice = "is this another directory, or another --config, than usual? Then use the usual one; else " + e.Advice
	}
	if reader != 0 {
		e.Reason += fmt.Sprintf("; process %d of the server reads the slot: another pgcio is running", reader)
		e.Advice = "leave it to that one, or stop it and use its state file"
	}
	return e
}

func advised(problem, advice string) string {
	if advice == "" {
		return problem
	}
	return problem + "; " + advice
}

// overAgain is what starting over means for events.
const overAgain = "no event is doubled, as event ids are the same each time, but those of the gap are sent only where the mapping has backfill = true, and what still waits is in the old state file alone"

// startOver is how to go on after a gap, until there is a resync.
const startOver = "to start over from what the tables hold now: `pgcio teardown`, move the state file aside, `pgcio run` (" + overAgain + ")"

func gap(from, to lsn.LSN, reason string, args ...any) *GapError {
	return &GapError{Reason: fmt.Sprintf(reason, args...), From: from, To: to, Advice: startOver}
}

// SourceError says that the server is not the one that the state belongs to.
type SourceError struct {
	What       string // "system identifier", "database", "slot"
	Want, Have string
	Advice     string
}

func (e *SourceError) Error() string { return advised(e.problem(), e.Advice) }

func (e *SourceError) problem() string {
	return fmt.Sprintf("this is not the source that was expected: its %s is %s, not %s", e.What, e.Have, e.Want)
}

// UnfitError says that the server cannot serve us as it is set up, before
// anything was made there.
type UnfitError struct {
	Subject string // a setting
	Problem string
	Fix     string // one line
}

func (e *UnfitError) Error() string { return advised(e.Problem, e.Fix) }

const otherSource = "if postgres.url is wrong, correct it; if the data did move here, move the state file aside and run again (everything is then read anew)"

// markError: the transaction that comes first is not the one of which a part is
// stored. The session turns it into a gap.
type markError struct {
	stored Mark
	commit lsn.LSN
	xid    uint64
}

func (e *markError) Error() string {
	return fmt.Sprintf("%d rows of transaction %d, which commits at %s, are stored, but the stream goes on with transaction %d, which commits at %s",
		e.stored.Rows, e.stored.XID, e.stored.Commit, e.xid, e.commit)
}
