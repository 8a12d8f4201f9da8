package customerio

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// String is the identifier as pgcio names it everywhere: "id:42".
func (id Identifier) String() string { return id.Type.String() + ":" + id.Value }

// String is the type's key in Customer.io's `identifiers` object.
func (t IdentifierType) String() string {
	switch t {
	case ID:
		return "id"
	case Email:
		return "email"
	case CioID:
		return "cio_id"
	case Phone:
		return "phone"
	}
	return "identifier(" + strconv.Itoa(int(t)) + ")"
}

// timestampDigits is the most that a timestamp in Unix seconds takes; Size
// counts it for every operation, since the outbox gives the timestamp later.
const timestampDigits = 20

// Size is a bound on the bytes that AppendJSON will write, exact but for the
// length of the timestamp: never less.
func (op *Operation) Size() int {
	n := len(`{"type":"person","action":"identify","identifiers":{"cio_id":},"timestamp":,"attributes":{}}`) + timestampDigits
	n += stringSize(op.Person.Value)
	if op.UpdateOnly {
		n += len(`"_update":true,`)
	}
	if op.Action == Track {
		n += len(`,"name":,"id":""`) + stringSize(op.Name) + len(op.ID)
	}
	for i := range op.Attributes {
		n += stringSize(op.Attributes[i].Name) + len(op.Attributes[i].Value) + len(`:,`)
	}
	return n
}

// AppendJSON appends the operation as an item of a v2 batch. A timestamp of 0
// is left out.
func (op *Operation) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"type":"person","action":`...)
	if op.Action == Track {
		dst = append(dst, `"event"`...)
	} else {
		dst = append(dst, `"identify"`...)
	}
	dst = append(dst, `,"identifiers":{"`...)
	dst = append(dst, op.Person.Type.String()...)
	dst = append(dst, `":`...)
	dst = AppendString(dst, op.Person.Value)
	dst = append(dst, '}')
	if op.Action == Track {
		dst = append(dst, `,"name":`...)
		dst = AppendString(dst, op.Name)
		dst = append(dst, `,"id":"`...)
		dst = append(dst, op.ID...)
		dst = append(dst, '"')
	}
	if op.Timestamp != 0 {
		dst = append(dst, `,"timestamp":`...)
		dst = strconv.AppendInt(dst, op.Timestamp, 10)
	}
	dst = append(dst, `,"attributes":{`...)
	comma := false
	if op.UpdateOnly {
		dst = append(dst, `"_update":true`...)
		comma = true
	}
	for i := range op.Attributes {
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = AppendString(dst, op.Attributes[i].Name)
		dst = append(dst, ':')
		dst = append(dst, op.Attributes[i].Value...)
	}
	return append(dst, "}}"...)
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string: what JSON demands is escaped and
// nothing else, and bytes that are not UTF-8 become U+FFFD, since JSON has no
// way to carry them.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= 0x20 && b < utf8.RuneSelf && b != '"' && b != '\\' {
			i++
			continue
		}
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case b >= utf8.RuneSelf:
			dst = append(dst, "\uFFFD"...)
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b == '\r':
			dst = append(dst, '\\', 'r')
		case b == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// stringSize is the length of what AppendString appends.
func stringSize(s string) int {
	n := 2 + len(s)
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '"' || b == '\\' || b == '\n' || b == '\r' || b == '\t':
			n++
		case b < 0x20:
			n += 5
		case b >= utf8.RuneSelf:
			if r, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size <= 1 {
				n += len("\uFFFD") - 1
			} else {
				i += size - 1
			}
		}
	}
	return n
}

// Clone copies op with everything it points to.
func (op *Operation) Clone() Operation {
	c := *op
	c.Attributes = slices.Clone(op.Attributes)
	for i := range c.Attributes {
		c.Attributes[i].Value = slices.Clone(c.Attributes[i].Value)
	}
	return c
}
