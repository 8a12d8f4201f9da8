package state_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/state"
)

// The mappings in force, by their place.
const (
	people   = iota // creates, by id
	profiles        // updates only, by id
	contacts        // updates only, by email
	orders          // events
)

// house is a store and the simulated Customer.io that it is emptied into.
type house struct {
	t      testing.TB
	opts   state.Options
	store  *state.Store
	sim    *simulator.Simulator
	end    lsn.LSN // of the last transaction
	xid    uint64
	stamps map[string]int64 // the last timestamp accepted, by person
	// holders are the people to whom an accepted identify has given an address.
	holders map[string]string
	// again is set where what was set aside is sent again: it keeps its timestamp.
	again bool
	sent  []string // every operation, in the order it left
	rows  func(mapping int, row []byte) *customerio.Ask
}

func newHouse(t testing.TB, change ...func(*state.Options)) *house {
	t.Helper()
	h := &house{t: t, end: 0x1000, xid: 100, stamps: map[string]int64{}, holders: map[string]string{}}
	h.opts = state.Options{
		Memory: state.NewMemory(), Workspaces: []string{"main"},
		Mappings: []state.Mapping{
			{Name: "people", Kind: customerio.Person}, {Name: "profiles", Kind: customerio.Person, UpdateOnly: true},
			{Name: "contacts", Kind: customerio.Person, UpdateOnly: true}, {Name: "orders", Kind: customerio.Event},
		},
	}
	for _, c := range change {
		c(&h.opts)
	}
	var err error
	if h.sim, err = simulator.New(simulator.Options{Seed: 1, LogSize: -1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.sim.Close)
	h.open()
	return h
}

func (h *house) open() {
	h.t.Helper()
	var err error
	if h.store, err = state.Open(h.t.Context(), h.opts); err != nil {
		h.t.Fatal(err)
	}
}

// transaction stores the asks of one transaction of Postgres, in one of ours.
func (h *house) transaction(asks ...customerio.Ask) {
	h.t.Helper()
	h.part(asks, true)
}

// part stores a part of a transaction; last ends it.
func (h *house) part(asks []customerio.Ask, last bool) {
	h.t.Helper()
	h.changes(asks, func(int) bool { return true }, last)
}

// updates is part for rows that were there before.
func (h *house) updates(asks []customerio.Ask, last bool) {
	h.t.Helper()
	h.changes(asks, func(int) bool { return false }, last)
}

// mixed is a transaction of which some changes insert their row.
func (h *house) mixed(asks []customerio.Ask, inserts []bool) {
	h.t.Helper()
	h.changes(asks, func(i int) bool { return inserts[i] }, true)
}

func (h *house) changes(asks []customerio.Ask, insert func(i int) bool, last bool) {
	h.t.Helper()
	err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
		_, open := h.store.Stored()
		o := h.origin()
		mark := state.Mark{Commit: o.Commit, XID: o.XID, Rows: open.Rows + uint64(len(asks))}
		if last {
			mark = state.Mark{}
		}
		tx.Begin(mark.Commit)
		tx.From(&o)
		for i := range asks {
			o.Insert = insert(i)
			ask := asks[i]
			tx.Apply(&ask)
		}
		if last {
			h.end, h.xid = h.end+0x20, h.xid+1
			tx.Through(h.end, mark)
		} else {
			tx.Through(0, mark)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.balanced()
}

// origin is that of the transaction now being stored.
func (h *house) origin() state.Origin {
	return state.Origin{Commit: h.end + 0x10, XID: h.xid, Time: time.Now(), Insert: true}
}

// read stores asks as rows read from their tables.
func (h *house) read(asks ...customerio.Ask) {
	h.t.Helper()
	err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
		o := state.Origin{Time: time.Now(), Visible: func(uint64) bool { return true }}
		tx.From(&o)
		for i := range asks {
			ask := asks[i]
			o.Reread, _ = tx.WaitingRow(ask.Mapping, ask.Row)
			tx.Apply(&ask)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.balanced()
}

// reread answers what the store wants to have read again.
func (h *house) reread() (any bool) {
	h.t.Helper()
	for m := range h.opts.Mappings {
		rows, err := h.store.Rereads(m, 1000)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, w := range rows {
			any = true
			if ask := h.rows(m, w.Row); ask != nil {
				h.read(*ask)
				continue
			}
			if err := h.store.Update(h.t.Context(), func(tx *state.Tx) error {
				w, _ := tx.WaitingRow(m, w.Row)
				tx.Vanished(w)
				return nil
			}); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	return any
}

// draw takes one request's worth.
func (h *house) draw() ([]*state.Item, time.Time) {
	h.t.Helper()
	return h.drawUpTo(customerio.MaxItems)
}

func (h *house) drawUpTo(room int) ([]*state.Item, time.Time) {
	h.t.Helper()
	var p customerio.Packer
	items, next, err := h.store.Draw(0, room, p.Add)
	if err != nil {
		h.t.Fatal(err)
	}
	h.free(items)
	return items, next
}

// must draws, and expects these operations ("identify id:1", "event id:1").
func (h *house) must(want ...string) []*state.Item {
	h.t.Helper()
	items, _ := h.draw()
	var got []string
	for _, it := range items {
		got = append(got, name(&it.Operation))
	}
	if !slices.Equal(got, want) {
		h.t.Fatalf("drew %q, want %q", got, want)
	}
	return items
}

func name(op *customerio.Operation) string {
	if op.Action == customerio.Track {
		return "event " + op.Person.String()
	}
	return "identify " + op.Person.String()
}

// free fails when two operations of one draw conflict (law 5): what is sent
// together may be applied in any order.
func (h *house) free(items []*state.Item) {
	h.t.Helper()
	// names are the address, what is written, and by what else the person goes.
	names := func(op *customerio.Operation) (list []string) {
		list = append(list, customerio.Fold(op.Person).String())
		if op.Action == customerio.Identify {
			list = append(list, writes(op)...)
		}
		for _, n := range slices.Clone(list) {
			for e, holder := range h.holders {
				if n == e || n == holder {
					list = append(list, e, holder)
				}
			}
		}
		return list
	}
	for i, a := range items {
		for _, b := range items[i+1:] {
			if a.Refuse != "" || b.Refuse != "" || a.Operation.Action == customerio.Track {
				continue // events conflict with nothing that comes after them but what stops their address
			}
			for _, n := range names(&a.Operation) {
				if slices.Contains(names(&b.Operation), n) {
					h.t.Fatalf("%s and %s left together, both are about %s", name(&a.Operation), name(&b.Operation), n)
				}
			}
		}
	}
}

// send sends what was drawn, as the sink does, and settles it.
func (h *house) send(items []*state.Item) {
	h.t.Helper()
	settled := make([]state.Settled, 0, len(items))
	var sent []*state.Item
	var p customerio.Packer
	for _, it := range items {
		if it.Refuse != "" {
			settled = append(settled, state.Settled{Item: it, Verdict: customerio.Verdict{Kind: customerio.Rejected, Reason: it.Refuse}})
			continue
		}
		h.timely(&it.Operation)
		h.sent = append(h.sent, string(it.Operation.AppendJSON(nil)))
		sent = append(sent, it)
		p.Add(&it.Operation)
	}
	if len(sent) > 0 {
		req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, "http://track/api/v2/batch", bytes.NewReader(p.Body()))
		if err != nil {
			h.t.Fatal(err)
		}
		ws := simulator.DefaultWorkspace()
		req.SetBasicAuth(ws.SiteID, ws.TrackKey)
		res, err := h.sim.Transport().RoundTrip(req)
		if err != nil {
			h.t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			h.t.Fatal(err)
		}
		reply := customerio.ReadReply(res.StatusCode, res.Header, body, len(sent), time.Now())
		if reply.Do != customerio.Settle {
			h.t.Fatalf("%+v", reply)
		}
		for i, it := range sent {
			if reply.Verdicts[i].Kind == customerio.Accepted {
				h.accepted(&it.Operation)
			}
			settled = append(settled, state.Settled{Item: it, Verdict: reply.Verdicts[i]})
		}
	}
	h.settle(settled...)
}

func (h *house) settle(settled ...state.Settled) {
	h.t.Helper()
	if err := h.store.Settle(h.t.Context(), settled); err != nil {
		h.t.Fatal(err)
	}
	h.balanced()
}

// refuse settles items as Customer.io's refusals.
func (h *house) refuse(items ...*state.Item) {
	h.t.Helper()
	for _, it := range items {
		h.settle(state.Settled{Item: it, Verdict: customerio.Verdict{Kind: customerio.Rejected, Reason: "no"}})
	}
}

// timely checks an operation's timestamp: of one person's identifies each is
// later than the one before, and none lies more than a second ahead.
func (h *house) timely(op *customerio.Operation) {
	h.t.Helper()
	if op.Action != customerio.Identify {
		return
	}
	who := customerio.Fold(op.Person).String()
	if last := h.stamps[who]; op.Timestamp <= last && !h.again {
		h.t.Fatalf("%s is stamped %d, after %d", who, op.Timestamp, last)
	}
	if ahead := op.Timestamp - time.Now().Unix(); ahead > 1 {
		h.t.Fatalf("%s is stamped %d seconds ahead", who, ahead)
	}
}

func (h *house) accepted(op *customerio.Operation) {
	who := customerio.Fold(op.Person).String()
	if op.Action != customerio.Identify {
		return
	}
	h.stamps[who] = op.Timestamp
	for _, a := range op.Attributes {
		if a.Name == "email" {
			maps.DeleteFunc(h.holders, func(_, holder string) bool { return holder == who })
		}
	}
	for _, e := range writes(op) {
		h.holders[e] = who
	}
}

// writes are the identifiers among an operation's attributes.
func writes(op *customerio.Operation) (list []string) {
	for _, a := range op.Attributes {
		if kind, ok := customerio.Identifying(a.Name); ok {
			if id, some := customerio.IdentifierOf(kind, a.Value); some {
				list = append(list, id.String())
			}
		}
	}
	return list
}

// sweep does what is left to be done in pieces.
func (h *house) sweep() {
	h.t.Helper()
	for more := true; more; {
		var err error
		if more, err = h.store.Sweep(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// deliver sends until nothing is left to send.
func (h *house) deliver() {
	h.t.Helper()
	for range 10_000 {
		h.sweep()
		items, next := h.draw()
		switch {
		case len(items) > 0:
			h.send(items)
		case !next.IsZero():
			time.Sleep(max(time.Until(next), time.Millisecond))
		case h.rows != nil && h.reread():
		default:
			if err := h.sim.Settle(h.t.Context()); err != nil {
				h.t.Fatal(err)
			}
			return
		}
	}
	h.t.Fatal("it never ends")
}

func (h *house) books(mapping int) state.Books {
	h.t.Helper()
	st, err := h.store.Status()
	if err != nil {
		h.t.Fatal(err)
	}
	return st.Mappings[mapping].Books
}

func (h *house) balanced() {
	h.t.Helper()
	st, err := h.store.Status()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range st.Mappings {
		if !m.Books.Balanced() {
			h.t.Fatalf("the books of %s do not balance: %+v", m.Name, m.Books)
		}
		if m.InFlight > m.Books.Waiting {
			h.t.Fatalf("%s has %d in flight of %d that wait", m.Name, m.InFlight, m.Books.Waiting)
		}
	}
}

func (h *house) asides() []state.Aside {
	h.t.Helper()
	asides, err := h.store.Asides("", false, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	return asides
}

// mixedUp tells what Customer.io made of an address that was given to somebody
// before somebody else had let go of it: nothing that anyone hears of.
func mixedUp(held simulator.State) string {
	refused, rekeyed := held.Drops[simulator.DropIdentifierConflict], held.Notices[simulator.NoticeRekeyed]
	if refused+rekeyed == 0 {
		return ""
	}
	return fmt.Sprintf("%d identifiers were refused silently, %d people were taken for others: %+v", refused, rekeyed, held.FailedAttributeChanges)
}

// value is what Customer.io has for an attribute of a person, as JSON.
func (h *house) value(who, attribute string) string {
	p, _ := h.sim.State("").Person(who)
	return p.Value(attribute)
}

// set is the ask of a row that is in. Attributes are names and values in turn;
// nil is null.
func set(mapping int, row string, who customerio.Identifier, attributes ...any) customerio.Ask {
	a := customerio.Ask{Mapping: mapping, Row: []byte(row), Answer: customerio.In, Operation: customerio.Operation{Kind: customerio.Person, Action: customerio.Identify, Person: who}}
	for i := 0; i < len(attributes); i += 2 {
		value, err := json.Marshal(attributes[i+1])
		if err != nil {
			panic(err)
		}
		a.Operation.Attributes = append(a.Operation.Attributes, customerio.Attribute{Name: attributes[i].(string), Value: value})
	}
	return a
}

func person(n int, attributes ...any) customerio.Ask {
	return set(people, fmt.Sprint(n), id(n), attributes...)
}

func profile(n int, attributes ...any) customerio.Ask {
	return set(profiles, fmt.Sprint(n), id(n), attributes...)
}

func id(n int) customerio.Identifier {
	return customerio.Identifier{Type: customerio.ID, Value: fmt.Sprint(n)}
}

func email(address string) customerio.Identifier {
	return customerio.Identifier{Type: customerio.Email, Value: address}
}

// order is the ask of an event's row.
func order(n int, who customerio.Identifier) customerio.Ask {
	key := fmt.Sprint(n)
	return customerio.Ask{Mapping: orders, Row: []byte(key), Answer: customerio.In, EventKey: customerio.EventKey("orders", key), Operation: customerio.Operation{
		Kind: customerio.Event, Action: customerio.Track, Person: who, Name: "Ordered", ID: customerio.EventULID("orders", key), Timestamp: 1_700_000_000,
		Attributes: []customerio.Attribute{{Name: "order", Value: []byte(key)}},
	}}
}

func answer(mapping int, row string, a customerio.Answer) customerio.Ask {
	return customerio.Ask{Mapping: mapping, Row: []byte(row), Answer: a}
}
