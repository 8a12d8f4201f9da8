package pgtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Where Postgres keeps the system identifier, in every version since 9.3: at the
// start of the control file, and in the long header of the first page of each WAL
// segment. Postgres compares them when it starts, so that a layout this file does
// not know is an error there and never a cluster that is subtly wrong.
const (
	controlSystemID = 0
	segmentSystemID = 24
)

// renewSystemID gives the cluster in a data directory, fresh from initdb, another
// system identifier. Copies of a template would share one otherwise, and could
// not be told from each other by what pgcio tells clusters by.
func renewSystemID(data string, id uint64) error {
	control := filepath.Join(data, "global", "pg_control")
	b, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	crc, ok := controlChecksum(b)
	if !ok {
		return fmt.Errorf("%s: no checksum found", control)
	}
	binary.NativeEndian.PutUint64(b[controlSystemID:], id)
	binary.NativeEndian.PutUint32(b[crc:], crc32.Checksum(b[:crc], castagnoli()))
	if err := os.WriteFile(control, b, 0o600); err != nil {
		return err
	}
	segments, err := filepath.Glob(filepath.Join(data, "pg_wal", "????????????????????????"))
	if err != nil {
		return err
	}
	for _, segment := range segments {
		if err := writeUint64At(segment, segmentSystemID, id); err != nil {
			return err
		}
	}
	return nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// controlChecksum finds the checksum in a control file. It follows the fields it
// covers, and how many these are differs from version to version.
func controlChecksum(b []byte) (offset int, ok bool) {
	if len(b) < 512 {
		return 0, false
	}
	for offset := 128; offset <= 508; offset += 4 {
		if crc32.Checksum(b[:offset], castagnoli()) == binary.NativeEndian.Uint32(b[offset:]) {
			return offset, true
		}
	}
	return 0, false
}

func writeUint64At(path string, offset int64, v uint64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, v), offset)
	return errors.Join(err, f.Close())
}
