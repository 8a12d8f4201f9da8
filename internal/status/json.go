package status

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"github.com/pgcio/pgcio/internal/lsn"
)

// WriteJSON writes the snapshot as `pgcio status --json` prints it, on several lines:
// people read it as often as programs do.
func (s Snapshot) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(s.normal())
}

// MarshalJSON writes null for what is unknown.
func (p Postgres) MarshalJSON() ([]byte, error) {
	type plain Postgres
	if !p.Unknown {
		return marshal(plain(p))
	}
	return marshal(struct {
		plain
		Server           *lsn.LSN `json:"server_lsn"`
		Received         *lsn.LSN `json:"received_lsn"`
		Confirmed        *lsn.LSN `json:"confirmed_lsn"`
		LagBytes         *int64   `json:"lag_bytes"`
		LagSeconds       *float64 `json:"lag_seconds"`
		RetainedWALBytes *int64   `json:"retained_wal_bytes"`
	}{plain: plain(p)})
}

// MarshalJSON writes null for a beginning that is unknown.
func (a Alarm) MarshalJSON() ([]byte, error) {
	out := struct {
		Name   string     `json:"name"`
		Since  *time.Time `json:"since"`
		Detail string     `json:"detail"`
	}{Name: a.Name, Detail: a.Detail}
	if !a.Since.IsZero() {
		out.Since = &a.Since
	}
	return marshal(out)
}

// marshal leaves it to the encoder around it whether HTML is escaped.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
