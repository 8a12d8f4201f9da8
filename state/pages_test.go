package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// boltFile writes a file with pages of every kind, and returns it as a process
// that is killed leaves it, and as one that ends does.
func boltFile(t *testing.T) (killed, ended []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	e, err := openBolt(path, false)
	if err != nil {
		t.Fatal(err)
	}
	var writes []write
	for i := range 400 {
		writes = append(writes, write{binary.BigEndian.AppendUint32(nil, uint32(i)), make([]byte, 500)})
	}
	writes = append(writes, write{[]byte("large"), make([]byte, 40_000)})
	for n, size := range []int{200, 100_000} { // within the bucket's value, and not
		c := commit{segment: segment{number: uint64(n + 1), data: make([]byte, size)}}
		if n == 0 {
			c.writes = writes
		}
		if err := e.commit(c); err != nil {
			t.Fatal(err)
		}
	}
	if killed, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	if ended, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return killed, ended
}

// TestDamagedPageIsReportedAtOpen: after a kill bbolt follows every page when it
// opens the file, in a goroutine where nobody could catch what it does about one
// that cannot be.
func TestDamagedPageIsReportedAtOpen(t *testing.T) {
	killed, _ := boltFile(t)
	path := filepath.Join(t.TempDir(), "state.db")
	size := os.Getpagesize()
	damages := map[string]func(page []byte){
		"number":   func(p []byte) { p[0] ^= 0xff },
		"kind":     func(p []byte) { p[8] = 0x40 },
		"zeros":    func(p []byte) { clear(p) },
		"elements": func(p []byte) { binary.NativeEndian.PutUint16(p[10:], 0xffff) },
		"length":   func(p []byte) { binary.NativeEndian.PutUint32(p[12:], 1<<20) },
		"overlap":  func(p []byte) { binary.NativeEndian.PutUint32(p[12:], 20) },
		"element": func(p []byte) {
			if p[8] == leafPage {
				binary.NativeEndian.PutUint32(p[pageHeader+4:], 1<<30)
			} else {
				binary.NativeEndian.PutUint32(p[pageHeader:], 1<<30)
			}
		},
		"child": func(p []byte) {
			if p[8] == branchPage {
				binary.NativeEndian.PutUint64(p[pageHeader+8:], 1<<40)
			}
		},
		"circle": func(p []byte) {
			if p[8] == branchPage {
				copy(p[pageHeader+8:], p[:8])
			}
		},
	}
	for what, damage := range damages {
		reported := 0
		for page := 2 * size; page < len(killed); page += size {
			broken := bytes.Clone(killed)
			if p := broken[page : page+size]; p[8] == leafPage || p[8] == branchPage {
				damage(p)
			}
			if bytes.Equal(broken, killed) {
				continue
			}
			if err := os.WriteFile(path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			e, err := openBolt(path, false)
			switch {
			case errors.Is(err, errCorrupt):
				reported++
			case err != nil:
				t.Errorf("%s of page %d: %v", what, page/size, err)
			default: // the page is not in use
				if err := e.close(); err != nil {
					t.Errorf("%s of page %d: %v", what, page/size, err)
				}
			}
		}
		if reported == 0 {
			t.Errorf("%s: no page that was damaged is in use", what)
		}
	}
}

// A file that is cut short is damaged, though what is left may be followed.
func TestFileCutShort(t *testing.T) {
	killed, ended := boltFile(t)
	for _, whole := range [][]byte{killed, ended} {
		path := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := openBolt(path, true)
		if err != nil {
			t.Fatal(err)
		}
		used, _ := e.size() // the file may have grown by more
		if err := e.close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, used-1); err != nil {
			t.Fatal(err)
		}
		if err := checkPages(path); err == nil || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("taken: %v", err)
		}
	}
}

// TestPagesOfAClosedFileAreNotRead: a start after a clean stop stays quick, however
// large the file is.
func TestPagesOfAClosedFileAreNotRead(t *testing.T) {
	was := alwaysFollowed
	alwaysFollowed = 0
	defer func() { alwaysFollowed = was }()
	killed, ended := boltFile(t)
	size := os.Getpagesize()
	for _, c := range []struct {
		name  string
		file  []byte
		reads bool
	}{{"killed", killed, true}, {"ended", ended, false}} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkPages(path); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for page := 2 * size; page < len(c.file); page += size {
			c.file[page] ^= 0xff
		}
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkPages(path); (err != nil) != c.reads {
			t.Errorf("%s, every page damaged: %v", c.name, err)
		}
	}
}
