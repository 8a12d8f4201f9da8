package mapping

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// Why a value is left out. The reasons are listed beside the operation and
// counted, so neither these nor the others here quote the value.
const (
	reasonNaN      = "NaN is no JSON number"
	reasonInfinity = "infinity is no JSON number"
	reasonForever  = "infinity is no point in time"
)

// AppendJSON appends what Customer.io is sent for a column of type t whose text
// is given. A reason other than "" says why the value cannot
// be sent, or (with something appended) which part of it became null.
//
// It allocates only for nested values.
func AppendJSON(dst []byte, t *cdc.Type, text []byte) ([]byte, string) {
	return appendValue(dst, t, text, nil)
}

// appendValue is AppendJSON with a zone for timestamps that have none; nil is
// UTC.
func appendValue(dst []byte, t *cdc.Type, text []byte, zone *time.Location) ([]byte, string) {
	switch t.Kind {
	case cdc.Bool:
		if len(text) > 0 && text[0] == 't' {
			return append(dst, "true"...), ""
		}
		return append(dst, "false"...), ""
	case cdc.Integer:
		return appendInteger(dst, text)
	case cdc.Numeric:
		if wholeNumber(text) {
			return appendInteger(dst, text)
		}
		return appendNumber(dst, text)
	case cdc.Float:
		return appendNumber(dst, text)
	case cdc.Money:
		var buf [40]byte
		return appendNumber(dst, cleanMoney(buf[:0], text))
	case cdc.Timestamp, cdc.Timestamptz, cdc.Date:
		return appendUnix(dst, text, zone)
	case cdc.JSON:
		return appendNested(dst, text)
	case cdc.Bytea:
		return appendBytea(dst, text)
	case cdc.Char:
		return customerio.AppendString(dst, bytes.TrimRight(text, " ")), ""
	case cdc.Hstore:
		return appendHstore(dst, text)
	case cdc.Array:
		return appendArray(dst, t, text, zone)
	case cdc.Composite:
		return appendComposite(dst, t, text, zone)
	}
	return customerio.AppendString(dst, text), ""
}

// maxExact is the largest integer that every JSON reader keeps exactly: 2^53.
const maxExact = 1 << 53

// appendInteger appends an integer with its own digits; beyond ±2^53 as a
// string, since readers that hold numbers as doubles would change it.
func appendInteger(dst, text []byte) ([]byte, string) {
	if !validNumber(text) {
		return dst, "not a number"
	}
	if len(text) < 16 || exact(text) {
		return append(dst, text...), ""
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"'), ""
}

// wholeNumber tells whether the text is nothing but a sign and digits.
func wholeNumber(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("-"))
	return len(text) > 0 && len(bytes.Trim(text, "0123456789")) == 0
}

func exact(text []byte) bool {
	n, ok := parseInt(text)
	return ok && n <= maxExact && n >= -maxExact
}

// parseInt reads a decimal integer of 64 bits.
func parseInt(text []byte) (int64, bool) {
	rest, negative := text, false
	if len(rest) > 0 && rest[0] == '-' {
		rest, negative = rest[1:], true
	}
	if len(rest) == 0 || len(rest) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range rest {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if negative {
		if n > 1<<63 {
			return 0, false
		}
		return -int64(n), true
	}
	return int64(n), n < 1<<63
}

// appendNumber appends a float or a numeric with Postgres' own digits.
func appendNumber(dst, text []byte) ([]byte, string) {
	if validNumber(text) {
		return append(dst, text...), ""
	}
	switch string(text) {
	case "NaN":
		return dst, reasonNaN
	case "Infinity", "-Infinity":
		return dst, reasonInfinity
	}
	return dst, "not a number"
}

// validNumber tells whether text is a number of JSON's grammar.
func validNumber(text []byte) bool {
	i := 0
	if i < len(text) && text[i] == '-' {
		i++
	}
	start := i
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	if i == start || text[start] == '0' && i > start+1 {
		return false
	}
	if i < len(text) && text[i] == '.' {
		i++
		start = i
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		if i == start {
			return false
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		start = i
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		if i == start {
			return false
		}
	}
	return i == len(text)
}

// cleanMoney takes the currency and the thousands separators off a money
// value, as lc_monetary = C writes it: "-$1,234.56".
func cleanMoney(dst, text []byte) []byte {
	negative := false
	start := len(dst)
	dst = append(dst, '-')
	for _, c := range text {
		switch {
		case c == '-' || c == '(':
			negative = true
		case c >= '0' && c <= '9' || c == '.':
			dst = append(dst, c)
		}
	}
	if negative {
		return dst
	}
	return dst[start+1:]
}

// appendUnix appends a time as Unix seconds, rounded down.
func appendUnix(dst, text []byte, zone *time.Location) ([]byte, string) {
	m, err := parseMoment(text)
	switch {
	case err != "":
		return dst, err
	case m.infinite != 0:
		return dst, reasonForever
	}
	return strconv.AppendInt(dst, m.unix(zone), 10), ""
}

// appendNested appends a JSON document without its white space. Its numbers
// keep their digits and its keys their order.
func appendNested(dst, text []byte) ([]byte, string) {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	if !json.Valid(text) {
		return dst, "not valid JSON"
	}
	quoted := false
	start := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\n' || c == '\t' || c == '\r'):
			dst = append(dst, text[start:i]...)
			start = i + 1
		}
	}
	return append(dst, text[start:]...), ""
}

// appendBytea appends bytes, which Postgres writes in hexadecimal, in base64.
func appendBytea(dst, text []byte) ([]byte, string) {
	digits, ok := bytes.CutPrefix(text, []byte(`\x`))
	if !ok || len(digits)%2 != 0 {
		return dst, "not a bytea in hexadecimal"
	}
	raw := make([]byte, len(digits)/2)
	if _, err := hex.Decode(raw, digits); err != nil {
		return dst, "not a bytea in hexadecimal"
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"'), ""
}
