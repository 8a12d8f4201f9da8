package status

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// collector turns one snapshot into the metrics of one scrape.
type collector struct {
	snapshot func() Snapshot

	changes, operations           *prometheus.Desc
	outbox                        *prometheus.Desc
	parked, orphaned, held        *prometheus.Desc
	lagBytes, lagSeconds          *prometheus.Desc
	retained, safe                *prometheus.Desc
	rate, backfill, bytes, gobind *prometheus.Desc
}

// NewCollector makes the metrics that are read from the snapshot's books.
func NewCollector(snapshot func() Snapshot) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pgcio_"+name, help, labels, nil)
	}
	return &collector{
		snapshot:   snapshot,
		changes:    desc("changes_total", "Changes received, and those whose outcome is final, by outcome. What still waits is in the gauges.", "mapping", "outcome"),
		operations: desc("operations_total", "Operations that Customer.io accepted, by action.", "mapping", "action"),
		outbox:     desc("outbox_entries", "Entries of the outbox: what waits and what is in flight.", "workspace"),
		parked:     desc("parked_entries", "Entries refused or invalid, kept with their reason.", "mapping"),
		orphaned:   desc("orphaned_entries", "Entries whose person or object is not there yet.", "mapping"),
		held:       desc("held_entries", "Entries that wait for an operator's consent.", "mapping"),
		lagBytes:   desc("lag_bytes", "WAL between what is stored and the server's end of the log."),
		lagSeconds: desc("lag_seconds", "Age of the oldest committed change that is not stored yet."),
		retained:   desc("slot_retained_bytes", "WAL that the server keeps for the slot."),
		safe:       desc("slot_safe_bytes", "WAL that may still be written before the server gives up the slot; absent where it never does."),
		rate:       desc("rate_limit", "Requests a second that are allowed now.", "workspace", "api"),
		backfill:   desc("backfill_rows", "Rows read by the mapping's backfill.", "mapping"),
		bytes:      desc("state_bytes", "Size of the state file."),
		gobind:     desc("build_info", "Always 1; the labels say what was built.", "version", "goversion"),
	}
}

// Describe sends nothing, which makes the collector an unchecked one: which
// metrics there are depends on the mappings.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the metrics from one snapshot.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.snapshot()
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.gobind, 1, s.Version, runtime.Version())
	gauge(c.lagBytes, float64(s.Postgres.LagBytes))
	gauge(c.lagSeconds, s.Postgres.LagSeconds)
	gauge(c.retained, float64(s.Postgres.RetainedWALBytes))
	if s.Postgres.SafeBytes != nil {
		gauge(c.safe, float64(*s.Postgres.SafeBytes))
	}
	gauge(c.bytes, float64(s.StateBytes))
	for _, w := range s.Workspaces {
		gauge(c.outbox, float64(w.Entries), w.Name)
		for api, rate := range w.Rates {
			gauge(c.rate, rate, w.Name, api)
		}
	}
	for _, m := range s.Mappings {
		for outcome, n := range m.Changes.final() {
			counter(c.changes, n, m.Name, outcome)
		}
		for action, n := range m.Operations {
			counter(c.operations, n, m.Name, action)
		}
		gauge(c.parked, float64(m.ParkedEntries), m.Name)
		gauge(c.orphaned, float64(m.OrphanedEntries), m.Name)
		gauge(c.held, float64(m.HeldEntries), m.Name)
		gauge(c.backfill, float64(m.Backfill.Rows), m.Name)
	}
}

// final are the counts that only grow, as a counter must.
func (c Changes) final() map[string]int64 {
	return map[string]int64{
		"received":  c.Received,
		"ignored":   c.Ignored,
		"filtered":  c.Filtered,
		"unchanged": c.Unchanged,
		"discarded": c.Discarded,
		"delivered": c.Delivered,
	}
}
