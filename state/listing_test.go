package state

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
)

// Who looks at what is parked, who draws, and a file that grows wait for
// each other.
func TestListingWaitsForNobodyWhoWaitsForIt(t *testing.T) {
	s, err := Open(context.Background(), Options{Path: filepath.Join(t.TempDir(), "s.db"), Workspaces: []string{"main"}, Mappings: []Mapping{{Name: "people", Kind: customerio.Person}}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx *Tx) error {
		o := &Origin{Commit: 0x10, XID: 1, Time: time.Now()}
		tx.From(o)
		tx.Apply(&customerio.Ask{Row: []byte("1"), Answer: customerio.In, Operation: customerio.Operation{Kind: customerio.Person, Action: customerio.Identify, Person: customerio.Identifier{Type: customerio.ID, Value: "1"}, Attributes: []customerio.Attribute{{Name: "a", Value: []byte("1")}}}})
		tx.Through(0x20, Mark{})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	items, _, err := s.Draw(0, 1, func(*customerio.Operation) bool { return true })
	if err != nil || len(items) != 1 {
		t.Fatal(items, err)
	}
	if err := s.Settle(t.Context(), []Settled{{items[0], customerio.Verdict{Kind: customerio.Rejected, Reason: "no"}}}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock() // as Draw does
	go func() { _, _ = s.Asides("", false, 10) }()
	time.Sleep(100 * time.Millisecond)
	go func() { // a piece is placed, and the file has to grow
		var w []write
		for i := range 4000 {
			w = append(w, write{[]byte(fmt.Sprintf("z%08d", i)), make([]byte, 1000)})
		}
		_ = s.engine.next.commit(commit{writes: w})
	}()
	time.Sleep(300 * time.Millisecond)
	drawn := make(chan struct{})
	go func() {
		_ = s.engine.view(func(reader) error { return nil }) // as Draw does, with mu held
		close(drawn)
	}()
	select {
	case <-drawn:
		s.mu.Unlock()
	case <-time.After(5 * time.Second):
		t.Error("the list, the journal and the drawing wait for each other")
		s.mu.Unlock()
		<-drawn
	}
}
