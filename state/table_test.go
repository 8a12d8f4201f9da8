package state

import (
	"context"
	"github.com/pgcio/pgcio/internal/customerio"
	"testing"
)

// What a backfill has left to be swept must not take from the next one what the
// stream leaves for it.
func TestMissedTakesTheSweepOver(t *testing.T) {
	ctx := context.Background()
	memory := NewMemory()
	opts := Options{Memory: memory, Workspaces: []string{"main"}, Mappings: []Mapping{{Name: "people", Backfill: true}}}
	s, err := Open(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Streamed(ctx, []Table{{Name: "public.users", OID: 7, Member: 8}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, func(tx *Tx) error { return tx.Backfilled(0, nil, 3, []string{"3"}, true) }); err != nil {
		t.Fatal(err)
	}
	if s.Backfill(0).Running || s.tally.sweeps == 0 {
		t.Fatalf("the backfill is done, and its sweep is not: %+v", s.Backfill(0))
	}
	again, err := s.Missed(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if b := s.Backfill(0); !again || !b.Running || b.After != nil || b.Rows != 0 {
		t.Errorf("the backfill does not begin anew: %+v", b)
	}
	if s.Tables()[0] != (Table{}) {
		t.Errorf("%+v is still known", s.Tables()[0])
	}
	err = s.Update(ctx, func(tx *Tx) error {
		if tx.load(string(append([]byte{kindSweep, sweepOut}, number16(kindRow, 0)...))) != nil {
			t.Error("the sweep is still to be done")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What waits for the backfill of another mapping does not keep the sweep awake.
func TestSweepsThatWaitForABackfillRest(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, Options{Memory: NewMemory(), Workspaces: []string{"main"}, Mappings: []Mapping{
		{Name: "people", Kind: customerio.Person, Backfill: true}, {Name: "more", Kind: customerio.Person, Backfill: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, func(tx *Tx) error { return tx.Backfilled(0, nil, 3, []string{"3"}, true) }); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		if more, err = s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if s.tally.sweeps != 1 {
		t.Fatalf("%d sweeps are left, of which one waits for the other mapping", s.tally.sweeps)
	}
	woken := s.Woken()
	if more, err := s.Sweep(ctx); more || err != nil {
		t.Fatalf("there is more to sweep: %t, %v", more, err)
	}
	select {
	case <-woken:
		t.Error("a sweep that has nothing to do wakes everybody, itself too")
	default:
	}
	if err := s.Update(ctx, func(tx *Tx) error { return tx.Backfilled(1, nil, 3, []string{"3"}, true) }); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		if more, err = s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if s.tally.sweeps != 0 {
		t.Errorf("%d sweeps are left", s.tally.sweeps)
	}
}
