// Package state is what pgcio knows and must not forget: what still has to be
// sent (the outbox), what every row asked before (the inventory), which events
// are known, how far into the WAL all of that reaches, and how every change
// ended (the books: counts by mapping and outcome).
//
// Data passes through it so:
//
//	Update(func(tx)) ─▶ tx.Apply(ask) … tx.Through(lsn) ─▶ one durable commit
//	                                                            │
//	Settle(flight, verdicts) ◀─ Customer.io ◀─ Draw(workspace) ◀┘
//
// An ask is what one change wants of one thing (customerio.Ask). A step is what
// waits for one thing, or an event: asks that were merged, at one place of the
// queue. An item is a step that was drawn, and is settled when its verdict comes.
//
// What it promises; laws are those of docs/DESIGN.md:
//
//   - One transaction: outbox, inventory, counts and position of a batch commit
//     together or not at all (law 2). What Stored returns is durable (law 1).
//   - Nothing of a Postgres transaction leaves before all of it is stored, and
//     one half stored holds back nothing that was there before it (law 7).
//   - What conflicts keeps its order (law 5). A step has a place, its seq; it
//     leaves when every earlier step it conflicts with is settled.
//   - Merging changes nothing (law 8): a change joins a waiting step only if it
//     would not have to wait for anything queued after that step.
//   - The books balance (law 10): an ask is counted received once and stands
//     under exactly one outcome, in the same commit as what it did.
//   - Memory is bounded by the batch in hand and by a window of the outbox,
//     never by the outbox or the tables (law 12).
//
// Beneath it is an engine: an ordered set of keys with one atomic, durable
// commit. bbolt is the one that runs; the one in memory is for tests and
// forgets what was not committed. Nothing above the engine knows which it is.
// A journal stands before it, so that a commit costs what it writes and not
// the pages it touches.
//
// One transaction runs while the one before it is committed. Locks are taken in
// this order: the tokens of writer and commits, mu, the journal's gate, quick.
//
// A thing's record holds the fingerprints of its rows and its waiting steps
// together, so that a change costs one put; key.go lists every kind of record.
package state
