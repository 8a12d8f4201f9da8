package customerio

import "time"

// Verdict is how an operation that was sent ended.
type Verdict struct {
	Kind   VerdictKind
	Reason string    // Rejected: in Customer.io's words where it gave any
	Again  time.Time // Retry: not before
}

// VerdictKind tells verdicts apart. The zero value is Retry: the unknown is
// tried again.
type VerdictKind uint8

// The verdicts.
const (
	Retry VerdictKind = iota
	Accepted
	Rejected
)
