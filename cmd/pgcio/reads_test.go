package main

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/state"
)

type askedFor struct{ wants []cdc.Want }

func (a *askedFor) Read(w cdc.Want) { a.wants = append(a.wants, w) }

// TestAKeyThatCannotBeRead keeps no other row from being read: its row is parked,
// whatever the key is.
func TestAKeyThatCannotBeRead(t *testing.T) {
	t.Parallel()
	store, err := state.Open(t.Context(), state.Options{
		Memory: state.NewMemory(), Workspaces: []string{"main"}, Mappings: []state.Mapping{{Name: "people", Kind: customerio.Person}},
	})
	if err != nil {
		t.Fatal(err)
	}
	good := mapping.EncodeKey(nil, mapping.KeyColumn{Integer: true, Text: []byte("7")})
	two := append(good[:len(good):len(good)], good...)
	rows := [][]byte{{}, {0}, {0xEE}, []byte("\x01short"), two, good}
	if err := store.Update(t.Context(), func(tx *state.Tx) error {
		o := state.Origin{Commit: 0x10, XID: 7, Time: time.Now()}
		tx.From(&o)
		for _, row := range rows {
			tx.Apply(&customerio.Ask{Row: row, Answer: customerio.Unsure, Missing: true})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	asked := &askedFor{}
	table := &cdc.Table{Schema: "public", Name: "users", Columns: []cdc.TableColumn{{Name: "id", Type: &cdc.Type{Name: "int8", Kind: cdc.Integer}}}}
	r := newReads(asked, store, []mapping.Mapping{{Name: "people", Table: "public.users", Workspace: "main", Key: []string{"id"}}},
		map[string]*cdc.Table{"public.users": table}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if _, err := r.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(asked.wants) != 1 || len(asked.wants[0].Keys) != 1 || asked.wants[0].Keys[0][0] != "7" {
		t.Errorf("asked for %+v", asked.wants)
	}
	asides, err := store.Asides("", false, 100)
	if err != nil || len(asides) != len(rows)-1 {
		t.Fatalf("%+v are parked: %v", asides, err)
	}
	for _, a := range asides {
		if !strings.Contains(a.Reason, "key") {
			t.Errorf("row %q is parked, since %s", a.Row, a.Reason)
		}
	}
}
