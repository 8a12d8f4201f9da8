package mapping

import (
	"bytes"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// maxDepth bounds nesting, of an array's dimensions (Postgres has at most 6)
// and of composites and arrays within each other.
const maxDepth = 32

// appendArray appends an array, "{1,NULL,3}" or with bounds "[0:1]={a,b}", as a
// JSON array whose elements are rendered by their own type. An element that
// JSON cannot carry (NaN) becomes null and is named in the reason, beside what
// was appended.
func appendArray(dst []byte, t *cdc.Type, text []byte, zone *time.Location) ([]byte, string) {
	start := len(dst)
	p := arrayReader{text: text, element: t.Element, delimiter: t.Delimiter, zone: zone}
	if p.delimiter == 0 {
		p.delimiter = ','
	}
	if p.element == nil {
		p.element = &cdc.Type{}
	}
	if len(text) > 0 && text[0] == '[' {
		p.pos = bytes.IndexByte(text, '=') + 1
	}
	dst = p.append(dst, 0)
	if p.bad || p.pos != len(text) {
		return dst[:start], "not an array"
	}
	return dst, p.lost
}

// arrayReader reads an array's text from left to right.
type arrayReader struct {
	text      []byte
	pos       int
	element   *cdc.Type
	delimiter byte
	zone      *time.Location
	buf       []byte // of an unescaped element
	bad       bool
	lost      string // which elements became null, and why
}

func (p *arrayReader) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	p.bad = true
	return 0
}

// append appends the array that starts here, of any number of dimensions.
func (p *arrayReader) append(dst []byte, depth int) []byte {
	if p.peek() != '{' || depth > maxDepth {
		p.bad = true
		return dst
	}
	p.pos++
	dst = append(dst, '[')
	if p.peek() == '}' {
		p.pos++
		return append(dst, ']')
	}
	for !p.bad {
		if p.peek() == '{' {
			dst = p.append(dst, depth+1)
		} else {
			dst = p.appendElement(dst)
		}
		switch p.peek() {
		case p.delimiter:
			p.pos++
			dst = append(dst, ',')
		case '}':
			p.pos++
			return append(dst, ']')
		default:
			p.bad = true
		}
	}
	return dst
}

func (p *arrayReader) appendElement(dst []byte) []byte {
	text, null := p.read()
	if p.bad {
		return dst
	}
	if null {
		return append(dst, "null"...)
	}
	start := len(dst)
	dst, reason := appendValue(dst, p.element, text, p.zone)
	if reason != "" {
		if p.lost == "" {
			p.lost = reason + "; sent as null inside the array"
		}
		if len(dst) == start {
			dst = append(dst, "null"...)
		}
	}
	return dst
}

// read returns the element that starts here. Its bytes are either the text's
// own or in buf.
func (p *arrayReader) read() (text []byte, null bool) {
	if p.peek() == '"' {
		p.pos++
		return p.quoted(), false
	}
	start, escaped := p.pos, false
	for !p.bad {
		c := p.peek()
		if c == p.delimiter || c == '}' {
			break
		}
		if c == '{' || c == '"' {
			p.bad = true
		}
		if c == '\\' {
			escaped = true
			p.pos++
		}
		p.pos++
	}
	if p.bad || p.pos > len(p.text) {
		p.bad = true
		return nil, false
	}
	text = p.text[start:p.pos]
	if len(text) == 4 && bytes.EqualFold(text, []byte("NULL")) {
		return nil, true
	}
	if len(text) == 0 {
		p.bad = true
	}
	if escaped {
		p.buf = unescape(p.buf[:0], text)
		text = p.buf
	}
	return text, false
}

// quoted reads to the closing quote.
func (p *arrayReader) quoted() []byte {
	start, escaped := p.pos, false
	for p.pos < len(p.text) && p.text[p.pos] != '"' {
		if p.text[p.pos] == '\\' {
			escaped = true
			p.pos++
		}
		p.pos++
	}
	if p.pos >= len(p.text) {
		p.bad = true
		return nil
	}
	text := p.text[start:p.pos]
	p.pos++
	if escaped {
		p.buf = unescape(p.buf[:0], text)
		text = p.buf
	}
	return text
}

// unescape appends text with each backslash taken off the byte it protects.
func unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		dst = append(dst, text[i])
	}
	return dst
}

// appendHstore appends an hstore, `"a"=>"1", "b"=>NULL`, as a JSON object of
// strings and nulls.
func appendHstore(dst, text []byte) ([]byte, string) {
	start := len(dst)
	p := arrayReader{text: text}
	dst = append(dst, '{')
	for n := 0; p.pos < len(text) && !p.bad; n++ {
		if n > 0 {
			if !bytes.HasPrefix(text[p.pos:], []byte(", ")) {
				p.bad = true
				break
			}
			p.pos += 2
			dst = append(dst, ',')
		}
		if p.peek() != '"' {
			p.bad = true
			break
		}
		p.pos++
		dst = customerio.AppendString(dst, p.quoted())
		if p.bad || !bytes.HasPrefix(text[p.pos:], []byte("=>")) {
			p.bad = true
			break
		}
		p.pos += 2
		dst = append(dst, ':')
		if bytes.HasPrefix(text[p.pos:], []byte("NULL")) {
			p.pos += 4
			dst = append(dst, "null"...)
			continue
		}
		if p.peek() != '"' {
			p.bad = true
			break
		}
		p.pos++
		dst = customerio.AppendString(dst, p.quoted())
	}
	if p.bad {
		return dst[:start], "not an hstore"
	}
	return append(dst, '}'), ""
}
