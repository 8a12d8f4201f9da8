// Package simulator is a Customer.io of its own: strict, in one process, with
// nothing in common with the code it judges. Tests use it as their oracle, and
// the simulate and demo commands run it.
//
// What it promises:
//
//   - It answers as the service does, silent failures included. A write is
//     answered 200 before it is applied; what is then dropped (a suppressed
//     person, an unknown cio_id, somebody else's e-mail address) is dropped
//     without a word on the wire and counted for the test to see.
//   - Writes that share a person, an object or an identifying value are applied
//     in the order in which they were accepted. A request is accepted at one
//     moment between its arrival and its reply. Nothing else is promised, and
//     [Settings] can make it so: requests that were unanswered at the same
//     time, items of one batch, ids of one segment call and writes of unrelated
//     things then happen in a seeded order of their own.
//   - Along with a person go their devices, memberships and relationships, along
//     with an object its relationships, and nothing brings them back.
//   - App API reads, [Simulator.State] and the dump show what is applied now,
//     never what is merely accepted. App API writes are applied when answered.
//   - Every limit is measured in bytes on what was sent. What Customer.io
//     knows and this package does not build is refused as "not simulated yet",
//     never accepted and forgotten.
//   - Where no source says what Customer.io does, there is a setting with both
//     answers, and its comment says that the default is a choice.
//   - Faults are set while it runs ([Simulator.SetFaults]); with one seed and
//     one order of requests they fall in the same places.
//
// It has two doors to the same rooms: [Simulator.ServeHTTP] for a listener,
// and [Simulator.Transport], which does no I/O and so works on the virtual
// time of a testing/synctest bubble. It starts no goroutine: what is due is
// applied when somebody next looks.
//
// The package imports the standard library only.
package simulator
