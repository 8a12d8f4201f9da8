package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/state"
)

// audit checks, when an incarnation has ended, that its books balance, and
// that they count every streamed change exactly once.
func (s *schedule) audit() {
	st, err := s.store.Status()
	if err != nil {
		s.t.Fatal(err)
	}
	stored, open := s.store.Stored()
	for _, m := range st.Mappings {
		if !m.Books.Balanced() {
			s.t.Errorf("the books of %s do not balance: %+v", m.Name, m.Books)
		}
		table := map[string]string{"orders": orders, "visits": visits}[m.Name] // which receive nothing but the stream
		if want := s.world.streamed(table, stored, open.Rows); table != "" && m.Books.Received != want {
			s.t.Errorf("the state reaches to %s %+v, %d changes of %s, but the books say %d were received", stored, open, want, table, m.Books.Received)
		}
	}
}

// heldBack checks, after a transaction has been half stored for a while, that
// this held back nothing that was there before it (law 7). Where addresses move,
// what another person still has may wait for the newest version instead.
func (s *schedule) heldBack(pause time.Duration) {
	if !s.world.fixed || s.slow || pause < 20*time.Second || s.dead.Load() {
		return
	}
	st, err := s.store.Status()
	if err != nil {
		s.t.Fatal(err)
	}
	// What is read now shows that transaction, and comes after it; so does what
	// waits for a person who is to be read.
	if st.Rereads > 0 || slices.ContainsFunc(st.Mappings, func(m state.MappingStatus) bool { return m.Backfill.Running }) {
		return
	}
	delivered, err := s.store.Delivered()
	if err != nil {
		s.t.Errorf("delivered: %v", err)
	}
	if stored, open := s.store.Stored(); open.Commit != 0 && delivered < stored {
		s.t.Errorf("transaction %d is half stored; everything to %s is stored, but delivered is only what goes to %s", open.XID, stored, delivered)
	}
}

// operate is the operator: now and then everything parked is tried again, or
// something is given up; only the former in the last incarnation, and not for
// ever.
func (s *schedule) operate(ctx context.Context, last bool) error {
	rng := rand.New(rand.NewPCG(s.seed, uint64(time.Now().UnixNano())))
	look, gives := 15*time.Second, 0.3
	if s.keen() {
		look, gives = 2*time.Second, 0.9
	}
	for end := time.Now().Add(4 * time.Minute); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(rng.Int64N(int64(look)))):
		}
		if last && time.Now().After(end) {
			<-ctx.Done()
			return ctx.Err()
		}
		st, err := s.store.Status()
		if err != nil {
			return err
		}
		for _, m := range st.Mappings {
			if !m.Books.Balanced() {
				return fmt.Errorf("the books of %s do not balance: %+v", m.Name, m.Books)
			}
		}
		asides, err := s.store.Asides("", false, 100)
		if err != nil {
			return err
		}
		switch {
		case len(asides) == 0 || s.alone:
		case !last && rng.Float64() < gives:
			// What is parked of people is the rarest, and the most tangled.
			if of := slices.IndexFunc(asides, func(a state.Aside) bool { return strings.HasPrefix(a.Thing, "id:") }); of >= 0 && s.keen() {
				asides = asides[of : of+1]
			}
			err = s.drop(ctx, asides[rng.IntN(len(asides))].ID)
		default:
			_, err = s.store.Retry(ctx, "", nil)
		}
		if err != nil {
			return err
		}
	}
}

// keen tells whether the operator is one who cannot bear to see anything parked.
func (s *schedule) keen() bool { return s.seed%4 == 0 }

var ulidPattern = regexp.MustCompile(`"id":"([0-9A-Z]{26})"`)

// drop gives an entry up, and remembers that.
func (s *schedule) drop(ctx context.Context, id uint64) error {
	a, err := s.store.Aside(id)
	if err != nil {
		return nil // a change has taken it along
	}
	what := called(a)
	if row, ok := rowAside(a); ok {
		what = a.Mapping + " id:" + row
	} else if m := ulidPattern.FindStringSubmatch(a.Payload); m != nil {
		what = m[1]
	}
	s.world.mu.Lock()
	xid := s.world.xid
	s.world.mu.Unlock()
	s.mu.Lock()
	s.dropped[what] = xid
	s.mu.Unlock()
	s.logf("dropping %d: %s: %s", id, what, a.Reason)
	if _, err := s.store.Drop(ctx, "", []uint64{id}); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// called is how an entry is known to an operator.
func called(a state.Aside) string {
	nameRow(&a)
	return a.Mapping + " " + a.Thing
}

// rowAside is the id of a row that is parked because it could not be mapped.
func rowAside(a state.Aside) (id string, unmapped bool) {
	if a.Row == nil {
		return "", false
	}
	columns, err := mapping.DecodeKey(a.Row)
	if err != nil {
		panic(err)
	}
	return columns[0], true
}

// settle waits until there is nothing left to do.
func (s *schedule) settle(ctx context.Context) {
	if !s.healthy {
		// Not only a restart repairs what went wrong.
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Minute):
		}
		s.mend()
	}
	deadline := time.Now().Add(6 * time.Hour)
	s.quiet(ctx, deadline)
	if ctx.Err() != nil {
		return
	}
	if !s.refusing {
		s.explain() // what may be sent needs no operator
	}
	// What a fault made Customer.io refuse it takes now.
	if _, err := s.store.Retry(ctx, "", nil); err != nil {
		s.t.Fatal(err)
	}
	s.quiet(ctx, deadline)
	if err := s.sim.Settle(ctx); err != nil && ctx.Err() == nil {
		s.t.Fatal(err)
	}
	s.explain()
}

// quiet returns when no more is committed, all that was is stored, and nothing
// waits.
func (s *schedule) quiet(ctx context.Context, deadline time.Time) {
	for quiet := 0; quiet < 3; quiet++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
		st, err := s.store.Status()
		if err != nil {
			s.t.Fatal(err)
		}
		s.world.mu.Lock()
		busy := !s.over.Load() || st.Rereads > 0 || st.Stored < s.world.end
		s.world.mu.Unlock()
		waits := fmt.Sprintf("stored is %s, %d rows wait to be read", st.Stored, st.Rereads)
		for _, m := range st.Mappings {
			if m.Books.Waiting > 0 || m.Backfill.Running {
				busy = true
				waits += fmt.Sprintf("; %s: %d changes wait, backfill %+v", m.Name, m.Books.Waiting, m.Backfill)
			}
		}
		if busy {
			quiet = -1
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not settled after hours: %s", waits)
		}
	}
}

// explain checks that everything that is parked at the end should be, and that
// everything is parked that cannot be sent.
func (s *schedule) explain() {
	w := s.world
	asides, err := s.store.Asides("", false, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	is, aside := map[string]bool{}, map[string]bool{}
	for _, a := range asides {
		aside[a.Thing] = true
	}
	for range asides { // one may be parked because of another
		for _, a := range asides {
			if !s.due(a, aside) {
				continue
			}
			is[called(a)] = true
			if id, unmapped := rowAside(a); unmapped {
				is[a.Mapping+" id:"+id] = true
			} else {
				s.parked[a.Thing] = true
			}
		}
	}
	for _, a := range asides {
		if !is[called(a)] {
			s.t.Errorf("%+v is parked", a)
		}
	}
	s.explainOrphans()
	for _, id := range w.living(contacts) {
		if value(w.current(contacts, id)[whom]) == tooLong && !is["contacts id:"+id] && s.dropped["contacts id:"+id] == 0 {
			s.t.Errorf("contact %s has an address that cannot be sent, and is not parked", id)
			for _, v := range w.rows[contacts][id] {
				s.t.Errorf("DEBUG %+v", v)
			}
			for _, a := range asides {
				s.t.Errorf("DEBUG aside %+v", a)
			}
		}
	}
	for _, id := range w.living(users) {
		if row := w.current(users, id); out(row) && isLong(row[userBio]) && !is["leavers id:"+id] && s.dropped["leavers id:"+id] == 0 {
			s.t.Errorf("user %s has a bio that cannot be sent, and is not parked", id)
		}
	}
}

var parkedOwner = regexp.MustCompile(`id:\d+`)

// explainOrphans checks that the people of events that are kept aside are
// parked, and remembers these.
func (s *schedule) explainOrphans() {
	orphans, err := s.store.Asides("", true, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	clear(s.orphans)
	for _, a := range orphans {
		if owner := parkedOwner.FindString(a.Reason); !s.parked[owner] {
			s.t.Errorf("%+v is orphaned, and %q is not parked", a, owner)
		}
		full, err := s.store.Aside(a.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		if id := ulidPattern.FindStringSubmatch(full.Payload); id != nil {
			s.orphans[id[1]] = true
		}
		s.orphans[a.Thing] = true
	}
}

func isLong(bio cdc.Column) bool { return strings.HasPrefix(value(bio), "long ") }

// due tells whether an entry is rightly parked, where something is set aside of
// these things.
func (s *schedule) due(a state.Aside, aside map[string]bool) bool {
	w := s.world
	row, unmapped := rowAside(a)
	switch a.Mapping {
	case "people":
		// A person whose row has gone keeps the address it had at Customer.io,
		// whatever its row said afterwards; so does one whose own next address
		// cannot be had. Where changes are refused, those that follow may come to
		// be a swap, which stays parked.
		_, holder, held := strings.Cut(a.Reason, "is still held by id:")
		user := strings.TrimPrefix(a.Thing, "id:")
		if held && aside["id:"+holder] && (w.unclear[user] || w.unclear[holder]) {
			return true // a row that was read late says nothing of the addresses in between: it may be a swap
		}
		return held && (s.refusing || out(w.current(users, strings.TrimPrefix(a.Thing, "id:"))) || out(w.current(users, holder)) || s.parked["id:"+holder] || s.dropped["people id:"+holder] != 0)
	case "contacts":
		now := w.current(contacts, row)
		return unmapped && (now == nil || value(now[whom]) == tooLong)
	case "leavers":
		now := w.current(users, row)
		return unmapped && (now == nil || isLong(now[userBio]))
	case "orders", "history":
		return strings.HasPrefix(a.Reason, "event_id is not unique") && slices.ContainsFunc(w.rows[orders][row], func(v rowVersion) bool {
			return v.columns != nil && w.doubled[value(v.columns[orderRef])]
		})
	}
	return false
}
