package state_test

import (
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/state"
)

// TestDrawingWaitsForNobodyWhoWaitsForIt: a transaction is under way, the journal
// waits for its view to end, and something is drawn meanwhile.
func TestDrawingWaitsForNobodyWhoWaitsForIt(t *testing.T) {
	h := newHouse(t)
	h.transaction(person(1, "plan", "a"))
	ended := make(chan error, 3)
	go func() {
		ended <- h.store.Update(t.Context(), func(tx *state.Tx) error {
			go func() { ended <- h.store.Rest() }()
			time.Sleep(20 * time.Millisecond)
			go func() {
				_, _, err := h.store.Draw(0, 1, func(*customerio.Operation) bool { return true })
				ended <- err
			}()
			time.Sleep(20 * time.Millisecond)
			o := h.origin()
			tx.From(&o)
			ask := person(1, "plan", "b")
			tx.Apply(&ask)
			return nil
		})
	}()
	for range cap(ended) {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the transaction, the journal and the drawing wait for each other")
		}
	}
}
