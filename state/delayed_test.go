package state

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDelayed: entries come out by when they are due, or all of a key together.
func TestDelayed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := delayed{byKey: map[string][]*late{}}
		var model []late
		drop := func(seq uint64) {
			at := slices.IndexFunc(model, func(l late) bool { return l.seq == seq })
			if at < 0 {
				t.Fatalf("%d is not in it", seq)
			}
			model = slices.Delete(model, at, at+1)
		}
		for seq := range uint64(rapid.IntRange(1, 60).Draw(t, "steps")) {
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			switch rapid.IntRange(0, 4).Draw(t, "do") {
			case 0:
				due, some := d.next()
				if some != (len(model) > 0) {
					t.Fatalf("some is %v of %d", some, len(model))
				}
				if !some {
					continue
				}
				if first := slices.MinFunc(model, func(a, b late) int { return int(a.due - b.due) }); due != first.due {
					t.Fatalf("the next is due at %d, want %d", due, first.due)
				}
				drop(d.pop().seq)
			case 1:
				for _, one := range d.take(key) {
					if one.key != key {
						t.Fatalf("of %s there is %s", key, one.key)
					}
					drop(one.seq)
				}
				if slices.ContainsFunc(model, func(l late) bool { return l.key == key }) {
					t.Fatalf("not all of %s", key)
				}
			default:
				e := entry{seq: seq + 1, key: key}
				due := rapid.Int64Range(0, 9).Draw(t, "due")
				d.add(e, due)
				model = append(model, late{entry: e, due: due})
			}
		}
		if len(d.byDue) != len(model) {
			t.Fatalf("%d are left, want %d", len(d.byDue), len(model))
		}
	})
}

// TestHurryingManyIsQuick: finding those of a key is no walk through all.
func TestHurryingManyIsQuick(t *testing.T) {
	d := delayed{byKey: map[string][]*late{}}
	const n = 100_000
	for i := range n {
		d.add(entry{seq: uint64(i), key: fmt.Sprint(i)}, int64(i%1000))
	}
	began := processorTime()
	for i := range n {
		if of := d.take(fmt.Sprint(i)); len(of) != 1 {
			t.Fatalf("%d of key %d", len(of), i)
		}
	}
	if took := processorTime() - began; took > 3*time.Second {
		t.Errorf("hurrying %d takes %s", n, took)
	}
}
