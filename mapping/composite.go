package mapping

import (
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// appendComposite appends a row value, `(1,"x y",)`, as a JSON object of its
// fields, each rendered by its own type. An empty field is null; an empty
// string is written `""`.
func appendComposite(dst []byte, t *cdc.Type, text []byte, zone *time.Location) ([]byte, string) {
	start := len(dst)
	malformed := func() ([]byte, string) { return dst[:start], "not a row value of " + t.Name + "" }
	if len(t.Fields) == 0 && string(text) != "()" {
		return customerio.AppendString(dst, text), ""
	}
	if len(text) < 2 || text[0] != '(' || text[len(text)-1] != ')' {
		return malformed()
	}
	body := text[1 : len(text)-1]
	lost := ""
	var buf []byte
	dst = append(dst, '{')
	for i := range t.Fields {
		field := &t.Fields[i]
		if i > 0 {
			if len(body) == 0 || body[0] != ',' {
				return malformed()
			}
			body = body[1:]
			dst = append(dst, ',')
		}
		dst = customerio.AppendString(dst, field.Name)
		dst = append(dst, ':')
		var null, ok bool
		buf, body, null, ok = readField(buf[:0], body)
		if !ok {
			return malformed()
		}
		if null {
			dst = append(dst, "null"...)
			continue
		}
		before := len(dst)
		var reason string
		dst, reason = appendValue(dst, field.Type, buf, zone)
		if reason != "" {
			if lost == "" {
				lost = field.Name + ": " + reason + "; sent as null inside the row value"
			}
			if len(dst) == before {
				dst = append(dst, "null"...)
			}
		}
	}
	if len(body) != 0 {
		return malformed()
	}
	return append(dst, '}'), lost
}

// readField appends the field that body starts with to dst and returns what
// follows it. Inside quotes, which may start anywhere, a doubled quote and a
// backslash protect one byte.
func readField(dst, body []byte) (field, rest []byte, null, ok bool) {
	quoted, seen := false, false
	i := 0
	for ; i < len(body); i++ {
		c := body[i]
		switch {
		case c == '\\':
			i++
			if i == len(body) {
				return dst, nil, false, false
			}
			dst = append(dst, body[i])
			seen = true
		case c == '"' && quoted && i+1 < len(body) && body[i+1] == '"':
			i++
			dst = append(dst, '"')
		case c == '"':
			quoted = !quoted
			seen = true
		case c == ',' && !quoted:
			return dst, body[i:], len(dst) == 0 && !seen, true
		default:
			dst = append(dst, c)
		}
	}
	return dst, body[i:], len(dst) == 0 && !seen, !quoted
}
