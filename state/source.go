package state

import (
	"context"
	"encoding/binary"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Source is the history that the positions belong to.
type Source struct {
	// Intent is set before the slot is created, of which the other fields say
	// whose it will be, and cleared when the slot is known to be ours: a crash in
	// between drops that very slot and makes it again (B5).
	Intent      bool
	SystemID    string
	Timeline    int32
	Database    string
	Slot        string
	Publication string
	// Generation rises with every new history: positions and xids of an older
	// one are older than anything (M7).
	Generation uint32
	// Gap is what the last run found to be lost, in words; "": nothing.
	Gap string
}

// Known tells whether the state belongs to a source.
func (s Source) Known() bool { return s.SystemID != "" && !s.Intent }

func (s *Source) append(dst []byte) []byte {
	dst = append(dst, flag(s.Intent, 1))
	dst = appendBytes(dst, s.SystemID)
	dst = binary.AppendVarint(dst, int64(s.Timeline))
	dst = appendBytes(dst, s.Database)
	dst = appendBytes(dst, s.Slot)
	dst = appendBytes(dst, s.Publication)
	dst = binary.AppendUvarint(dst, uint64(s.Generation))
	return appendBytes(dst, s.Gap)
}

func (s *Source) decode(d *decoder) {
	s.Intent = d.byte()&1 != 0
	s.SystemID = d.string()
	s.Timeline = int32(d.int())
	s.Database = d.string()
	s.Slot = d.string()
	s.Publication = d.string()
	s.Generation = uint32(d.uint())
	s.Gap = d.string()
}

// Source returns the source that the state belongs to.
func (s *Store) Source() Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source
}

// Intend stores that a slot is about to be created, and whose it will be.
func (s *Store) Intend(ctx context.Context, src Source) error {
	src.Intent = true
	return s.setSource(ctx, src, 0)
}

// SetSource stores the source that the state belongs to from now on, and, when
// at is not 0, the position it begins at: a slot's consistent point.
func (s *Store) SetSource(ctx context.Context, src Source, at lsn.LSN) error {
	src.Intent = false
	return s.setSource(ctx, src, at)
}

// RecordGap stores what was found to be lost, for those who ask after the
// daemon has ended.
func (s *Store) RecordGap(ctx context.Context, gap string) error {
	src := s.Source()
	if src.Gap == gap {
		return nil
	}
	src.Gap = gap
	return s.setSource(ctx, src, 0)
}

func (s *Store) setSource(ctx context.Context, src Source, at lsn.LSN) error {
	return s.Update(ctx, func(tx *Tx) error {
		key := metaKey("source")
		tx.put(key, seal(src.append([]byte{recordVersion}), 0, string(key)))
		if at != 0 {
			tx.position = position{stored: at}
			tx.moved = true
		}
		tx.then(func() { s.source = src })
		return nil
	})
}
