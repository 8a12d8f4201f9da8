package mapping

import "github.com/pgcio/pgcio/internal/customerio"

// Rows tells what is remembered of a row: what a change asks depends on what
// its row asked before. The mapper stays a pure function of the change and of
// what Rows answers.
type Rows interface {
	Row(mapping int, key []byte) (customerio.Kept, bool)
}
