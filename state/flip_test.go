package state

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/pgcio/pgcio/internal/customerio"
)

func TestFlip(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.db")
	s, err := Open(t.Context(), fileOptions(path))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	s.Close()
	whole, _ := os.ReadFile(path)
	t.Log(len(whole))
	counts := map[string]int{}
	for i := range 1500 {
		b := append([]byte(nil), whole...)
		at := rand.IntN(len(b))
		if i%2 == 0 {
			at = rand.IntN(len(b)/4096)*4096 + rand.IntN(80)
		}
		if i == 0 { t.Log() }
		b[at] ^= byte(1 << rand.IntN(8))
		p := filepath.Join(dir, "f.db")
		os.Remove(p); os.WriteFile(p, b, 0o600)
		func() {
			defer func() {
				if p := recover(); p != nil {
					counts["panic"]++
					if counts["panic"] < 10 {
						t.Logf("at %d: %v\n%s", at, p, debug.Stack())
					}
				}
			}()
			s, err := Open(t.Context(), fileOptions(p))
			if err != nil {
				if errors.Is(err, errCorrupt) {
					counts["corrupt"]++
				} else {
					counts["other"]++
					t.Logf("at %d: %v", at, err)
				}
				return
			}
			_, _, err = s.Draw(0, 100, func(*customerio.Operation) bool { return true })
			if err != nil {
				counts["draw"]++
			} else {
				counts["fine"]++
			}
			s.Close()
		}()
	}
	t.Log(counts)
}
