// Package schema holds the shape of a batch request to Customer.io's Track API
// v2, as pgcio sends it, and judges requests by it.
//
// It is narrower than what Customer.io takes: no fields it does not know,
// identifiers of exactly one key, event ids that are ULIDs, names that need no
// trimming. The schema counts characters where Customer.io counts bytes, so it
// is a net beside the simulator's, not instead of it.
package schema
