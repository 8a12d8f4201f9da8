package simulator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestNobodyIsLost does thousands of random operations on few names, under
// every combination of the settings about identity, and then looks whether the
// people and the names they are found by still agree.
func TestNobodyIsLost(t *testing.T) {
	seed := uint64(0)
	for _, identifiers := range []string{"id+email", "id", "email"} {
		for _, newID := range []string{"rekey", "fail"} {
			for _, conflict := range []string{"identifier", "request"} {
				for _, byID := range []bool{true, false} {
					seed++
					settings := DefaultSettings()
					settings.Identifiers, settings.NewIDForKnownEmail, settings.Conflict = identifiers, newID, conflict
					settings.EmailUpdatesByID, settings.PhoneIdentifier, settings.Tie = byID, true, "random"
					if byID {
						settings.MergeDependants, settings.MergeIdentifiers = "move", "drop"
						settings.TokenElsewhere, settings.UnknownMember = "take", "create"
					}
					w := DefaultWorkspace()
					w.Settings = &settings
					c := newClientOf(t, Options{Workspaces: []Workspace{w}, Seed: seed})
					c.workspaces[0].shuffle(t, rand.New(rand.NewPCG(seed, 3)))
				}
			}
		}
	}
}

func (w *workspace) shuffle(t *testing.T, rng *rand.Rand) {
	kinds := []kind{kindPhone, kindCioID}
	for _, k := range []kind{kindID, kindEmail} {
		if w.settings.identifies(k) {
			kinds = append(kinds, k, k, k)
		}
	}
	name := func() address {
		k := kinds[rng.IntN(len(kinds))]
		if k == kindCioID {
			return address{k, fmt.Sprintf("a%07x", 0x3000000+rng.Int64N(w.cioIDs+2))}
		}
		return address{k, string(rune("aAbBcd"[rng.IntN(6)]))}
	}
	thing := func() address {
		if rng.IntN(5) == 0 {
			return address{kindCioObject, fmt.Sprintf("ob%08x", 0x7f000000+rng.Int64N(w.cioObjectIDs+2))}
		}
		return address{kindObject, string(rune("123"[rng.IntN(3)])) + "/a"}
	}
	w.createSegment("one", "", false, time.Time{})
	w.createSegment("two", "", false, time.Time{})
	for n := range int64(3000) {
		var op operation
		switch rng.IntN(15) {
		case 0:
			op = &deletePerson{name()}
		case 1:
			op = &suppress{name()}
		case 2, 3:
			op = &unsuppress{name()}
		case 4:
			op = &sendEvent{address: name(), event: event{kind: "event", name: "x", data: "{}"}}
		case 5:
			op = &addDevice{address: name(), token: "t", platform: "ios"}
		case 6:
			op = &merge{name(), name()}
		case 7:
			op = &membership{1 + rng.Int64N(3), name(), rng.IntN(3) == 0}
		case 8:
			op = &relateTo{name(), []related{{address: thing()}}, rng.IntN(3) == 0}
		case 9:
			op = &relateTo{thing(), []related{{address: name()}}, rng.IntN(3) == 0}
		case 10:
			if op = (&identifyObject{address: thing(), people: []related{{address: name()}}}); rng.IntN(3) == 0 {
				op = &deleteObject{thing()}
			}
		default:
			i := &identify{address: name(), timestamp: n + rng.Int64N(20), attributes: []member{{"n", []byte("1")}}}
			for range rng.IntN(3) {
				c := name()
				if c.kind != kindCioID && rng.IntN(5) == 0 {
					c.value = ""
				}
				i.claims = append(i.claims, c)
			}
			op = i
		}
		op.apply(w, &accepted{operation: op, seq: n + 1, received: n})
		w.check(t)
		if t.Failed() {
			t.Fatalf("after %d: %#v", n, op)
		}
	}
	if w.counters.Created < 100 || w.counters.Deleted < 50 {
		t.Errorf("hardly anything happened: %+v", w.counters)
	}
}

func (w *workspace) check(t *testing.T) {
	t.Helper()
	names := 0
	all := w.everyone()
	for _, p := range all {
		list := p.names(nil)
		names += len(list)
		for _, a := range list {
			if w.people[a] != p {
				t.Errorf("%s leads to another", a)
			}
		}
		if p.only(kindCioID) {
			t.Errorf("%s is known by nothing else", p.cioID())
		}
		if w.isSuppressed(list) {
			t.Errorf("%s is suppressed and there", p.label())
		}
	}
	for _, p := range all {
		for s := range p.segments {
			if _, in := s.members[p]; !in || w.segments[s.id] != s {
				t.Errorf("%s is in a segment that does not have them", p.label())
			}
		}
		for o, r := range p.relationships {
			if o.people[p] != r || w.objects[address{kindObject, o.label()}] != o {
				t.Errorf("%s is related to an object that is not to them", p.label())
			}
		}
	}
	for _, s := range w.segments {
		for p := range s.members {
			if _, in := p.segments[s]; !in || w.find(address{kindCioID, p.cioID()}) != p {
				t.Errorf("a segment has %s, who is gone or not in it", p.label())
			}
		}
	}
	for a, o := range w.objects {
		if !slices.Contains(o.names(nil), a) {
			t.Errorf("%s leads to another object", a)
		}
		for p := range o.people {
			if p.relationships[o] == nil || w.find(address{kindCioID, p.cioID()}) != p {
				t.Errorf("an object has %s, who is gone or not related", p.label())
			}
		}
	}
	if names != len(w.people) {
		t.Errorf("%d names of people, %d names to find them by", names, len(w.people))
	}
	if alive := w.counters.Created - w.counters.Deleted; alive != int64(len(all)) {
		t.Errorf("%d people, should be %d", len(all), alive)
	}
}
