package customerio

// Verdict is how an operation that was sent ended.
type Verdict struct {
	Kind   VerdictKind
	Reason string // Rejected: in Customer.io's words where it gave any
}

// VerdictKind tells verdicts apart. The zero value is none: of what is to be sent
// again there is no verdict yet.
type VerdictKind uint8

// The verdicts.
const (
	Accepted VerdictKind = iota + 1
	Rejected
)
