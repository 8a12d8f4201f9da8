// Package schema holds the shapes of what pgcio sends to Customer.io: batches of
// Track API v2, members of segments by v1, and segments and collections through
// the App API. It judges requests by them.
//
// It is narrower than what Customer.io takes: no fields it does not know,
// identifiers of exactly one key, event ids that are ULIDs, names that need no
// trimming. The schema counts characters where Customer.io counts bytes, so it
// is a net beside the simulator's, not instead of it.
package schema
