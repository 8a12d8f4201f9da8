// Package customerio is all that Customer.io means to pgcio, in one place: its
// things and what identifies them, what two operations on one thing become,
// which operations must not overtake each other, the limits, the wire format
// and how a reply is read. It does no I/O and knows no clock.
//
// An [Operation] is one thing to be asked. The mapper makes it inside an [Ask];
// the outbox folds it into what already waits for the same thing and keeps it
// from overtaking what it conflicts with, by the identifiers that [Identifying]
// and [Fold] know; the sink puts what may leave into one request ([Room],
// [Packer]) and reads a verdict for each from the reply ([ReadReply]).
//
//	change ─▶ Ask ─▶ Fold: one Operation ─▶ Packer: one request ─▶ ReadReply: verdicts
//	(mapping)        (state)                (sink)                 (sink, state)
//
// What it promises; laws are those of docs/DESIGN.md:
//
//   - Every operation can be sent twice with no harm (law 6): an identify is
//     convergent, an event carries a ULID made from what it is about.
//   - No request breaks a limit: sizes are measured in bytes of the JSON sent,
//     before it is added.
//   - A reply is total: every status and every body means a verdict for each
//     operation, accepted or refused, or what else is to be done; the unknown is
//     sent again.
//
// The facts are Customer.io's: its published OpenAPI, its pages on invalid
// requests and on attributes. Where they leave a question open, the choice and
// its reason stand where it is made.
package customerio
