package state

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Every record is its version, its fields, and a CRC-32C over key and all of
// that: bbolt checks only its own two meta pages.
const recordVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal ends the record that starts at dst[start] and belongs under key.
func seal(dst []byte, start int, key string) []byte {
	sum := crc32.Update(0, castagnoli, bytesOf(key))
	sum = crc32.Update(sum, castagnoli, dst[start:])
	return binary.BigEndian.AppendUint32(dst, sum)
}

// decoder reads a record's fields. After the first that is not there it reads
// zeros, and err says so: callers look at it once, at the end.
type decoder struct {
	b   []byte
	err error
	mem *scratch // where lists are put; nil: anywhere
}

// open checks a record's sum and version.
func open(key string, value []byte) decoder {
	if len(value) < 5 {
		return decoder{err: fmt.Errorf("record %q: too short: %w", key, errCorrupt)}
	}
	body := value[:len(value)-4]
	sum := crc32.Update(0, castagnoli, bytesOf(key))
	sum = crc32.Update(sum, castagnoli, body)
	if binary.BigEndian.Uint32(value[len(body):]) != sum {
		return decoder{err: fmt.Errorf("record %q: checksum: %w", key, errCorrupt)}
	}
	if body[0] != recordVersion {
		return decoder{err: fmt.Errorf("record %q: version %d, this pgcio reads %d", key, body[0], recordVersion)}
	}
	return decoder{b: body[1:]}
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = fmt.Errorf("a record ends too early: %w", errCorrupt)
	}
	d.b = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) fixed64() uint64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

// bytes returns a slice of the record itself.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string { return string(d.bytes()) }

// count reads the length of a list whose elements take at least size bytes.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

// point makes the value of an index key: the key of the record it leads to.
func (tx *Tx) point(key []byte, to string) {
	v := append(tx.mem.bytes.room(len(to)+5), recordVersion)
	v = append(v, to...)
	tx.put(key, tx.mem.bytes.keep(seal(v, 0, string(key))))
}

// target reads what an index key leads to.
func target(key, value []byte) (string, error) {
	d := open(string(key), value)
	return string(d.b), d.err
}

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}
