package customerio

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

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
	case ObjectName:
		return "object"
	case DeviceToken:
		return "device"
	case Pair:
		return "relationship"
	}
	return "identifier(" + strconv.Itoa(int(t)) + ")"
}

// timestampDigits is the most that a timestamp in Unix seconds takes; Size
// counts it for every operation, since the outbox gives the timestamp later.
const timestampDigits = 20

// frame is what stands around the values of an item.
func (op *Operation) frame() string {
	switch {
	case op.Kind == Object:
		return `{"type":"object","action":"identify","identifiers":{"object_type_id":,"object_id":},"attributes":{}}`
	case op.Action == AddRelationship:
		return `{"type":"person","action":"add_relationships","identifiers":{"cio_id":},` +
			`"cio_relationships":[{"identifiers":{"object_type_id":,"object_id":},"relationship_attributes":{}}]}`
	case op.Action == AddDevice:
		return `{"type":"person","action":"add_device","identifiers":{"cio_id":},"device":{"token":,"attributes":{}}}`
	case op.Action == Track:
		return `{"type":"person","action":"event","identifiers":{"cio_id":},"name":,"id":"","timestamp":,"attributes":{}}`
	}
	return `{"type":"person","action":"identify","identifiers":{"cio_id":},"timestamp":,"attributes":{}}`
}

// Size is a bound on the bytes that AppendJSON will write, exact but for the
// lengths of the timestamp and of the identifier's type: never less.
func (op *Operation) Size() int {
	n := len(op.frame()) + timestampDigits
	switch op.Action {
	case Track:
		n += stringSize(op.Name) + len(op.ID)
	case AddDevice:
		n += stringSize(op.Token)
	}
	if op.Kind != Object {
		n += stringSize(op.Person.Value)
	}
	if op.Kind == Object || op.Kind == Relationship {
		n += stringSize(op.ObjectType) + stringSize(op.ObjectID)
	}
	if op.UpdateOnly {
		n += len(`"_update":true,`)
	}
	for i := range op.Attributes {
		n += stringSize(op.Attributes[i].Name) + len(op.Attributes[i].Value) + len(`:,`)
	}
	return n
}

// AppendJSON appends the operation as an item of a v2 batch. A timestamp of 0
// is left out.
func (op *Operation) AppendJSON(dst []byte) []byte {
	if op.Kind == Object {
		dst = append(dst, `{"type":"object","action":"identify","identifiers":`...)
		dst = op.appendObject(dst)
		dst = append(dst, `,"attributes":{`...)
		dst = op.appendAttributes(dst)
		return append(dst, "}}"...)
	}
	dst = append(dst, `{"type":"person","action":"`...)
	dst = append(dst, op.Action.String()...)
	dst = append(dst, `","identifiers":{"`...)
	dst = append(dst, op.Person.Type.String()...)
	dst = append(dst, `":`...)
	dst = AppendString(dst, op.Person.Value)
	dst = append(dst, '}')
	switch op.Action {
	case AddDevice:
		return op.appendDevice(dst)
	case AddRelationship:
		dst = append(dst, `,"cio_relationships":[{"identifiers":`...)
		dst = op.appendObject(dst)
		dst = append(dst, `,"relationship_attributes":{`...)
		dst = op.appendAttributes(dst)
		return append(dst, "}}]}"...)
	case Track:
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
	dst = op.appendAttributes(dst)
	return append(dst, "}}"...)
}

// String is the action's name in Customer.io's API.
func (a Action) String() string {
	switch a {
	case Track:
		return "event"
	case AddDevice:
		return "add_device"
	case AddRelationship:
		return "add_relationships"
	}
	return "identify"
}

func (op *Operation) appendObject(dst []byte) []byte {
	dst = append(dst, `{"object_type_id":`...)
	dst = AppendString(dst, op.ObjectType)
	dst = append(dst, `,"object_id":`...)
	dst = AppendString(dst, op.ObjectID)
	return append(dst, '}')
}

func (op *Operation) appendDevice(dst []byte) []byte {
	dst = append(dst, `,"device":{"token":`...)
	dst = AppendString(dst, op.Token)
	for _, field := range []string{FieldPlatform, FieldLastUsed} {
		// Where two mappings say it, the newest comes last.
		for i := len(op.Attributes) - 1; i >= 0; i-- {
			if op.Attributes[i].Name == field {
				dst = append(dst, `,"`...)
				dst = append(dst, field[1:]...)
				dst = append(dst, `":`...)
				dst = append(dst, op.Attributes[i].Value...)
				break
			}
		}
	}
	dst = append(dst, `,"attributes":{`...)
	dst = op.appendAttributes(dst)
	return append(dst, "}}}"...)
}

// appendAttributes appends the members of the attributes' object.
func (op *Operation) appendAttributes(dst []byte) []byte {
	comma := false
	if op.UpdateOnly {
		dst = append(dst, `"_update":true`...)
		comma = true
	}
	for i := range op.Attributes {
		if IsField(op.Attributes[i].Name) {
			continue
		}
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = AppendString(dst, op.Attributes[i].Name)
		dst = append(dst, ':')
		dst = append(dst, op.Attributes[i].Value...)
	}
	return dst
}

// IsField tells a field of the operation from an attribute.
func IsField(name string) bool { return name == FieldPlatform || name == FieldLastUsed }

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
