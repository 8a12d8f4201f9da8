// Package status shows what the daemon is doing: one [Snapshot], rendered as
// JSON, as a table for a terminal, as Prometheus metrics and as health.
//
// What it promises:
//
//   - Every view is of one Snapshot, so no two of them can disagree.
//   - The counts are the state file's own books. A metric is read from them
//     when it is scraped, so it survives a restart exactly; only the histograms
//     and the count of requests live in the process (see [Recorder]).
//   - Nothing here shows what a row holds, and nothing here changes anything.
//   - The HTTP handler answers only who addresses the listener by a name that is
//     the listener's, so a web page elsewhere cannot read it through a browser.
//
// It knows neither the state nor the sink: it is given a function that makes a
// Snapshot.
package status
