package main

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/simulator"
)

// check compares what Customer.io holds, and how it came by it, with what was
// committed.
func (s *schedule) check() {
	s.world.spread()
	s.checkPeople()
	s.checkContacts()
	s.checkLeavers()
	s.checkOrders()
	s.checkVisits()
	s.checkHistory()
	s.checkThings()
	for _, name := range simulatedWorkspaces {
		s.checkOrder(name)
		held := s.sim.State(name)
		// Where what was accepted once is refused the next time, nobody knows who
		// has an address.
		if n := held.Notices[simulator.NoticeEventIDReused]; n > 0 && (name != "main" || !s.refusing) {
			s.t.Errorf("%s: %d events have the id of another", name, n)
		}
		if n := held.Drops[simulator.DropIdentifierConflict]; n > 0 && !s.refusing {
			s.t.Errorf("%s: %d identifier conflicts: %+v", name, n, held.FailedAttributeChanges)
		}
		if s.t.Failed() && s.trace {
			for _, a := range s.wire.accepted(name) {
				s.logf("%s %s accepted %s %v of %d %s: %s", a.At.Format("04:05.000"), name, a.Acceptance.Action, a.Names(), a.Timestamp, a.sentItem.ID, compact(a.Attributes))
			}
		}
	}
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// given tells whether the operator gave up what a mapping asks of a thing, and
// its row has asked nothing since.
func (s *schedule) given(mapping, thing string, changed uint64) bool {
	at := s.dropped[mapping+" "+thing]
	return at != 0 && changed <= at
}

func (s *schedule) checkPeople() {
	t, w := s.t, s.world
	held := s.sim.State("main")
	for _, id := range w.living(users) {
		row := w.current(users, id)
		if out(row) || s.parked["id:"+id] || s.given("people", "id:"+id, w.changedBy(users, id)) {
			continue
		}
		p, ok := held.Person("id:" + id)
		if !ok {
			t.Errorf("user %s is not there", id)
			continue
		}
		want := map[string]string{"plan": strconv.Quote(value(row[userPlan])), "has_bio": "true", "bio": strconv.Quote(value(row[userBio]))}
		if row[userBio].State == cdc.Null {
			want["has_bio"], want["bio"] = "false", ""
		}
		if isLong(row[userBio]) || s.dropped["people id:"+id] != 0 {
			delete(want, "bio") // it is left out, or given up and unchanged since
		}
		for name, v := range want {
			if got := p.Value(name); got != v {
				t.Errorf("user %s: %s is %s, want %s", id, name, got, v)
			}
		}
		if p.Email != value(row[userEmail]) && (w.clear(id) || !s.refusing) {
			t.Errorf("user %s: email is %q, want %q", id, p.Email, value(row[userEmail]))
		}
		for _, pid := range w.living(profiles) {
			profile := w.current(profiles, pid)
			if value(profile[whom]) == id && p.Value("tier") != strconv.Quote(value(profile[profileTier])) && !s.given("profiles", "id:"+id, w.changedBy(profiles, pid)) {
				t.Errorf("user %s: tier is %s, want %q", id, p.Value("tier"), value(profile[profileTier]))
			}
		}
	}
}

// checkContacts is about what people are told by their address: whoever had it
// when the contact was written, or came with it later, must know.
func (s *schedule) checkContacts() {
	w := s.world
	if s.refusing {
		return // what was parked meanwhile let others pass
	}
	held := s.sim.State("main")
	for _, user := range w.living(users) {
		row := w.current(users, user)
		email := value(row[userEmail])
		if !w.clear(user) || s.parked["id:"+user] || s.given("people", "id:"+user, w.changedBy(users, user)) {
			continue
		}
		p, _ := held.Person("id:" + user)
		for _, id := range w.living(contacts) {
			contact := w.current(contacts, id)
			if value(contact[whom]) != email {
				continue
			}
			if want := strconv.Quote(value(contact[contactScore])); p.Value("score") != want {
				s.t.Errorf("user %s with the address %s: score is %s, want %s", user, email, p.Value("score"), want)
			}
		}
	}
}

func (s *schedule) checkLeavers() {
	t, w := s.t, s.world
	held := s.sim.State("other")
	for _, id := range w.living(users) {
		row := w.current(users, id)
		if !out(row) || isLong(row[userBio]) || s.given("leavers", "id:"+id, w.changedBy(users, id)) {
			continue
		}
		p, ok := held.Person("id:" + id)
		if !ok {
			t.Errorf("user %s has left and is not in the other workspace", id)
			continue
		}
		if p.Value("plan") != strconv.Quote(value(row[userPlan])) {
			t.Errorf("user %s has left: plan is %s, want %q", id, p.Value("plan"), value(row[userPlan]))
		}
		if s.dropped["leavers id:"+id] != 0 {
			continue // it was given up, and may be unchanged since
		}
		if bio := value(row[userBio]); row[userBio].State == cdc.Null && p.Value("bio") != "" || row[userBio].State == cdc.Present && p.Value("bio") != strconv.Quote(bio) {
			t.Errorf("user %s has left: bio is %s, want %q", id, p.Value("bio"), bio)
		}
	}
}

// eventID is the ULID of an event, as law 6 states it.
func eventID(mapping, id string) string {
	sum := sha256.Sum256(append([]byte{byte(len(mapping))}, mapping+id...))
	// 80 bits are 16 letters of Crockford's alphabet; the ten of the time are 0.
	const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	id = strings.Repeat("0", 10)
	n := new(big.Int).SetBytes(sum[:10])
	for shift := 75; shift >= 0; shift -= 5 {
		id += string(letters[new(big.Int).And(new(big.Int).Rsh(n, uint(shift)), big.NewInt(31)).Int64()])
	}
	return id
}

// eventsOf are the events of that name in a workspace, by id.
func (s *schedule) eventsOf(workspace, name string) map[string]simulator.Event {
	found := map[string]simulator.Event{}
	for _, e := range s.sim.State(workspace).Events {
		if e.Name == name {
			found[e.ID] = e
		}
	}
	return found
}

func (s *schedule) checkOrders() {
	events := s.eventsOf("main", "Ordered")
	w := s.world
	for ref, want := range w.events {
		id := eventID("orders", ref)
		e, ok := events[id]
		delete(events, id)
		switch {
		case !ok && (s.dropped[id] != 0 || s.orphans[id]):
		case !ok:
			s.t.Errorf("order %s has no event", ref)
		case string(e.Data) != `{"total":"`+want.total+`"}` || e.Person != "id:"+want.user && !s.refusing:
			s.t.Errorf("order %s: the event is of %s %s, want %+v", ref, e.Person, e.Data, want)
		case e.Orphan && w.there(want.user) && !s.refusing && (w.clear(want.user) || s.crashes == 0):
			s.t.Errorf("order %s: the event was there before user %s", ref, want.user)
		}
	}
	for id, e := range events {
		s.t.Errorf("event %s of %s %s is of no order", id, e.Person, e.Data)
	}
}

func (s *schedule) checkVisits() {
	events := s.eventsOf("main", "Visited")
	for visit, user := range s.world.visited {
		id := eventID("visits", visit)
		e, ok := events[id]
		delete(events, id)
		switch {
		case !ok && (s.dropped[id] != 0 || s.orphans[id]):
		case !ok:
			s.t.Errorf("visit %s has no event", visit)
		case s.world.clear(user) && e.Person != "id:"+user && !s.refusing && !s.parked["id:"+user]:
			s.t.Errorf("visit %s was of user %s, but the event is of %s", visit, user, e.Person)
		}
	}
	for id := range events {
		s.t.Errorf("event %s is of no visit", id)
	}
}

// checkHistory is about events that are read from the table as well: those
// that the stream brought are as their transaction left them, and of an older
// row there is one if it was not a draft.
func (s *schedule) checkHistory() {
	t, w := s.t, s.world
	events := s.eventsOf("other", "Ordered")
	for ref, want := range w.events {
		id := eventID("history", ref)
		e, ok := events[id]
		delete(events, id)
		switch {
		case w.doubled[ref]:
		case !ok && (s.dropped[id] != 0 || s.orphans[id]):
		case !ok:
			t.Errorf("order %s has no event in the history", ref)
		case string(e.Data) != `{"total":"`+want.total+`"}` || e.Person != "id:"+want.user || strconv.FormatInt(e.Timestamp, 10) != want.placed:
			t.Errorf("order %s: the history has %s %s at %d, want %+v", ref, e.Person, e.Data, e.Timestamp, want)
		}
	}
	held := maps.Clone(events)
	for _, order := range w.ids[orders] {
		if w.fresh[order] {
			continue
		}
		steady := w.current(orders, order) != nil
		first := value(w.rows[orders][order][0].columns[orderRef])
		_, found := held[eventID("history", first)]
		for _, v := range w.rows[orders][order] {
			if v.columns != nil {
				ref := value(v.columns[orderRef])
				steady = steady && value(v.columns[orderStatus]) != "draft" && ref == first
				delete(events, eventID("history", ref))
			}
		}
		if steady && !found && s.dropped[eventID("history", first)] == 0 && !w.doubled[first] {
			t.Errorf("order %s was there before the slot, and the history does not have it", first)
		}
	}
	for id, e := range events {
		t.Errorf("event %s of %s %s in the history is of no order", id, e.Person, e.Data)
	}
}

// checkThings is about devices, objects and relationships: whoever is there has
// those that the rows name, however late.
func (s *schedule) checkThings() {
	w := s.world
	held := s.sim.State("main")
	is := func(user string) (simulator.Person, bool) {
		row := w.current(users, user)
		if out(row) || s.parked["id:"+user] || s.dropped["people id:"+user] != 0 {
			return simulator.Person{}, false
		}
		p, ok := held.Person("id:" + user)
		return p, ok // that somebody is missing checkPeople says
	}
	given := func(mapping, thing string) bool { return s.dropped[mapping+" "+thing] != 0 || s.orphans[thing] }
	for _, id := range w.living(accounts) {
		want := strconv.Quote(value(w.current(accounts, id)[accountName]))
		o, ok := held.Object("1", id)
		if got := o.Value("name"); (!ok || got != want) && !given("accounts", "object:1/"+id) {
			s.t.Errorf("account %s: the object's name is %s, want %s", id, got, want)
		}
	}
	for _, id := range w.living(phones) {
		row := w.current(phones, id)
		p, ok := is(value(row[whom]))
		token := value(row[phoneToken])
		if !ok || given("phones", "device:"+token) {
			continue
		}
		at := slices.IndexFunc(p.Devices, func(d simulator.Device) bool { return d.Token == token })
		if at < 0 || p.Devices[at].Attributes["build"] != value(row[phoneBuild]) {
			s.t.Errorf("user %s: device %s is %+v, want build %s", p.ID, token, p.Devices, value(row[phoneBuild]))
		}
	}
	for _, id := range w.living(seats) {
		row := w.current(seats, id)
		p, ok := is(value(row[whom]))
		account := value(row[seatAccount])
		if !ok || w.current(accounts, account) == nil || given("seats", "relationship:id:"+p.ID+" 1/"+account) || given("accounts", "object:1/"+account) {
			continue
		}
		r, ok := p.Relationship("1", account)
		if got, want := string(r.Attributes["role"].Value), strconv.Quote(value(row[seatRole])); !ok || got != want {
			s.t.Errorf("user %s: its relationship to account %s has role %s, want %s", p.ID, account, got, want)
		}
	}
}

// checkOrder checks, in the order in which operations were accepted, that of
// every attribute of everybody neither timestamps nor versions go back, and
// that two values of it never have the same timestamp.
func (s *schedule) checkOrder(workspace string) {
	type last struct {
		timestamp int64
		value     string
		xid       int
	}
	seen := map[string]last{}
	for _, a := range s.wire.accepted(workspace) {
		if a.Acceptance.Action != "identify" || a.Type == "object" {
			continue
		}
		person := slices.Min(a.names()) // an address sorts before an id
		if id, ok := a.Identifiers["id"]; ok {
			person = "id:" + id
		}
		for name, raw := range a.Attributes {
			if name == "_update" {
				continue
			}
			now := last{a.Timestamp, string(raw), 0}
			if m := markPattern.FindSubmatch(raw); m != nil {
				now.xid = number(string(m[1]))
			}
			was, had := seen[person+" "+name]
			switch {
			case !had:
			case now.timestamp < was.timestamp:
				s.t.Errorf("%s: %s of %s was accepted as of %d after %d", workspace, name, person, now.timestamp, was.timestamp)
			case now.timestamp == was.timestamp && now.value != was.value:
				s.t.Errorf("%s: %s of %s is both %s and %s as of %d", workspace, name, person, was.value, now.value, now.timestamp)
			case now.xid != 0 && now.xid < was.xid && name != "score": // an older contact may move to an address
				s.t.Errorf("%s: %s of %s was accepted as %s after %s", workspace, name, person, now.value, was.value)
			}
			if now.xid == 0 {
				now.xid = was.xid
			}
			seen[person+" "+name] = now
		}
	}
}
