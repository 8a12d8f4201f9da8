package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/strict"
)

// The exit statuses, as the README lists them.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2 // bad usage or bad configuration
	exitFindings = 3 // check found problems
	exitRefused  = 4 // not the source or workspace that is expected, or changes were lost
)

// usageError is a command line that cannot be understood or obeyed.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errFindings says that check has printed what it found.
var errFindings = errors.New("problems were found")

// refusal is an error that ends in status 4: what stands behind it must not be
// tried again without an operator.
type refusal interface{ Refused() }

// exitStatus is the status that an error ends in.
func exitStatus(err error) int {
	var usage usageError
	var problems strict.Problems
	var refused refusal
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage), errors.As(err, &problems), unfit(err):
		return exitUsage
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.As(err, &refused), lost(err):
		return exitRefused
	}
	return exitFailed
}

// unfit reports whether the database refuses what the configuration asks of it,
// and will until somebody changes one of the two: rights that the role lacks, a
// server or a table that is not set up for it.
func unfit(err error) bool {
	var server *cdc.UnfitError
	var table *cdc.TableError
	var state interface{ SQLState() string }
	return errors.As(err, &server) || errors.As(err, &table) || errors.As(err, &state) && state.SQLState() == "42501"
}

// lost reports whether changes are lost, or the source is not the one that the
// state belongs to.
func lost(err error) bool {
	var gap *cdc.GapError
	var source *cdc.SourceError
	return errors.As(err, &gap) || errors.As(err, &source)
}

// awaitedError says what somebody has to do before the daemon can go on.
type awaitedError struct{ err error }

func (e *awaitedError) Error() string { return e.err.Error() }
func (e *awaitedError) Unwrap() error { return e.err }

// passing reports whether an error of the database's may pass by itself: it
// cannot be reached, is starting or stopping, has no connection to spare, or did
// not give a lock in time.
func passing(err error) bool {
	var network net.Error
	var awaited *awaitedError
	var state interface{ SQLState() string }
	switch {
	case errors.As(err, &awaited):
		return true
	case lost(err), unfit(err), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &state):
		code := state.SQLState()
		return strings.HasPrefix(code, "57P") || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || code == "55P03"
	}
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// complain tells the user why a command failed.
func complain(w io.Writer, err error) {
	var problems strict.Problems
	switch {
	case err == nil, errors.Is(err, errFindings):
	case errors.As(err, &problems):
		// Each stands on a line of its own that begins with its place, as
		// compilers write it, so that editors jump there.
		fmt.Fprintln(w, problems.Error())
		fmt.Fprintf(w, "pgcio: %s\n", plural(len(problems), "problem in the configuration", "problems in the configuration"))
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(w, "pgcio: interrupted")
	default:
		text := joinedLines(err)
		if advice := admission(err); advice != "" {
			text += "; " + advice
		}
		fmt.Fprintf(w, "pgcio: %s\n", text)
	}
}

// admission is what to do about a server that does not let the role in: to one
// that does not exist it says the same as to a wrong password.
func admission(err error) string {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return ""
	}
	switch state.SQLState() {
	case "28P01":
		return "set the role's password in postgres.url; if there is no such role, `pgcio setup --print` writes the SQL that makes it"
	case "28000":
		return "if there is no such role, `pgcio setup --print` writes the SQL that makes it; if there is, let the server's pg_hba.conf admit it"
	}
	return ""
}

// joinedLines is an error in one line: what joined errors say stands side by
// side, and once.
func joinedLines(err error) string {
	var all []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	return strings.Join(all, "; ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
