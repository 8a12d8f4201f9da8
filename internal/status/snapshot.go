package status

import (
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Snapshot is all there is to say about a daemon at one moment. Its JSON is the
// answer to GET /api/status and to `pgcio status --json`.
type Snapshot struct {
	Version    string      `json:"version"`
	State      State       `json:"state"`
	CaughtUp   bool        `json:"caught_up"`
	Alarms     []Alarm     `json:"alarms"`
	Postgres   Postgres    `json:"postgres"`
	Workspaces []Workspace `json:"workspaces"`
	Mappings   []Mapping   `json:"mappings"`

	// StateBytes is the size of the state file. For the metrics only.
	StateBytes int64 `json:"-"`
}

// State is what the daemon is doing.
type State string

// The states. Backfilling streams as well.
const (
	Starting    State = "starting"
	Backfilling State = "backfilling"
	Streaming   State = "streaming"
)

// Alarm is something an operator should look at.
type Alarm struct {
	Name   string    `json:"name"`
	Since  time.Time `json:"since"` // zero: not known
	Detail string    `json:"detail"`
}

// Postgres is where the daemon stands in the source's log.
type Postgres struct {
	SystemID  string  `json:"system_id"`
	Timeline  int32   `json:"timeline"`
	Slot      string  `json:"slot"`
	Server    lsn.LSN `json:"server_lsn"`    // the log's end, as the server last said
	Received  lsn.LSN `json:"received_lsn"`  // read from the connection
	Stored    lsn.LSN `json:"stored_lsn"`    // durable here
	Delivered lsn.LSN `json:"delivered_lsn"` // everything before it is settled
	Confirmed lsn.LSN `json:"confirmed_lsn"` // acknowledged to Postgres

	LagBytes         int64   `json:"lag_bytes"`
	LagSeconds       float64 `json:"lag_seconds"`
	RetainedWALBytes int64   `json:"retained_wal_bytes"`

	// LastError is why nothing is streamed now; nil while something is, or when
	// nothing has gone wrong yet. An alarm says it, too, if it lasts.
	LastError *string `json:"-"`

	// Unknown says that no daemon runs who would know: of the above only what the
	// state file holds is true.
	Unknown bool `json:"-"`

	// SafeBytes is how much more WAL may pile up before the server gives up the
	// slot (max_slot_wal_keep_size); nil where it never does. For the metrics only.
	SafeBytes *int64 `json:"-"`
}

// Workspace is one Customer.io workspace.
type Workspace struct {
	Name                   string         `json:"name"`
	State                  WorkspaceState `json:"state"`
	TrackRequestsPerSecond float64        `json:"track_requests_per_second"`
	LastError              *string        `json:"last_error"`

	// Entries is how many entries of the outbox are for it, and Rates the pace
	// now, by API ("track", "app"). For the metrics only.
	Entries int64              `json:"-"`
	Rates   map[string]float64 `json:"-"`
}

// WorkspaceState is what a workspace's sender is doing.
type WorkspaceState string

// The states of a workspace. Sending sends what there is; Waiting has yet to reach
// Customer.io, or lets time pass before it tries again; Blocked needs an operator,
// and probes by itself.
const (
	Sending WorkspaceState = "sending"
	Waiting WorkspaceState = "waiting"
	Blocked WorkspaceState = "blocked"
)

// Mapping is one mapping, with its books.
type Mapping struct {
	Name           string       `json:"name"`
	State          MappingState `json:"state"`
	Backfill       Backfill     `json:"backfill"`
	Changes        Changes      `json:"changes"`
	OperationsSent int64        `json:"operations_sent"`

	// Trouble is why the mapping is broken. An alarm says it too.
	Trouble string `json:"-"`

	// Operations are those sent, by action, and the others how many entries are
	// set aside. For the metrics only.
	Operations      map[string]int64 `json:"-"`
	ParkedEntries   int64            `json:"-"`
	OrphanedEntries int64            `json:"-"`
	HeldEntries     int64            `json:"-"`
}

// MappingState is what a mapping is doing.
type MappingState string

// The states of a mapping.
const (
	MappingBackfilling MappingState = "backfilling"
	MappingLive        MappingState = "live"
	MappingPaused      MappingState = "paused"
	MappingBroken      MappingState = "broken"
)

// Backfill is how far the reading of a mapping's table has come. Total is the
// planner's estimate, or Rows if that is more; 0 while it reads a table of which
// there is none, since it was never analyzed.
type Backfill struct {
	Rows  int64 `json:"rows"`
	Total int64 `json:"total"`
}

// Changes are a mapping's books: what became of every change it received.
type Changes struct {
	Received  int64 `json:"received"`
	Ignored   int64 `json:"ignored"`
	Filtered  int64 `json:"filtered"`
	Unchanged int64 `json:"unchanged"`
	Waiting   int64 `json:"waiting"`
	InFlight  int64 `json:"in_flight"`
	Orphaned  int64 `json:"orphaned"`
	Held      int64 `json:"held"`
	Parked    int64 `json:"parked"`
	Discarded int64 `json:"discarded"`
	Delivered int64 `json:"delivered"`
}

// Balanced reports whether every change received is accounted for.
func (c Changes) Balanced() bool {
	return c.Received == c.Ignored+c.Filtered+c.Unchanged+c.Waiting+c.InFlight+
		c.Orphaned+c.Held+c.Parked+c.Discarded+c.Delivered
}

// Add adds the counts of other to c.
func (c *Changes) Add(other Changes) {
	c.Received += other.Received
	c.Ignored += other.Ignored
	c.Filtered += other.Filtered
	c.Unchanged += other.Unchanged
	c.Waiting += other.Waiting
	c.InFlight += other.InFlight
	c.Orphaned += other.Orphaned
	c.Held += other.Held
	c.Parked += other.Parked
	c.Discarded += other.Discarded
	c.Delivered += other.Delivered
}

// normal makes lists that are not there empty, so that the JSON has [] and
// never null for a list.
func (s Snapshot) normal() Snapshot {
	if s.Alarms == nil {
		s.Alarms = []Alarm{}
	}
	if s.Workspaces == nil {
		s.Workspaces = []Workspace{}
	}
	if s.Mappings == nil {
		s.Mappings = []Mapping{}
	}
	return s
}
