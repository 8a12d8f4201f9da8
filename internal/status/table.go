package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the snapshot for a person at a terminal.
func (s Snapshot) WriteTable(w io.Writer) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	s.writeHead(tw)
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(s.Mappings) > 0 {
		b.WriteByte('\n')
		tw.Init(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		s.writeMappings(tw)
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, trimLines(b.String()))
	return err
}

func (s Snapshot) writeHead(w io.Writer) {
	p := s.Postgres
	caughtUp := "behind"
	if s.CaughtUp {
		caughtUp = "caught up"
	}
	if p.Unknown {
		fmt.Fprintf(w, "pgcio\t%s, not running\n", s.Version)
	} else {
		fmt.Fprintf(w, "pgcio\t%s, %s, %s\n", s.Version, s.State, caughtUp)
	}
	fmt.Fprintf(w, "postgres\tsystem %s, timeline %d, slot %s\n", orNone(p.SystemID), p.Timeline, orNone(p.Slot))
	if p.Unknown {
		fmt.Fprintf(w, "\tserver unknown, received unknown, stored %s, confirmed unknown, delivered %s\n", p.Stored, p.Delivered)
		fmt.Fprintf(w, "\tlag unknown, retained WAL unknown\n")
	} else {
		fmt.Fprintf(w, "\tserver %s, received %s, stored %s, confirmed %s, delivered %s\n",
			p.Server, p.Received, p.Stored, p.Confirmed, p.Delivered)
		fmt.Fprintf(w, "\tlag %s and %s, retained WAL %s\n",
			Bytes(p.LagBytes), seconds(p.LagSeconds), Bytes(p.RetainedWALBytes))
	}

	for _, ws := range s.Workspaces {
		state := string(ws.State)
		if p.Unknown {
			state = "not running"
		}
		fmt.Fprintf(w, "workspace\t%s: %s, %s requests/s", ws.Name, state, number(ws.TrackRequestsPerSecond))
		if ws.LastError != nil {
			fmt.Fprintf(w, ", last error: %s", *ws.LastError)
		}
		fmt.Fprintln(w)
	}
	for _, a := range s.Alarms {
		since := ""
		if !a.Since.IsZero() {
			since = " since " + a.Since.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "alarm\t%s%s: %s\n", a.Name, since, a.Detail)
	}
}

func (s Snapshot) writeMappings(w io.Writer) {
	names := len("mapping")
	for _, m := range s.Mappings {
		names = max(names, len(m.Name))
	}
	column := func(name string, cells ...string) {
		// Numbers stand to the right, which the writer does for all cells.
		fmt.Fprintf(w, "%-*s\t%s\t\n", names, name, strings.Join(cells, "\t"))
	}
	column("mapping", "state", "backfill", "received", "delivered", "waiting", "in flight", "unchanged",
		"filtered", "ignored", "parked", "orphaned", "held", "discarded", "operations")
	for _, m := range s.Mappings {
		c := m.Changes
		column(m.Name, string(m.State), m.Backfill.String(), count(c.Received), count(c.Delivered), count(c.Waiting),
			count(c.InFlight), count(c.Unchanged), count(c.Filtered), count(c.Ignored), count(c.Parked),
			count(c.Orphaned), count(c.Held), count(c.Discarded), count(m.OperationsSent))
	}
}

// String is the progress as "1200 of 4000", or "1200" where nobody knows of how
// many.
func (b Backfill) String() string {
	switch {
	case b.Total == 0 && b.Rows == 0:
		return "-"
	case b.Total == 0:
		return count(b.Rows)
	}
	return fmt.Sprintf("%d of %d", b.Rows, max(b.Rows, b.Total))
}

// Bytes writes a size in powers of 1024, as the configuration reads it.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	v, unit := float64(n), -1
	for v >= 1024 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + units[unit:unit+1] + "B"
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func seconds(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) + "s" }

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
