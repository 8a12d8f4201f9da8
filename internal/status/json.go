package status

import (
	"encoding/json"
	"io"
)

// WriteJSON writes the snapshot as `pgcio status --json` prints it, on several lines:
// people read it as often as programs do.
func (s Snapshot) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(s.normal())
}
