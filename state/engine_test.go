package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/internal/customerio"
)

// keys is what a journal and the engines beneath it have in common.
type keys interface {
	view(func(reader) error) error
	commit([]write) error
}

// bare commits to an engine without a journal.
type bare struct{ engine }

func (b bare) commit(writes []write) error { return b.engine.commit(commit{writes: writes}) }

// placed is a journal that is put into place as soon as that is due.
type placed struct {
	t *testing.T
	*journal
}

func (p placed) commit(writes []write) error {
	p.add(writes)
	due, err := p.journal.commit()
	for owed := 1; due && owed > 0 && err == nil; {
		owed, err = p.place(p.limit / pieces)
	}
	return err
}

// full is an engine on a disk that is.
type full struct{ engine }

func (full) commit(commit) error { return errors.New("no space left on device") }

// engines opens each engine anew under its name, as it is and with a journal
// before it; reopen ends it as a crash of the process does, and opens it again.
func engines(t *testing.T, test func(t *testing.T, e keys, reopen func() keys)) {
	open := map[string]func(t *testing.T) func() engine{
		"memory": func(t *testing.T) func() engine {
			m := NewMemory()
			return func() engine { return m }
		},
		"bbolt": func(t *testing.T) func() engine {
			path := filepath.Join(t.TempDir(), "state.db")
			var e *boltEngine
			t.Cleanup(func() {
				if err := e.close(); err != nil {
					t.Error(err)
				}
			})
			return func() engine {
				t.Helper()
				if e != nil {
					if err := e.close(); err != nil {
						t.Fatal(err)
					}
				}
				var err error
				if e, err = openBolt(path, false); err != nil {
					t.Fatal(err)
				}
				return e
			}
		},
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			reopen := open(t)
			test(t, bare{reopen()}, func() keys { return bare{reopen()} })
		})
		t.Run("journal on "+name, func(t *testing.T) {
			reopen := open(t)
			journaled := func() keys {
				t.Helper()
				j, err := openJournal(reopen(), 1500, func(string) {}) // some ten keys fill a table
				if err != nil {
					t.Fatal(err)
				}
				return placed{t, j}
			}
			test(t, journaled(), journaled)
		})
	}
}

// TestEngineIsAnOrderedMap: whatever is committed, it holds and gives in order
// what a map and a sort do, also when it is opened again.
func TestEngineIsAnOrderedMap(t *testing.T) {
	engines(t, func(t *testing.T, e keys, reopen func() keys) {
		model := map[string]string{}
		key := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'b', 0xff}), 1, 4)
		check := func(t *rapid.T) {
			writes := map[string][]byte{}
			for range rapid.IntRange(0, 20).Draw(t, "writes") {
				k := string(key.Draw(t, "key"))
				writes[k] = nil
				if rapid.Bool().Draw(t, "put") {
					writes[k] = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value")...)
				}
			}
			var sorted []write
			for _, k := range slices.Sorted(maps.Keys(writes)) {
				sorted = append(sorted, write{[]byte(k), writes[k]})
				if writes[k] == nil {
					delete(model, k)
				} else {
					model[k] = string(writes[k])
				}
			}
			if err := e.commit(sorted); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 9).Draw(t, "reopen") == 0 {
				e = reopen()
			}
			from, to := key.Draw(t, "from"), rapid.OneOf(key, rapid.Just([]byte(nil))).Draw(t, "to")
			most := rapid.IntRange(1, 30).Draw(t, "most")
			var want, got []string
			for _, k := range slices.Sorted(maps.Keys(model)) {
				if k >= string(from) && (len(to) == 0 || k < string(to)) && len(want) < most {
					want = append(want, k+"="+model[k])
				}
			}
			err := e.view(func(r reader) error {
				r.scan(from, to, func(k, v []byte) bool {
					got = append(got, string(k)+"="+string(v))
					return len(got) < most
				})
				for _, k := range [][]byte{from, {'z'}} {
					v, ok := model[string(k)]
					if found := r.get(k); ok != (found != nil) || string(found) != v {
						t.Fatalf("%q is %q, want %q", k, found, v)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("from %q to %q: %q, want %q", from, to, got, want)
			}
		}
		for range 3 {
			rapid.Check(t, check)
		}
	})
}

func memoryOf(k keys) *Memory {
	var e engine
	switch k := k.(type) {
	case bare:
		e = k.engine
	case placed:
		e = k.next
	}
	m, _ := e.(*Memory)
	return m
}

// TestCommitIsAllOrNothing, and a view sees whole ones only.
func TestCommitIsAllOrNothing(t *testing.T) {
	engines(t, func(t *testing.T, e keys, reopen func() keys) {
		put := func(v string) error {
			return e.commit([]write{{[]byte("a"), []byte(v)}, {[]byte("b"), []byte(v)}})
		}
		if err := put("1"); err != nil {
			t.Fatal(err)
		}
		// A write that no engine takes, after one that it does. In a journal it is
		// part of a segment: there, the engine takes none.
		failing := []write{{[]byte("a"), []byte("2")}, {nil, []byte("2")}}
		if m := memoryOf(e); m != nil {
			m.Commit = func() error { return errors.New("disk full") }
			defer func() { m.Commit = nil }()
		}
		if j, ok := e.(placed); ok {
			j.next = full{j.next}
		}
		if err := e.commit(failing); err == nil {
			t.Fatal("a commit that cannot be is done")
		}
		e = reopen()
		err := e.view(func(r reader) error {
			if a, b := r.get([]byte("a")), r.get([]byte("b")); string(a) != "1" || string(b) != "1" {
				t.Errorf("a is %q, b is %q", a, b)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestViewsSeeWholeCommits while others are made.
func TestViewsSeeWholeCommits(t *testing.T) {
	engines(t, func(t *testing.T, e keys, _ func() keys) {
		done := make(chan error, 1)
		go func() {
			for i := range 100 {
				v := fmt.Appendf(nil, "%03d", i)
				if err := e.commit([]write{{[]byte("a"), v}, {[]byte("z"), v}}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		last := ""
		for {
			err := e.view(func(r reader) error {
				a, z := string(r.get([]byte("a"))), string(r.get([]byte("z")))
				if a != z || a < last {
					return fmt.Errorf("a is %q, z is %q, a was %q", a, z, last)
				}
				last = a
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				return
			default:
			}
		}
	})
}

// TestMemoryForgetsWhatIsNotDurable: it is what shows a missing fsync.
func TestMemoryForgetsWhatIsNotDurable(t *testing.T) {
	m := NewMemory()
	durable := true
	m.NoSync = func() bool { return !durable }
	put := func(k, v string) {
		t.Helper()
		if err := m.commit(commit{writes: []write{{[]byte(k), []byte(v)}}}); err != nil {
			t.Fatal(err)
		}
	}
	put("a", "1")
	durable = false
	put("a", "2")
	put("b", "2")
	put("a", "3")
	m.Crash()
	if a, b := m.values["a"], m.values["b"]; string(a) != "1" || b != nil {
		t.Errorf("after the crash a is %q, b is %q", a, b)
	}
	put("a", "4")
	durable = true
	put("c", "5") // what is durable makes durable what came before
	m.Crash()
	if a := m.values["a"]; string(a) != "4" {
		t.Errorf("after the second crash a is %q", a)
	}
}

// fileOptions are those of a store in a file, with two mappings.
func fileOptions(path string) Options {
	return Options{Path: path, Workspaces: []string{"main"}, Mappings: []Mapping{
		{Name: "people", Kind: customerio.Person}, {Name: "orders", Kind: customerio.Event},
	}}
}

// fill puts some of every kind of record into a store.
func fill(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	if err := s.SetSource(ctx, Source{SystemID: "7", Slot: "pgcio"}, 0x100); err != nil {
		t.Fatal(err)
	}
	if err := s.AcceptWorkspace(ctx, 0, "us", 3); err != nil {
		t.Fatal(err)
	}
	apply := func(asks ...customerio.Ask) {
		t.Helper()
		err := s.Update(ctx, func(tx *Tx) error {
			at, _ := s.Stored()
			tx.From(&Origin{Commit: at + 8, XID: uint64(at), Time: time.Now(), Insert: true})
			for i := range asks {
				tx.Apply(&asks[i])
			}
			tx.Through(at+16, Mark{})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	identify := func(row, id, email string) customerio.Ask {
		return customerio.Ask{Row: []byte(row), Answer: customerio.In, Operation: customerio.Operation{
			Kind: customerio.Person, Action: customerio.Identify, Person: customerio.Identifier{Type: customerio.ID, Value: id},
			Attributes: []customerio.Attribute{{Name: "email", Value: []byte(`"` + email + `"`)}},
		}}
	}
	event := customerio.Ask{Mapping: 1, Row: []byte("o"), Answer: customerio.In, EventKey: [16]byte{1}, Operation: customerio.Operation{
		Kind: customerio.Event, Action: customerio.Track, Person: customerio.Identifier{Type: customerio.ID, Value: "1"}, Name: "Ordered", ID: customerio.EventULID("orders", "o"),
	}}
	apply(identify("r1", "1", "a@x.test"), event, identify("r2", "2", "b@x.test"), identify("r3", "3", "c@x.test"))
	for i := range 6 { // more rows than a thing's record holds
		apply(identify(fmt.Sprint("s", i), "3", "c@x.test"))
	}
	apply(customerio.Ask{Row: []byte("bad"), Answer: customerio.Refused, Reason: "it fails"})
	apply(customerio.Ask{Row: []byte("again"), Answer: customerio.Unsure})
	items, _, err := s.Draw(0, 1, func(*customerio.Operation) bool { return true })
	if err != nil || len(items) != 1 {
		t.Fatal(items, err)
	}
	if err := s.Settle(ctx, []Settled{{Item: items[0], Verdict: customerio.Verdict{Kind: customerio.Rejected, Reason: "no"}}}); err != nil {
		t.Fatal(err)
	}
}

func TestStateFileIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for _, before := range []os.FileMode{0, 0o644, 0o660} {
		if before != 0 {
			if err := os.Chmod(path, before); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(t.Context(), fileOptions(path))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("a file of mode %o has %o once it is open", before, mode)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStateIsHeldByOne: the second is told who has it, and what to do is clear.
func TestStateIsHeldByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(t.Context(), fileOptions(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		opts := fileOptions(path)
		opts.ReadOnly = readOnly
		_, err := Open(t.Context(), opts)
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process") {
			t.Errorf("opened read-only %t while it is held: %v", readOnly, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if err := s.Update(t.Context(), func(*Tx) error { return nil }); err == nil {
		t.Error("a closed store takes changes")
	}
	opts := fileOptions(path)
	opts.ReadOnly = true
	if s, err = Open(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestEverythingSurvivesARestart: of the file and of the process that held it.
func TestEverythingSurvivesARestart(t *testing.T) {
	opts := fileOptions(filepath.Join(t.TempDir(), "state.db"))
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	picture := func(s *Store) string {
		t.Helper()
		st, err := s.Status()
		if err != nil {
			t.Fatal(err)
		}
		st.Size, st.Free, st.Weight = 0, 0, 0
		for i := range st.Mappings {
			if !st.Mappings[i].Books.Balanced() {
				t.Errorf("the books of %s do not balance", st.Mappings[i].Name)
			}
		}
		asides, err := s.Asides("", false, 100)
		if err != nil {
			t.Fatal(err)
		}
		region, environment := s.Workspace(0)
		at, open := s.Stored()
		return fmt.Sprintf("%+v\n%+v\n%s %d\n%s %+v", st, asides, region, environment, at, open)
	}
	before := picture(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := picture(s); got != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, got)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	m := NewMemory()
	opts := fileOptions("")
	opts.Memory = m
	open := func() error {
		s, err := Open(t.Context(), opts)
		if err != nil {
			return err
		}
		return s.Close()
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	key := string(metaKey("format"))
	m.values[key] = seal([]byte{recordVersion, formatVersion + 1}, 0, key)
	if err := open(); err == nil || !strings.Contains(err.Error(), "format 2") || !strings.Contains(err.Error(), "reads 1") || errors.Is(err, errCorrupt) {
		t.Errorf("a newer format: %v", err)
	}
	m.values[key] = seal([]byte{recordVersion + 1, formatVersion}, 0, key)
	if err := open(); err == nil || !strings.Contains(err.Error(), "version 2") || errors.Is(err, errCorrupt) {
		t.Errorf("a newer record: %v", err)
	}
}

// TestDamageIsReported: one byte of one record, whichever it is, changed on the
// disk, is an error that says so by the time all has been read. It is never a
// panic, and nothing is silently sent otherwise or not at all.
func TestDamageIsReported(t *testing.T) {
	whole := NewMemory()
	opts := fileOptions("")
	opts.Memory = whole
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	crashed := &Memory{kept: slices.Clone(whole.kept), values: map[string][]byte{}}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// readAll goes over all there is, as a run does, and tells what would be sent.
	readAll := func(m *Memory) (sent string, err error) {
		opts := opts
		opts.Memory = m
		s, err := Open(context.Background(), opts)
		if err != nil {
			return "", err
		}
		if _, err := s.Status(); err != nil {
			return "", err
		}
		if _, err := s.Asides("", false, 100); err != nil {
			return "", err
		}
		for mapping := range opts.Mappings {
			if _, err := s.Rereads(mapping, 100); err != nil {
				return "", err
			}
		}
		var b strings.Builder
		for range 20 {
			items, _, err := s.Draw(0, 100, func(*customerio.Operation) bool { return true })
			if err != nil {
				return "", err
			}
			var settled []Settled
			for _, it := range items {
				fmt.Fprintf(&b, "%s %s\n", it.Operation.AppendJSON(nil), it.Refuse)
				settled = append(settled, Settled{Item: it, Verdict: customerio.Verdict{Kind: customerio.Accepted}})
			}
			if err := s.Settle(context.Background(), settled); err != nil {
				return "", err
			}
		}
		return b.String(), s.Update(context.Background(), func(tx *Tx) error {
			for _, key := range m.keys {
				switch key[0] {
				case kindThing:
					tx.thing(key)
				case kindEvent:
					tx.event(key)
				case kindRow:
					tx.place(key)
				case kindName:
					tx.name(key)
				}
			}
			return nil
		})
	}
	copied := func() *Memory { return &Memory{keys: slices.Clone(whole.keys), values: maps.Clone(whole.values)} }
	want, err := readAll(copied())
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[byte]int{}
	for _, key := range whole.keys {
		kinds[key[0]]++
		for i := range whole.values[key] {
			func() {
				defer func() {
					if p := recover(); p != nil {
						t.Errorf("record %q, byte %d: panic: %v", key, i, p)
					}
				}()
				m := copied()
				m.values[key] = slices.Clone(m.values[key])
				m.values[key][i] ^= 0x41
				got, err := readAll(m)
				switch {
				case err != nil && !errors.Is(err, errCorrupt):
					t.Errorf("record %q, byte %d: %v", key, i, err)
				case err == nil && got != want:
					t.Errorf("record %q, byte %d: nothing is said, and what would be sent differs:\n%swant\n%s", key, i, got, want)
				case err == nil && key[0] != kindHanging && key[0] != kindRowOf && key[0] != kindSweep:
					t.Errorf("record %q, byte %d: nothing is said", key, i)
				}
			}()
		}
	}
	t.Logf("records by kind: %v", kinds)
	if len(crashed.kept) < 5 {
		t.Errorf("a crash left %d segments of the journal", len(crashed.kept))
	}
	for i, s := range crashed.kept {
		for at := range s.data {
			m := &Memory{kept: slices.Clone(crashed.kept), values: map[string][]byte{}}
			m.kept[i].data = slices.Clone(s.data)
			m.kept[i].data[at] ^= 0x41
			if _, err := readAll(m); !errors.Is(err, errCorrupt) && (at != 0 || err == nil) {
				t.Errorf("segment %d, byte %d: %v", s.number, at, err)
			}
		}
	}
	for _, kind := range []byte{kindMeta, kindMapping, kindAttr, kindThing, kindEvent, kindRow, kindRowOf, kindName, kindQueue, kindAside, kindHanging, kindHeld, kindUnmapped} {
		if kinds[kind] == 0 {
			t.Errorf("there is no record of kind %q to damage", kind)
		}
	}
}
