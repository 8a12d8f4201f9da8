package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
)

func set(key, value string) write { return write{[]byte(key), []byte(value)} }

// look reads what a view shows of some keys.
func look(t *testing.T, j *journal, ahead bool, names ...string) (values []string) {
	t.Helper()
	err := j.look(ahead, func(r reader) error {
		for _, k := range names {
			values = append(values, string(r.get([]byte(k))))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// TestOthersSeeWhatIsDurable: what is being committed is there for the next
// transaction, and for nobody else before it is durable.
func TestOthersSeeWhatIsDurable(t *testing.T) {
	j, err := openJournal(NewMemory(), journalLimit, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	j.add([]write{set("a", "1")})
	if got := fmt.Sprint(look(t, j, true, "a"), look(t, j, false, "a")); got != "[1] []" {
		t.Errorf("while it is committed: %s", got)
	}
	var scanned []string
	err = j.look(true, func(r reader) error {
		r.scan([]byte("a"), nil, func(k, v []byte) bool {
			scanned = append(scanned, string(k)+string(v))
			return true
		})
		return nil
	})
	if err != nil || len(scanned) != 1 || scanned[0] != "a1" {
		t.Errorf("scanned %q, %v", scanned, err)
	}
	if _, err := j.commit(); err != nil {
		t.Fatal(err)
	}
	if got := look(t, j, false, "a"); got[0] != "1" {
		t.Errorf("durable: %q", got)
	}
}

// TestViewsBeginWhileACommitWaits: whoever has a view open may wait for
// somebody who opens one. With a lock that lets a waiting writer go first, all
// three would wait for ever.
func TestViewsBeginWhileACommitWaits(t *testing.T) {
	j, err := openJournal(NewMemory(), journalLimit, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	j.add([]write{set("a", "1")})
	committed := make(chan error, 1)
	err = j.look(true, func(reader) error {
		go func() {
			_, err := j.commit()
			committed <- err
		}()
		time.Sleep(20 * time.Millisecond) // it waits for this view, most likely
		other := make(chan error, 1)
		go func() { other <- j.view(func(reader) error { return nil }) }()
		select {
		case err := <-other:
			return err
		case <-time.After(10 * time.Second):
			return errors.New("the other view waits for the commit")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
}

// TestAJournalIsBounded: in memory by two tables, on the disk by their segments,
// however much is written, and nothing of it is left when it rests.
func TestAJournalIsBounded(t *testing.T) {
	for name, key := range map[string]func(i int) string{
		"other keys":   func(i int) string { return fmt.Sprintf("key %06d", i*7919%100_000) },
		"the same key": func(int) string { return "key" },
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMemory()
			const limit = 64 << 10
			j, err := openJournal(m, limit, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			value := string(make([]byte, 200))
			for i := range 5000 {
				j.add([]write{set(key(i), value)})
				if _, err := j.commit(); err != nil {
					t.Fatal(err)
				}
				if err := j.relieve(); err != nil { // nobody else places
					t.Fatal(err)
				}
				held, kept := j.active.bytes, 0
				if j.frozen != nil {
					held += j.frozen.bytes
				}
				for _, s := range m.kept {
					kept += len(s.data)
				}
				if most := 3 * limit; held > most || kept > 6*limit {
					t.Fatalf("after %d commits %d bytes are held in memory, and %d kept in segments", i, held, kept)
				}
			}
			for more := true; more; {
				if more, err = j.rest(); err != nil {
					t.Fatal(err)
				}
			}
			if len(m.kept) > 0 || j.active.bytes > 0 || j.frozen != nil {
				t.Errorf("at rest %d segments are left, and %d bytes", len(m.kept), j.active.bytes)
			}
		})
	}
}

// TestAKilledStoreIsWhole: what was committed and not put into place is there
// when the file is opened again.
func TestAKilledStoreIsWhole(t *testing.T) {
	opts := fileOptions(filepath.Join(t.TempDir(), "state.db"))
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	st, err := s.Status()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%+v", st.Mappings)
	if err := s.engine.next.close(); err != nil { // the process ends: nothing is placed
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st, err = s.Status(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", st.Mappings); got != want {
		t.Errorf("before %s, after %s", want, got)
	}
	items, _, err := s.Draw(0, 100, func(*customerio.Operation) bool { return true })
	if err != nil || len(items) == 0 {
		t.Errorf("nothing leaves: %v", err)
	}
}
