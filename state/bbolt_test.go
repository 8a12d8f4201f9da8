package state

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pgcio/pgcio/internal/customerio"
)

// TestDamagedPageIsReported: a page that points out of the file is an error
// that says so. The records' checksums do not cover it, and bbolt follows it.
func TestDamagedPageIsReported(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole.db")
	s, err := Open(t.Context(), fileOptions(path))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const (
		header   = 16 // of a page: its flags are at 8
		leaf     = 2
		position = 4 // in a leaf's element: where its key is
	)
	size, reported := os.Getpagesize(), 0
	for page := 2 * size; page < len(whole); page += size {
		if binary.NativeEndian.Uint16(whole[page+8:]) != leaf {
			continue
		}
		broken := append([]byte(nil), whole...)
		binary.NativeEndian.PutUint32(broken[page+header+position:], 1<<30)
		copied := filepath.Join(dir, strconv.Itoa(page/size)+".db")
		if err := os.WriteFile(copied, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		opts := fileOptions(copied)
		opts.ReadOnly = true
		s, err := Open(t.Context(), opts)
		if err == nil {
			_, _, err = s.Draw(0, 100, func(*customerio.Operation) bool { return true })
			if cerr := s.Close(); cerr != nil {
				t.Error(cerr)
			}
		}
		switch {
		case errors.Is(err, errCorrupt):
			reported++
		case err != nil:
			t.Errorf("page %d: %v", page/size, err)
		}
	}
	if reported == 0 {
		t.Error("no page that was damaged is in use")
	}
}

// TestDamageLeavesOtherPanicsAlone: a fault of ours is none of the file's.
func TestDamageLeavesOtherPanicsAlone(t *testing.T) {
	e, err := openBolt(filepath.Join(t.TempDir(), "state.db"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	defer func() {
		if p := recover(); p != "ours" {
			t.Errorf("the panic became %v", p)
		}
	}()
	err = e.view(func(reader) error { panic("ours") })
	t.Errorf("the panic became the error %v", err)
}

// TestSizeCountsFreePages: what a full outbox left is room again.
func TestSizeCountsFreePages(t *testing.T) {
	e, err := openBolt(filepath.Join(t.TempDir(), "state.db"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	var put, drop []write
	for i := range 2000 {
		key := binary.BigEndian.AppendUint32(nil, uint32(i))
		put, drop = append(put, write{key, make([]byte, 500)}), append(drop, write{key, nil})
	}
	for _, writes := range [][]write{put, drop, nil} {
		if err := e.commit(commit{writes: writes}); err != nil {
			t.Fatal(err)
		}
	}
	total, free := e.size()
	if total < 1<<20 || free < total/2 || free > total {
		t.Errorf("%d bytes, %d of them free", total, free)
	}
}
