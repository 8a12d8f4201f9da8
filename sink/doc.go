// Package sink speaks to Customer.io, and nothing else in pgcio does.
//
// For each workspace one loop takes what the outbox lets leave (state.Draw),
// puts it into as few requests as the body limit allows, sends them at the
// allowed pace and hands the verdicts back (state.Settle).
//
//	Draw ─▶ Packer ─▶ pace ─▶ POST ─▶ ReadReply ─▶ Settle
//	state             wait a          accepted, refused: settled
//	                  token           retry: sent again, later or in halves
//
// What it promises:
//
//   - A free token takes everything that may leave: nothing waits for a timer
//     when the workspace is idle, and batches grow with the backlog.
//   - No more requests in any second than the workspace allows. 429 and 5xx slow
//     it down by half, success speeds it up in small steps; Retry-After is
//     obeyed; retries are jittered and have no end.
//   - Nothing is given up for a reason that is not its own: a refused batch is
//     bisected, an untrustworthy list of errors is checked one by one, and one
//     operation that keeps failing does not hold up the others.
//   - Wrong credentials, a redirect or a wrong address stop the workspace, raise
//     an alarm, and are tried again every minute; nothing is parked for them.
//   - A workspace that is not the one the state belongs to is sent nothing.
package sink
