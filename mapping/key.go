package mapping

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/pgcio/pgcio/cdc"
)

// A row key is the columns that identify a row, encoded so that comparing bytes
// compares keys: integers as integers, everything else as its bytes. What was
// encoded can be read back as text without knowing the columns' types.
//
//	integer   0x01, then 8 bytes, big-endian, sign bit flipped
//	text      0x02, the bytes (0x00 as 0x00 0xFF), then 0x00
//
// A tag is never 0xFF, so the end of a text is not mistaken for a zero in it; nor
// is it 0, with which the state marks rows whose key is not known.
const (
	tagInteger = 0x01
	tagText    = 0x02
)

// KeyColumn is one column of a row's key, for EncodeKey.
type KeyColumn struct {
	Integer bool // its type is an integer
	Text    []byte
}

// EncodeKey appends the encoded key.
func EncodeKey(dst []byte, columns ...KeyColumn) []byte {
	for _, c := range columns {
		dst = appendKeyColumn(dst, c.Integer, c.Text)
	}
	return dst
}

func appendKeyColumn(dst []byte, integer bool, text []byte) []byte {
	if integer {
		if n, ok := parseInt(text); ok {
			dst = append(dst, tagInteger)
			return binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
		}
	}
	dst = append(dst, tagText)
	for _, c := range text {
		dst = append(dst, c)
		if c == 0 {
			dst = append(dst, 0xFF)
		}
	}
	return append(dst, 0)
}

// KeyOf encodes a row's key from its columns: get gives the text of one, if it
// has a value. Where one of the key has none, it is named instead.
func KeyOf(t *cdc.Table, key []string, get func(column string) ([]byte, bool)) (row []byte, lacking string) {
	for _, name := range key {
		text, ok := get(name)
		i := t.Index(name)
		if !ok || i < 0 {
			return nil, name
		}
		row = appendKeyColumn(row, typeAt(t, i).Kind == cdc.Integer, text)
	}
	return row, ""
}

var errKey = errors.New("not a row key")

// DecodeKey reads a key back as the text of its columns.
func DecodeKey(key []byte) ([]string, error) {
	var columns []string
	for len(key) > 0 {
		switch key[0] {
		case tagInteger:
			if len(key) < 9 {
				return nil, errKey
			}
			n := int64(binary.BigEndian.Uint64(key[1:9]) ^ 1<<63)
			columns = append(columns, strconv.FormatInt(n, 10))
			key = key[9:]
		case tagText:
			var text []byte
			i := 1
			for ; ; i++ {
				if i >= len(key) {
					return nil, errKey
				}
				if key[i] == 0 {
					if i+1 >= len(key) || key[i+1] != 0xFF {
						break
					}
					i++
					text = append(text, 0)
					continue
				}
				text = append(text, key[i])
			}
			columns = append(columns, string(text))
			key = key[i+1:]
		default:
			return nil, errKey
		}
	}
	if columns == nil {
		return nil, errKey
	}
	return columns, nil
}

// rowKey chooses the columns that identify a row of the table for the mapping
// (M12): the primary key if old rows carry it, else `key`, which must lie
// within the replica identity. A row of an event whose table sends no old rows
// at all may be known by its event id.
func rowKey(s *Spec, t *cdc.Table) (key []string, problem, advice string) {
	if len(t.PrimaryKey) > 0 && within(t.PrimaryKey, t.IdentityColumns) {
		return t.PrimaryKey, "", ""
	}
	carried := len(t.IdentityColumns) > 0
	switch {
	case len(s.Key) > 0 && within(s.Key, t.IdentityColumns):
		return s.Key, "", ""
	case len(s.Key) > 0 && !carried && s.Object == "event":
		return s.Key, "", "" // only inserts ever arrive
	case len(s.Key) > 0:
		return nil, fmt.Sprintf("key %s is not within the replica identity of %s, so updates and deletes would not say which row they are of", words(s.Key), t),
			identityAdvice(t, s.Key)
	case s.Object == "event" && !carried && s.EventID.Form == FromColumn:
		return []string{s.EventID.Column}, "", ""
	case len(t.PrimaryKey) > 0 && t.Identity == cdc.IdentityDefault: // which is the primary key, if it can be
		return nil, fmt.Sprintf("the primary key %s of %s is deferrable, which no replica identity can be", words(t.PrimaryKey), t), identityAdvice(t, t.PrimaryKey)
	case len(t.PrimaryKey) > 0:
		return nil, fmt.Sprintf("the replica identity of %s does not carry its primary key %s", t, words(t.PrimaryKey)),
			fmt.Sprintf("run: ALTER TABLE %s REPLICA IDENTITY DEFAULT;%s", sqlTable(t), orKey(t))
	case carried && t.Identity == cdc.IdentityIndex:
		return t.IdentityColumns, "", ""
	case carried:
		return nil, fmt.Sprintf("%s has no primary key", t), `name the columns that identify a row: key = ["…"]`
	}
	return nil, fmt.Sprintf("%s has no primary key, and Postgres would not say which row an update or delete is of", t), identityAdvice(t, nil)
}

// orKey offers the identity's own columns as the key.
func orKey(t *cdc.Table) string {
	if t.Identity == cdc.IdentityIndex {
		return fmt.Sprintf(" or write key = %s", tomlList(t.IdentityColumns))
	}
	return ""
}

func identityAdvice(t *cdc.Table, key []string) string {
	advice := fmt.Sprintf("run: ALTER TABLE %s REPLICA IDENTITY FULL;", sqlTable(t))
	if len(key) == 1 || key == nil {
		advice += fmt.Sprintf(" or, with a unique index over columns that are not null: ALTER TABLE %s REPLICA IDENTITY USING INDEX …;", sqlTable(t))
	}
	if key == nil {
		advice += ` and name the columns: key = ["…"]`
	}
	return advice
}

func within(columns, set []string) bool {
	for _, c := range columns {
		found := false
		for _, s := range set {
			found = found || s == c
		}
		if !found {
			return false
		}
	}
	return true
}
