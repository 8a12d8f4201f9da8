package state_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// The mappings that a house of things has beside the others.
const (
	devices = iota + 4
	seats
	accounts
)

func withThings(o *state.Options) {
	o.Mappings = append(o.Mappings,
		state.Mapping{Name: "devices", Kind: customerio.Device},
		state.Mapping{Name: "seats", Kind: customerio.Relationship},
		state.Mapping{Name: "accounts", Kind: customerio.Object})
}

// thingAsk is the ask of a row that is in.
func thingAsk(mapping int, row string, op customerio.Operation, attributes ...any) customerio.Ask {
	for i := 0; i < len(attributes); i += 2 {
		value, err := json.Marshal(attributes[i+1])
		if err != nil {
			panic(err)
		}
		op.Attributes = append(op.Attributes, customerio.Attribute{Name: attributes[i].(string), Value: value})
	}
	op.Action = op.Kind.Action()
	return customerio.Ask{Mapping: mapping, Row: []byte(row), Answer: customerio.In, Operation: op}
}

func phone(row, token string, who customerio.Identifier, attributes ...any) customerio.Ask {
	a := thingAsk(devices, row, customerio.Operation{Kind: customerio.Device, Person: who, Token: token}, attributes...)
	a.Operation.Attributes = append(a.Operation.Attributes, customerio.Attribute{Name: customerio.FieldPlatform, Value: []byte(`"ios"`), Always: true})
	return a
}

func seat(row string, who customerio.Identifier, account string, attributes ...any) customerio.Ask {
	return thingAsk(seats, row, customerio.Operation{Kind: customerio.Relationship, Person: who, ObjectType: "1", ObjectID: account}, attributes...)
}

func account(name string, attributes ...any) customerio.Ask {
	return thingAsk(accounts, name, customerio.Operation{Kind: customerio.Object, ObjectType: "1", ObjectID: name}, attributes...)
}

// leave draws, and expects operations on these things; a person's events are not
// told apart.
func (h *house) leave(want ...string) []*state.Item {
	h.t.Helper()
	items := h.take()
	var got []string
	for _, it := range items {
		op := it.Operation
		if it.Refuse != "" {
			got = append(got, "refused "+op.Thing().String())
			continue
		}
		got = append(got, op.Thing().String())
	}
	if !slices.Equal(got, want) {
		h.t.Fatalf("drew %q, want %q", got, want)
	}
	return items
}

func (h *house) take() []*state.Item {
	h.t.Helper()
	var p customerio.Packer
	items, _, err := h.store.Draw(0, customerio.MaxItems, p.Add)
	if err != nil {
		h.t.Fatal(err)
	}
	return items
}

// accept settles items as accepted, and those that must not be sent as refused.
func (h *house) accept(items []*state.Item) {
	h.t.Helper()
	for _, it := range items {
		v := customerio.Verdict{Kind: customerio.Accepted}
		if it.Refuse != "" {
			v = customerio.Verdict{Kind: customerio.Rejected, Reason: it.Refuse}
		}
		h.settle(state.Settled{Item: it, Verdict: v})
	}
	h.sweep()
}

// A dependant waits for what is queued for its owners, and nobody for it.
func TestDependantsWaitForTheirOwners(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"), account("acme", "name", "Acme"), phone("1", "t1", id(1)), seat("1", id(1), "acme", "role", "admin"), seat("2", id(2), "acme"))
		first := h.leave("id:1", "object:1/acme")
		h.accept(first[:1])
		h.leave("device:t1")
		h.accept(first[1:])
		h.leave("relationship:id:1 1/acme", "relationship:id:2 1/acme")
	}, withThings)
}

// What reached nobody is sent again when its owner is created, also if it carries
// nothing; what is about to be sent is not.
func TestDependantsAreSentAgain(t *testing.T) {
	bubble(t, func(h *house) {
		asks := map[string]customerio.Ask{"1": phone("1", "t1", id(1)), "2": seat("2", id(1), "acme")}
		h.rows = func(_ int, row []byte) *customerio.Ask { ask := asks[string(row)]; return &ask }
		h.transaction(asks["1"], asks["2"])
		h.accept(h.leave("device:t1", "relationship:id:1 1/acme"))
		h.transaction(person(1))
		h.accept(h.leave("id:1"))
		if !h.reread() {
			t.Fatal("nothing is read again")
		}
		h.accept(h.leave("device:t1", "relationship:id:1 1/acme"))
		h.transaction(account("acme"), person(1, "plan", "b"))
		h.accept(h.leave("object:1/acme"))
		h.reread()
		h.accept(h.leave("id:1")) // which it waits for
		h.accept(h.leave("relationship:id:1 1/acme"))
		if h.reread() {
			t.Error("something is read once more")
		}
		h.transaction(person(2), seat("3", id(2), "acme"))
		h.accept(h.leave("id:2"))
		h.accept(h.leave("relationship:id:2 1/acme"))
		if h.reread() {
			t.Error("what was sent after its owner is read again")
		}
	}, withThings)
}

// A device is of one person at a time: it is given on after it was given.
func TestADeviceIsGivenOn(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(phone("1", "t1", id(1), "app", "1"))
		h.transaction(phone("1", "t1", id(2), "app", "2"))
		h.transaction(phone("1", "t1", id(2), "app", "3"))
		first := h.leave("device:t1")
		if got := first[0].Operation.Person; got != id(1) {
			t.Fatalf("the device goes to %s first", got)
		}
		h.accept(first)
		second := h.leave("device:t1")
		if got := string(second[0].Operation.AppendJSON(nil)); got != `{"type":"person","action":"add_device","identifiers":{"id":"2"},"device":{"token":"t1","platform":"ios","attributes":{"app":"3"}}}` {
			t.Errorf("then it is sent as %s", got)
		}
		h.accept(second)
		// Only what differs, and the platform.
		h.transaction(phone("1", "t1", id(2), "app", "3", "beta", "yes"))
		third := h.leave("device:t1")
		if got := string(third[0].Operation.AppendJSON(nil)); got != `{"type":"person","action":"add_device","identifiers":{"id":"2"},"device":{"token":"t1","platform":"ios","attributes":{"beta":"yes"}}}` {
			t.Errorf("a change is sent as %s", got)
		}
		h.accept(third)
		h.transaction(phone("1", "t1", id(2), "app", "3", "beta", "yes"))
		h.leave()
	}, withThings)
}

// Somebody who comes late does not get back a device that has been given on.
func TestADeviceIsNotGivenBack(t *testing.T) {
	bubble(t, func(h *house) {
		asks := map[string]customerio.Ask{"1": phone("1", "t1", id(1)), "2": phone("2", "t1", id(2))}
		h.rows = func(_ int, row []byte) *customerio.Ask { ask := asks[string(row)]; return &ask }
		h.transaction(asks["1"])
		h.accept(h.leave("device:t1"))
		h.transaction(asks["2"])
		h.accept(h.leave("device:t1"))
		h.transaction(person(1))
		h.accept(h.leave("id:1"))
		if h.reread() {
			t.Error("the row of who had it before is read again")
		}
		h.transaction(person(2))
		h.accept(h.leave("id:2"))
		if !h.reread() {
			t.Error("the row of who has it now is not read again")
		}
		if got := h.leave("device:t1")[0].Operation.Person; got != id(2) {
			t.Errorf("it is given to %s", got)
		}
	}, withThings)
}

// What is sent to an owner who has come is all there is to say, also where a part
// of it was said, or waits to be said, when the owner came.
func TestAllIsSentAgain(t *testing.T) {
	bubble(t, func(h *house) {
		first, second := phone("1", "t1", id(1), "app", "1"), phone("1", "t1", id(1), "app", "1", "beta", "yes")
		h.rows = func(int, []byte) *customerio.Ask { ask := second; return &ask }
		h.transaction(first)
		h.accept(h.leave("device:t1"))
		h.transaction(person(1), second)
		h.accept(h.leave("id:1"))
		h.reread()
		it := h.leave("device:t1")
		if got := string(it[0].Operation.AppendJSON(nil)); !strings.Contains(got, `"app":"1"`) || !strings.Contains(got, `"beta":"yes"`) {
			t.Errorf("it is sent as %s", got)
		}
		h.accept(it)
		if h.reread() {
			t.Error("it is read once more")
		}
	}, withThings)
}

// What left after its owner, before anything was swept, is not sent again.
func TestWhatLeftAfterItsOwnerIsNotSentAgain(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1), phone("1", "t1", id(1)), phone("2", "t2", id(1)))
		h.settle(state.Settled{Item: h.leave("id:1")[0], Verdict: customerio.Verdict{Kind: customerio.Accepted}})
		phones := h.leave("device:t1", "device:t2")
		h.settle(state.Settled{Item: phones[0], Verdict: customerio.Verdict{Kind: customerio.Accepted}})
		h.sweep()
		for m := range h.opts.Mappings {
			if rows, err := h.store.Rereads(m, 10); err != nil || len(rows) > 0 {
				t.Errorf("%d rows are read again: %v", len(rows), err)
			}
		}
		h.accept(phones[1:])
	}, withThings)
}

// What hangs on somebody whose creation is parked is kept aside; a newer change
// of it is merged with that.
func TestOrphanedDependants(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(person(1, "plan", "a"), phone("1", "t1", id(1), "app", "1"))
		h.refuse(h.leave("id:1")...)
		h.accept(h.leave("refused device:t1"))
		if b := h.books(devices); b.Orphaned != 1 || b.Parked != 0 {
			t.Fatalf("the device's books: %+v", b)
		}
		h.transaction(phone("1", "t1", id(1), "app", "2"))
		h.accept(h.leave("refused device:t1"))
		if b := h.books(devices); b.Orphaned != 2 || b.Waiting != 0 {
			t.Fatalf("the device's books after a newer change: %+v", b)
		}
		if _, err := h.store.Retry(h.t.Context(), "people", nil); err != nil {
			t.Fatal(err)
		}
		h.accept(h.leave("id:1"))
		it := h.leave("device:t1")
		if got := string(it[0].Operation.AppendJSON(nil)); got != `{"type":"person","action":"add_device","identifiers":{"id":"1"},"device":{"token":"t1","platform":"ios","attributes":{"app":"2"}}}` {
			t.Errorf("the device is sent as %s", got)
		}
		h.accept(it)
		if b := h.books(devices); b.Orphaned != 0 || b.Delivered != 2 {
			t.Errorf("the device's books at the end: %+v", b)
		}
	}, withThings)
}

// While people are still being read, what hangs on one that has not been met
// waits, and keeps its order when that one comes.
func TestDependantsWaitForABackfill(t *testing.T) {
	bubble(t, func(h *house) {
		h.transaction(seat("1", id(1), "acme", "role", "old"))
		h.part([]customerio.Ask{seat("1", id(1), "acme", "role", "new")}, false)
		h.part([]customerio.Ask{seat("2", id(1), "other")}, true)
		h.leave()
		h.read(person(1))
		h.accept(h.leave("id:1"))
		h.leave() // the object may still be read
		h.read(account("acme"))
		h.accept(h.leave("object:1/acme"))
		it := h.leave("relationship:id:1 1/acme")
		if got := string(it[0].Operation.Attributes[0].Value); got != `"old"` {
			t.Fatalf("role %s goes first", got)
		}
		h.accept(it)
		it = h.leave("relationship:id:1 1/acme")
		if got := string(it[0].Operation.Attributes[0].Value); got != `"new"` {
			t.Errorf("role %s goes last", got)
		}
	}, withThings, func(o *state.Options) { o.Mappings[people].Backfill, o.Mappings[accounts].Backfill = true, true })
}
