// Package mapping turns row changes into what they ask of Customer.io, as the
// [[mapping]] tables of the configuration say.
//
// A mapping passes through three forms. Parse reads the file into Specs, without
// a database; Compile checks them against the catalog and makes a Mapper; the
// Mapper binds itself to each version of a table as the stream describes it.
//
//	pgcio.toml ─▶ Parse ─▶ Spec ─▶ Compile ─▶ rule ─▶ bind ─▶ plan
//	              grammar           catalog            Relation message
//
// A change passes through Map, which gives one ask for each mapping whose table
// it is of. An ask (customerio.Ask) is what one change wants of one thing at
// Customer.io, or why it wants nothing:
//
//	change ─▶ broken? keyless? ─▶ key ─▶ where ─▶ person ─▶ attributes ─▶ limits ─▶ ask
//	             refused                  out       out       left out     refused
//
// What the package promises; laws are those of docs/DESIGN.md:
//
//   - Map is pure: what it says depends on the change and on what Rows remembers
//     of its row; not on a clock, not on what was mapped before.
//   - Absent is not null (law 11). A column that was not sent is taken from the
//     old row if that has it; else its attribute is left out and the ask says so:
//     Partial where the value stands at the destination as it was, Missing where
//     the row must be read again, because an expression, an identifier or `where`
//     reads the column. Where all that `where` reads was not sent, it keeps the
//     row's previous answer; where only a part was, the row is read first.
//   - The same row is the same event for ever (law 6): its ULID is made of the
//     mapping's name and the event id, and of nothing else.
//   - Whatever Postgres sends, what leaves is valid JSON within Customer.io's
//     limits, or a reason. No reason quotes a row's values.
//   - In expressions null is SQL's null. They are expr-lang's, type-checked
//     against the table; then every operator and call is replaced by one that
//     knows null (rewrite.go), which is tested against Postgres itself.
//   - All that is wrong with a file is said at once, each with its place and the
//     nearest right word. What is planned and not built yet is refused
//     as that, from one list (unbuilt.go).
//
// A plain value costs no allocation: it is rendered into a chunk that many rows
// share.
package mapping
