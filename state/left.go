package state

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
)

// Left is an attribute whose values were left out of what was sent.
type Left struct {
	Name        string
	Reason      string // of the last time
	Times       uint64
	First, Last time.Time
}

func leftKey(mapping uint16, name string) string {
	return string(append(number16(kindLeft, mapping), name...))
}

// leave lists a value that was left out: the rest was sent, and nobody would
// know otherwise.
func (tx *Tx) leave(m *mapping, o customerio.Omission) {
	key := leftKey(m.number, o.Name)
	l := Left{First: tx.now}
	if v := tx.load(key); v != nil {
		var err error
		if l, err = decodeLeft(key, v); err != nil {
			tx.fail(err)
			return
		}
	}
	v := binary.AppendUvarint([]byte{recordVersion}, l.Times+1)
	v = binary.AppendVarint(v, l.First.Unix())
	v = binary.AppendVarint(v, tx.now.Unix())
	v = appendBytes(v, o.Reason)
	tx.writes[key] = seal(v, 0, key)
}

func decodeLeft(key string, value []byte) (Left, error) {
	d := open(key, value)
	l := Left{Name: key[3:], Times: d.uint(), First: time.Unix(d.int(), 0), Last: time.Unix(d.int(), 0), Reason: d.string()}
	return l, d.err
}

// leftOf lists what was left out of a mapping's operations.
func leftOf(r reader, mapping uint16) (out []Left, err error) {
	prefix := number16(kindLeft, mapping)
	r.scan(prefix, after(prefix), func(k, v []byte) bool {
		var l Left
		l, err = decodeLeft(string(k), slices.Clone(v))
		out = append(out, l)
		return err == nil
	})
	return out, err
}
