package state_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/simulator"
)

// TestMergingChangesNothing is law 8: to apply every change alone and deliver
// it before the next leaves Customer.io as it is left by applying all of them
// in a few transactions, some in parts, and delivering what they merged into.
func TestMergingChangesNothing(t *testing.T) {
	merged, all := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		s := drawScript(rt)
		one := s.play(t, true)
		some := s.play(t, false)
		all, merged = all+one.operations, merged+some.operations
		if one.problem+some.problem != "" {
			rt.Fatalf("%s\n%s%s", s, one.problem, some.problem)
		}
		if one.dump != some.dump {
			rt.Fatalf("%s\none at a time:\n%s%s\nmerged:\n%s%s", s, strings.Join(one.sent, "\n"), one.dump, strings.Join(some.sent, "\n"), some.dump)
		}
	})
	t.Logf("%d operations one at a time became %d", all, merged)
	if merged >= all {
		t.Error("nothing merged")
	}
}

// script is a sequence of changes, and how it is cut into transactions.
type script struct {
	steps []change
	cuts  []cut // after each change
}

// cut is what follows a change when changes are stored together.
type cut int

const (
	together cut = iota // the next is of the same transaction and the same commit
	part                // of the same transaction, in the next commit of ours
	ends                // of the next transaction
)

// change is an ask, and the rows as they are after it.
type change struct {
	ask  customerio.Ask
	text string
	rows map[string]customerio.Ask // by mapping and row
}

func (s script) String() string {
	var b strings.Builder
	for i, c := range s.steps {
		fmt.Fprintln(&b, c.text, []string{"", "…", "."}[s.cuts[i]])
	}
	return b.String()
}

// drawScript draws what some tables with unique addresses may go through.
func drawScript(t *rapid.T) script {
	type user struct {
		in          bool
		email, plan string
	}
	users := map[int]*user{}
	rows := map[string]customerio.Ask{}
	var s script
	add := func(text string, ask customerio.Ask) {
		key := fmt.Sprint(ask.Mapping, " ", string(ask.Row))
		if ask.Answer == customerio.In {
			rows[key] = ask
		} else {
			delete(rows, key)
		}
		now := map[string]customerio.Ask{}
		for k, v := range rows {
			now[k] = v
		}
		s.steps = append(s.steps, change{ask, text, now})
		s.cuts = append(s.cuts, rapid.SampledFrom([]cut{together, together, together, ends, ends, part}).Draw(t, "cut"))
	}
	addresses := []string{"a@x.test", "b@x.test", "c@x.test", "d@x.test", ""}
	// An address that a contact names stays with its person: whom it reached on
	// the way through others is said again when a person is created, which is
	// no change that could merge.
	named := map[string]int{}
	free := func(n int) (list []string) {
		for _, e := range addresses {
			if owner := named[e]; owner != 0 && owner != n {
				continue
			}
			if !slices.ContainsFunc([]int{1, 2, 3}, func(other int) bool {
				return e != "" && other != n && users[other] != nil && users[other].email == e
			}) {
				list = append(list, e)
			}
		}
		return list
	}
	nullable := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	orderNumber := 0
	for range rapid.IntRange(1, 14).Draw(t, "changes") {
		n := rapid.IntRange(1, 3).Draw(t, "person")
		u := users[n]
		value := fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "value"))
		switch rapid.SampledFrom([]string{"user", "user", "email", "email", "out", "profile", "contact", "order", "order by email"}).Draw(t, "kind") {
		case "user":
			if u == nil {
				u = &user{email: rapid.SampledFrom(free(n)).Draw(t, "email")}
				users[n] = u
			}
			u.in, u.plan = true, value
			add(fmt.Sprintf("person %d %q plan %s", n, u.email, u.plan), person(n, "email", nullable(u.email), "plan", u.plan))
		case "email":
			if u == nil || !u.in {
				continue
			}
			u.email = rapid.SampledFrom(free(n)).Draw(t, "email")
			add(fmt.Sprintf("person %d %q plan %s", n, u.email, u.plan), person(n, "email", nullable(u.email), "plan", u.plan))
		case "out":
			if u != nil && u.in {
				u.in = false
				add(fmt.Sprintf("person %d leaves", n), answer(people, fmt.Sprint(n), customerio.Out))
			}
		case "profile":
			add(fmt.Sprintf("profile of %d tier %s", n, value), profile(n, "tier", value))
		case "contact":
			if u == nil || !u.in || u.email == "" {
				continue
			}
			named[u.email] = n
			add(fmt.Sprintf("contact %s note %s", u.email, value), set(contacts, u.email, email(u.email), "note of "+u.email[:1], value))
		case "order":
			// What an event of somebody unknown does Customer.io does not say, and
			// an identify does not wait for one (law 5).
			if u == nil {
				continue
			}
			orderNumber++
			add(fmt.Sprintf("order %d of %d", orderNumber, n), order(orderNumber, id(n)))
		case "order by email":
			if u == nil || !u.in || u.email == "" {
				continue
			}
			orderNumber++
			add(fmt.Sprintf("order %d of %s", orderNumber, u.email), order(orderNumber, email(strings.ToUpper(u.email))))
		}
	}
	if len(s.cuts) > 0 {
		s.cuts[len(s.cuts)-1] = ends
	}
	return s
}

// outcome is what a script led to.
type outcome struct {
	dump       string
	sent       []string
	operations int
	problem    string
}

// reporter keeps a failure for rapid, which has to see it to make the script
// smaller.
type reporter struct {
	testing.TB
	problem string
}

type failed struct{}

func (r *reporter) Fatal(args ...any) { r.problem = fmt.Sprintln(args...); panic(failed{}) }
func (r *reporter) Fatalf(format string, args ...any) {
	r.problem = fmt.Sprintf(format, args...)
	panic(failed{})
}

func (s script) play(t *testing.T, alone bool) (out outcome) {
	synctest.Test(t, func(t *testing.T) {
		r := &reporter{TB: t}
		defer func() {
			if p := recover(); p != nil {
				if _, ok := p.(failed); !ok {
					panic(p)
				}
				out.problem = fmt.Sprintf("alone %t: %s", alone, r.problem)
			}
		}()
		h := newHouse(r)
		if err := h.sim.Configure("", func(c *simulator.Settings) {
			c.ReorderItems, c.Tie = true, "random"
			c.Lag, c.LagJitter = simulator.Duration(time.Second), simulator.Duration(time.Second)
		}); err != nil {
			t.Fatal(err)
		}
		at := 0
		h.rows = func(mapping int, row []byte) *customerio.Ask {
			if ask, ok := s.steps[at].rows[fmt.Sprint(mapping, " ", string(row))]; ok {
				return &ask
			}
			return nil
		}
		var gathered []customerio.Ask
		for i, c := range s.steps {
			at = i
			if alone {
				h.transaction(c.ask)
				h.deliver()
				continue
			}
			gathered = append(gathered, c.ask)
			if s.cuts[i] != together {
				h.part(gathered, s.cuts[i] == ends)
				gathered = nil
			}
		}
		if len(s.steps) > 0 {
			h.deliver()
		}
		if problem := mixedUp(h.sim.State("")); problem != "" {
			r.Fatalf("%s\n%s", problem, strings.Join(h.sent, "\n"))
		}
		for m := range h.opts.Mappings {
			if b := h.books(m); b.Waiting > 0 {
				r.Fatalf("still waiting: %+v", b)
			}
		}
		out.dump, out.sent, out.operations = string(h.sim.Dump(simulator.DumpOptions{})), h.sent, len(h.sent)
	})
	return out
}
