// Package cdc brings the committed changes of mapped tables out of Postgres, in
// commit order, and reads rows of those tables beside that.
//
//	walsender ─▶ wire ─▶ decoder ─▶ Batch ─▶ Next        (one goroutine: stream)
//	ordinary connection ─▶ page ─▶ fence ────────┘       (one goroutine, beside each stream: pager)
//	idle walsender ─▶ sentinel: closes the stream when Postgres begins to stop
//	now and then: monitor looks at the slot and the publication
//
// [Source.Run] connects, finds out whether what follows on the caller's
// position can be read there (verify), streams, and reconnects. The stream's
// goroutine reads the replication connection and writes to it. It decodes into
// the batch in hand, whose arena holds one copy of each message, and hands the
// batch on when the caller waits for one. While the caller is busy the batch
// grows; once it is full nothing is read, but Postgres goes on being told that
// we live. [Source.Release] gives the arena back, so a row costs no allocation.
//
// # Laws
//
//   - What is acknowledged was given to [Source.Stored], and was received by this
//     connection: min(stored, received), in one place (stream.acknowledge).
//   - The order is (commit LSN, ordinal). Row LSNs are read by nobody. A position
//     is where a transaction ended; a transaction is known again by its commit
//     LSN, and is skipped if that lies before the position.
//   - An idle server's position counts only between transactions, and is handed
//     on to be stored like any other. So a slot ahead of the state always means
//     that changes are lost.
//   - Nothing is streamed before verify has compared system identifier, database,
//     slot, timeline and positions: at the first connection and at every other.
//     What does not fit ends Run: [GapError], [SourceError]. Everything else is
//     tried again, for ever.
//   - A column is a value, null or absent. Absent is never made null, and is
//     filled only from the old row of the same change.
//   - Memory holds a few batches, whatever the size of a transaction, a table or
//     an outage.
//   - Postgres comes first. The stream ends when Postgres begins to stop, and when
//     the caller stores nothing; no statement waits long behind a lock; no table is
//     published whose own writes would fail then; nothing is written but the
//     publication, the slot and their removal.
//   - A page is handed on after the stream was handed on past its position, so what
//     it shows never lies ahead of a change that is still to come. Taking a row of it
//     if the row's newest streamed change is visible in its snapshot is exact:
//     writers of one row are serialised by its lock. A page that is not handed on
//     when the connection ends is read again beside the next.
//
// The numbers T1 to T62 in comments name the traps that a piece of code is
// there for; docs/DESIGN.md tells them.
package cdc
