package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// mutation is one way to break a law.
type mutation struct {
	law    string
	breaks string // in words
	file   string
	from   string // once in the file
	to     string
}

// TestMutationsFollowTheCode: each finds the text that it changes. Whether the
// simulation notices them takes longer: `make test-mutations`.
func TestMutationsFollowTheCode(t *testing.T) {
	for _, m := range mutations {
		source, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(m.file)))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(source, []byte(m.from)); n != 1 || m.from == m.to {
			t.Errorf("law %s, %s: %s contains the text to be mutated %d times, not once:\n%s", m.law, m.breaks, m.file, n, m.from)
		}
	}
}

// mutations are the ways to break a law that the simulation must notice. Law 0
// is what has no number: how replies are read, how backfills and rereads stay
// exact, what happens after a refusal.
var mutations = []mutation{
	{"1", "some commits are not synced", "state/memory.go",
		`if m.NoSync != nil && m.NoSync() {`,
		`if len(c.segment.data)%4 == 1 {`},
	{"1", "the WAL is acknowledged before the state has it", "cmd/pgcio/pump.go",
		"	p.commits.Add(1)\n	err := p.store.Start(ctx, func(tx *state.Tx) error {\n		open := markOf(batch.Open)",
		"	p.commits.Add(1)\n	if batch.Through != 0 {\n		p.source.Stored(batch.Through)\n	}\n	err := p.store.Start(ctx, func(tx *state.Tx) error {\n		open := markOf(batch.Open)"},

	{"2", "the position is committed after the outbox", "state/update.go",
		`		if due, err = s.engine.commit(); due {`,
		`		if all := s.engine.pending.writes; len(all) > 1 {
			at := 0
			for at < len(all) && string(all[at].key) != string(metaKey("position")) {
				at++
			}
			if at < len(all) {
				rest := append(append([]write(nil), all[:at]...), all[at+1:]...)
				s.engine.segment = appendSegment(nil, s.engine.last+1, rest)
				err = s.engine.next.commit(commit{segment: segment{s.engine.last + 1, s.engine.segment}})
				s.fail("between")
				s.engine.last++
				s.engine.segment = appendSegment(nil, s.engine.last+1, all[at:at+1])
			}
		}
		if due, err = s.engine.commit(); due {`},
	{"2", "the position is committed before the outbox", "state/update.go",
		`		if due, err = s.engine.commit(); due {`,
		`		if all := s.engine.pending.writes; len(all) > 1 {
			at := 0
			for at < len(all) && string(all[at].key) != string(metaKey("position")) {
				at++
			}
			if at < len(all) {
				rest := append(append([]write(nil), all[:at]...), all[at+1:]...)
				s.engine.segment = appendSegment(nil, s.engine.last+1, all[at:at+1])
				err = s.engine.next.commit(commit{segment: segment{s.engine.last + 1, s.engine.segment}})
				s.fail("between")
				s.engine.last++
				s.engine.segment = appendSegment(nil, s.engine.last+1, rest)
			}
		}
		if due, err = s.engine.commit(); due {`},
	{"2", "the journal drops segments before their writes are in place", "state/journal.go",
		`	if err := j.next.commit(c); err != nil {`,
		`	early := c
	early.drop = j.cut
	if err := j.next.commit(early); err != nil {`},
	{"2", "a transaction does not see what is being committed before it", "state/journal.go",
		`		v.pending = j.pending`,
		`		v.pending = nil`},
	{"2", "places in the queue are given out again after a crash", "state/store.go",
		`	v = binary.AppendUvarint(v, seq)`,
		`	v = binary.AppendUvarint(v, 0*seq)`},
	{"3", "the mark inside a transaction is not kept", "state/tx.go",
		`	tx.position.open = open`,
		`	tx.position.open = Mark{Commit: open.Commit, XID: open.XID}`},

	{"5", "an event does not wait for its person", "state/draw.go",
		`before.status == waiting && (before.seq < e.seq || before.since < e.seq && !awaited) {`,
		`before.status == waiting && (before.seq < e.seq || before.since < e.seq && !awaited) && e.seq == 0 {`},
	{"5", "identifies that share an identifier do not wait for each other", "state/draw.go",
		"	for _, link := range t.links {\n		other := d.thing(link.key)",
		"	for _, link := range t.links[:0] {\n		other := d.thing(link.key)"},
	{"5", "things that share an identifier are not linked", "state/identity.go",
		`	for _, other := range others {`,
		`	for _, other := range others[:0] {`},
	{"5", "one that gives an identifier up overtakes what is addressed by it", "state/draw.go",
		`	for _, name := range st.stops {`,
		`	for _, name := range st.stops[:0] {`},
	{"5", "two steps of one person are sent together", "state/draw.go",
		`before.seq < e.seq && t.goesBefore(i, st) {`,
		`before.seq < e.seq && e.seq == 0 && t.goesBefore(i, st) {`},
	{"5", "an identifier that another still holds is written", "state/draw.go",
		`	item.Refuse = heldByAnother(d, d.attrs, t, st)`,
		`	item.Refuse = ""`},
	{"5", "what waits for an identifier is not tried again when it is let go", "state/place.go",
		`s.status == parked && s.heldBy(name) {`,
		`s.status == parked && s.heldBy(name) && s.seq == 0 {`},
	{"5", "waits form a circle after a refusal", "state/draw.go",
		`before.since < e.seq && !awaited) {`,
		`before.since < e.seq && (!awaited || true)) {`},

	{"6", "an event's id is made from the time", "internal/customerio/ulid.go",
		`	copy(id[6:], sum[:10])`,
		`	_, id = sum, ulid.Make()`},
	{"6", "an event's id is forgotten once it is delivered", "state/settle.go",
		`return e.step, func() { e.step = nil }`,
		`return e.step, func() { e.step, e.gone = nil, true }`},

	{"7", "what is half stored is sent", "state/draw.go",
		`	if st.commit != 0 && st.commit >= d.s.position.stored {`,
		`	if st.commit != 0 && st.commit >= d.s.position.stored && e.seq == 0 {`},
	{"7", "a change that is half stored joins what was there before", "state/outbox.go",
		`	if (tx.openAt != 0) && (last.commit == tx.openAt) != (o.Commit == tx.openAt) {`,
		`	if last.seq == 0 {`},
	{"7", "rows inserted by a transaction half stored are forgotten", "state/event.go",
		`	case f.commit != tx.openAt:`,
		`	case f.commit != 0:`},

	{"8", "a change joins past a step it would wait for", "state/outbox.go",
		`s.status == waiting && s.seq > last.seq {`,
		`s.status == waiting && s.seq > last.seq && last.seq == 0 {`},
	{"8", "a change joins past an event it would wait for", "state/outbox.go",
		`		if tx.hangsAfter(ws, name, last.seq) {`,
		`		if tx.hangsAfter(ws, name, last.seq) && last.seq == 0 {`},
	{"8", "a change joins a step in flight", "state/outbox.go",
		`	if last == nil || last.inFlight {`,
		`	if last == nil {`},
	{"8", "a change joins a step in front of one that waits again", "state/outbox.go",
		`(last == nil || s.seq > last.seq) {`,
		`(last == nil || s.seq > 0) {`},
	{"8", "what stands there is settled, not the version sent", "state/settle.go",
		"	return &t.steps[at], func() {\n		t.steps = slices.DeleteFunc(t.steps, func(s step) bool { return s.seq == it.seq })\n	}",
		"	return &t.steps[at], func() { t.steps = nil }"},

	{"9", "what only updates is not said again to a person who has come", "state/settle.go",
		`		tx.sayAgain(t)`,
		``},
	{"9", "what only updates is not said again to who comes to have its address", "state/settle.go",
		"	for _, name := range gained {\n		if key",
		"	for _, name := range gained[:0] {\n		if key"},
	{"9", "a dependant does not wait for an owner that is still to be read", "state/dependant.go",
		`		if !tx.s.ownersComing(ws, kindOf(ownerKey(ws, owner))) {`,
		`		if tx.s.ownersComing(ws, kindOf(ownerKey(ws, owner))) || true {`},
	{"9", "what hangs on an owner is not sent again when that is created", "state/dependant.go",
		`	if !tx.s.registry.hangs(ws) || !tx.any(`,
		`	if !tx.s.registry.hangs(ws) || true || !tx.any(`},
	{"5", "a dependant overtakes its owner", "state/draw.go",
		`		if d.behindOwner(e, address) {`,
		`		if false && d.behindOwner(e, address) {`},
	{"5", "what waited for its owner is sent behind what came after it", "state/sweep.go",
		`	if name[0] == kindThing {`,
		`	if name[0] == kindThing && st.seq == 0 {`},
	{"0", "a device that is given to another is not sent to the other", "state/apply.go",
		`p.thing != name || r.owner != owner`,
		`p.thing != name`},

	{"10", "delivered changes are not counted", "state/settle.go",
		`		b.Delivered += st.parts[i].changes`,
		`		b.Delivered++`},
	{"10", "parked changes that wait again are not counted", "state/waiting.go",
		"		books.Parked -= w.changes\n		changes += w.changes",
		"		books.Parked -= w.changes"},
	{"10", "changes that waited are not counted with a refusal", "state/waiting.go",
		`	changes := o.changes() + o.merged + tx.dropWaiting(m, row)`,
		`	changes := o.changes() + tx.dropWaiting(m, row)`},
	{"10", "what is parked is forgotten by a change of something else", "state/apply.go",
		`	if (ask.Missing || unsaid) && !o.read() {`,
		`	if (ask.Missing || unsaid && n == 0) && !o.read() {`},
	{"10", "what is parked is taken for said", "state/settle.go",
		"	tx.forgetPrints(t, st)\n	tx.setAside(",
		"	tx.setAside("},

	{"11", "what was not sent is taken for null", "mapping/map.go",
		"	text, state := c.New.Get(i)\n	if state == cdc.Absent && c.Old.Len() > 0 &&",
		"	text, state := c.New.Get(i)\n	if state == cdc.Absent && c.Kind == cdc.Update {\n		state = cdc.Null\n	}\n	if state == cdc.Absent && c.Old.Len() > 0 &&"},
	{"11", "what was read wins over what the stream brought since", "cmd/pgcio/pump.go",
		`cdc.State(c.State) != cdc.Absent {`,
		`cdc.State(c.State) != cdc.Absent && columns[i].State == cdc.Absent {`},

	{"0", "a newer version has the timestamp of the one before", "state/outbox.go",
		`		stamp:      max(t.stamp+1, stamp),`,
		`		stamp:      max(t.stamp, stamp),`},
	{"0", "after a restart a newer version has the timestamp of what may have been sent", "state/outbox.go",
		`			stamp = max(stamp, t.stamp+1)`,
		`			stamp = max(stamp, t.stamp)`},
	{"0", "the last timestamp is forgotten with the last row", "state/record.go",
		`!t.created && t.stamp == 0`,
		`!t.created`},
	{"0", "a row read is taken though the stream is newer", "state/apply.go",
		`		newer := r != nil && r.xid != 0 && !o.Visible(r.xid)`,
		`		newer := false`},
	{"0", "rows that are not in leave no xid during a backfill", "state/apply.go",
		"	if b.running() && !o.read() {\n		tx.leaveXID(m, key, o)\n	}\n	if said",
		"	if said"},
	{"0", "a truncate leaves no xid during a backfill", "state/backfill.go",
		`	b.truncated = xid`,
		`			b.truncated = 0`},
	{"0", "a backfill does not know which events the stream has brought", "state/event.go",
		`	met := o.Insert`,
		`	met := false`},
	{"0", "rows that were only updated count as brought by the stream", "state/event.go",
		`	met := o.Insert`,
		`	met := true`},
	{"0", "a reread row is taken though the read is too old", "cmd/pgcio/reads.go",
		"		if !waiting.Seen(page.Snapshot.Visible) {\n			unseen++\n			continue\n		}",
		""},

	{"0", "any answer of 200 is taken for acceptance", "internal/customerio/reply.go",
		`err := json.Unmarshal(body, &object); err != nil || object == nil {`,
		`err := json.Unmarshal(body, &object); err != nil && len(body) == 0 {`},
	{"0", "operations that a 207 refuses are taken for accepted", "internal/customerio/reply.go",
		`		verdicts[*e.Index] = Verdict{Kind: Rejected, Reason: "Customer.io refused it: " + cut(strings.Join(words, ": "))}`,
		`		_ = cut(strings.Join(words, ": "))`},
	{"0", "a 207 that does not add up is believed", "internal/customerio/reply.go",
		`			return unsure("Customer.io answered 207 with a batch_index that is missing, doubled or out of range")`,
		`			continue`},
	{"0", "what is parked is not taken along by a newer version", "state/outbox.go",
		`		if old.status != parked && old.status != orphaned || !s.mayTake(old) {`,
		`		if old.status != parked && old.status != orphaned || !s.mayTake(old) || true {`},
	{"0", "what is refused is not taken along by a newer version", "state/settle.go",
		`	if tx.foldUnderOne(it.ws, t, st, t.steps[at+1:]) {`,
		`	if st.seq == 0 && tx.foldUnderOne(it.ws, t, st, t.steps[at+1:]) {`},
	{"0", "a refused step is taken along as a whole", "state/settle.go",
		"	if len(st.parts) > 1 && !it.orphan {\n		// A step that could",
		"	if len(st.parts) > 1 && !it.orphan && st.seq == 0 {\n		// A step that could"},
	{"0", "a part of a refused step overtakes what its mapping has queued since", "state/settle.go",
		`		if tx.foldUnderOne(it.ws, t, &one, t.steps[at+1:]) {`,
		`		if one.seq == 0 && tx.foldUnderOne(it.ws, t, &one, t.steps[at+1:]) {`},
	{"0", "a request that failed is not sent again", "sink/retry.go",
		"	}\n	s.again = append(s.again, u)\n}",
		"	}\n}"},
	{"0", "half of a request that is refused is not sent again", "sink/retry.go",
		`range [][]*state.Item{u.items[:half], u.items[half:]} {`,
		`range [][]*state.Item{u.items[:half]} {`},
}
