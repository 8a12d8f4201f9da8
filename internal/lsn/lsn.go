package lsn

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a log sequence number: a byte offset into the WAL. 0 is no position:
// Postgres never places a record there (its InvalidXLogRecPtr).
type LSN uint64

// String writes l as Postgres does: two hexadecimal halves, "16/B374D848".
func (l LSN) String() string {
	return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l))
}

// Parse reads the form that String writes.
func Parse(s string) (LSN, error) {
	high, low, found := strings.Cut(s, "/")
	if found {
		h, err1 := strconv.ParseUint(high, 16, 32)
		l, err2 := strconv.ParseUint(low, 16, 32)
		if err1 == nil && err2 == nil {
			return LSN(h<<32 | l), nil
		}
	}
	return 0, fmt.Errorf("%q is not an LSN: expected two hexadecimal numbers such as 16/B374D848", s)
}

// MarshalText makes an LSN print in JSON as Postgres prints it.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *LSN) UnmarshalText(text []byte) error {
	v, err := Parse(string(text))
	if err == nil {
		*l = v
	}
	return err
}
