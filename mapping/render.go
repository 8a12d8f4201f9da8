package mapping

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// appendAttribute appends an attribute's JSON to the arena: nothing if a column
// it needs was not sent, or if there is a reason why it cannot be.
func (r *rowOf) appendAttribute(a *attributePlan) (reason string) {
	start := len(r.arena.bytes)
	if reason = r.appendAsItIs(a); !a.quoted {
		return reason
	}
	if value := r.arena.since(start); len(value) > 0 && value[0] != '"' && string(value) != "null" {
		r.text = append(r.text[:0], value...)
		r.arena.bytes = customerio.AppendString(r.arena.bytes[:start], r.text)
	}
	return reason
}

func (r *rowOf) appendAsItIs(a *attributePlan) (reason string) {
	dst := r.arena.bytes
	switch a.source.form {
	case Literal:
		dst = append(dst, a.source.json...)
	case FromColumn:
		text, state := r.get(a.index)
		switch state {
		case cdc.Absent:
			r.ask.Partial = true
			return ""
		case cdc.Null:
			dst = append(dst, "null"...)
		default:
			dst, reason = a.render(dst, a.typ, text)
		}
	case FromExpr:
		v, state := r.run(a.source.program, a.reads)
		switch {
		case state == absent:
			r.ask.Missing = true
			return ""
		case state == failed:
			return ""
		case v == nil:
			dst = append(dst, "null"...)
		default:
			dst, reason = a.renderAny(dst, v)
		}
	}
	r.arena.bytes = dst
	return reason
}

// render appends a column's value as the attribute wants it.
func (a *attribute) render(dst []byte, t *cdc.Type, text []byte) ([]byte, string) {
	if a.Hash != NoHash {
		return a.appendHash(dst, t, text)
	}
	as := a.As
	if a.asString {
		as = AsString
	}
	switch as {
	case AsString:
		if t.Kind == cdc.Text {
			return customerio.AppendString(dst, text), ""
		}
		if t.Kind == cdc.JSON && string(bytes.TrimSpace(text)) == "null" {
			return append(dst, "null"...), ""
		}
		form, reason := appendText(nil, t, text, a.Zone)
		if reason != "" {
			return dst, reason
		}
		return customerio.AppendString(dst, form), ""
	case AsNumber:
		return appendAsNumber(dst, t, text, a.Zone)
	case AsBool:
		return appendAsBool(dst, t, text)
	case AsUnix:
		return appendAsUnix(dst, t, text, a.Zone)
	case AsJSON:
		if t.Kind == cdc.Text || t.Kind == cdc.Char {
			return appendNested(dst, text)
		}
	}
	return appendValue(dst, t, text, a.Zone)
}

// renderAny appends an expression's result as the attribute wants it.
func (a *attribute) renderAny(dst []byte, v any) ([]byte, string) {
	if a.As == AsIs && a.Hash == NoHash && !a.asString {
		return appendAny(dst, v)
	}
	t, text, reason := textOfAny(v)
	if reason != "" {
		return dst, reason
	}
	return a.render(dst, t, text)
}

// appendHash appends the hash, in hexadecimal, of the text the value has as a
// string.
func (a *attribute) appendHash(dst []byte, t *cdc.Type, text []byte) ([]byte, string) {
	form, reason := appendText(nil, t, text, a.Zone)
	if reason != "" {
		return dst, reason
	}
	var sum []byte
	if a.Hash == HMACSHA256 {
		h := hmac.New(sha256.New, a.HashKey)
		h.Write(form)
		sum = h.Sum(nil)
	} else {
		s := sha256.Sum256(form)
		sum = s[:]
	}
	dst = append(dst, '"')
	dst = hex.AppendEncode(dst, sum)
	return append(dst, '"'), ""
}

// appendText appends a value as plain text, for identifiers, hashes and
// as = "string": what Postgres wrote, but true and false, money and bytea as
// they are sent, and nested values as JSON.
func appendText(dst []byte, t *cdc.Type, text []byte, zone *time.Location) ([]byte, string) {
	switch t.Kind {
	case cdc.Bool:
		return appendValue(dst, t, text, nil)
	case cdc.Money:
		return cleanMoney(dst, text), ""
	case cdc.Char:
		return append(dst, bytes.TrimRight(text, " ")...), ""
	case cdc.Bytea:
		raw, err := hex.DecodeString(string(bytes.TrimPrefix(text, []byte(`\x`))))
		if err != nil {
			return dst, "not a bytea in hexadecimal"
		}
		return base64.StdEncoding.AppendEncode(dst, raw), ""
	case cdc.JSON, cdc.Array, cdc.Hstore, cdc.Composite:
		return appendValue(dst, t, text, zone)
	}
	return append(dst, text...), ""
}

// asProblem says why `as` does not fit a column's kind; "" if it does.
func asProblem(as As, kind cdc.TypeKind) string {
	nested := kind == cdc.JSON || kind == cdc.Array || kind == cdc.Hstore || kind == cdc.Composite
	moment := kind == cdc.Timestamp || kind == cdc.Timestamptz || kind == cdc.Date
	switch as {
	case AsNumber:
		if nested || kind == cdc.Bytea {
			return "it is no number"
		}
	case AsBool:
		if nested || moment || kind == cdc.Bytea || kind == cdc.Money {
			return "it is neither true nor false"
		}
	case AsUnix:
		if nested || kind == cdc.Bytea || kind == cdc.Bool || kind == cdc.Money {
			return "it is no time"
		}
	case AsJSON:
		if !nested && kind != cdc.Text && kind != cdc.Char {
			return "it is no JSON"
		}
	}
	return ""
}

func appendAsNumber(dst []byte, t *cdc.Type, text []byte, zone *time.Location) ([]byte, string) {
	switch t.Kind {
	case cdc.Bool:
		if len(text) > 0 && text[0] == 't' {
			return append(dst, '1'), ""
		}
		return append(dst, '0'), ""
	case cdc.Integer, cdc.Numeric:
		return appendNumber(dst, text) // and not as a string, however large
	case cdc.Text, cdc.Char:
		return appendNumber(dst, bytes.TrimSpace(text))
	}
	return appendValue(dst, t, text, zone)
}

func appendAsBool(dst []byte, t *cdc.Type, text []byte) ([]byte, string) {
	switch t.Kind {
	case cdc.Integer, cdc.Float, cdc.Numeric:
		if !validNumber(text) {
			return dst, "not true or false"
		}
		return strconv.AppendBool(dst, bytes.ContainsAny(mantissa(text), "123456789")), ""
	case cdc.Text, cdc.Char:
		switch word := bytes.ToLower(bytes.TrimSpace(text)); string(word) {
		case "t", "true", "y", "yes", "on", "1":
			return append(dst, "true"...), ""
		case "f", "false", "n", "no", "off", "0":
			return append(dst, "false"...), ""
		}
		return dst, "not true or false"
	}
	return appendValue(dst, t, text, nil)
}

// mantissa is a number's text before its exponent.
func mantissa(text []byte) []byte {
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		return text[:i]
	}
	return text
}

func appendAsUnix(dst []byte, t *cdc.Type, text []byte, zone *time.Location) ([]byte, string) {
	switch t.Kind {
	case cdc.Integer, cdc.Float, cdc.Numeric:
		return appendFloor(dst, text)
	case cdc.Text, cdc.Char:
		text = bytes.TrimSpace(text)
		if n, ok := parseInt(text); ok {
			return appendSeconds(dst, n)
		}
	}
	return appendUnix(dst, text, zone)
}

// appendFloor appends a number of seconds rounded down to an integer.
func appendFloor(dst, text []byte) ([]byte, string) {
	if n, ok := parseInt(text); ok {
		return appendSeconds(dst, n)
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) >= 1<<62 {
		return dst, "no time in Unix seconds"
	}
	return appendSeconds(dst, int64(math.Floor(f)))
}

// lastSecond is the end of the year 9999. A number beyond it counts
// milliseconds, which Customer.io would take for seconds without a word.
const lastSecond = 253_402_300_799

func appendSeconds(dst []byte, n int64) ([]byte, string) {
	if n > lastSecond || n < -lastSecond {
		return dst, "no time in Unix seconds: it lies beyond the year 9999, as milliseconds do"
	}
	return strconv.AppendInt(dst, n, 10), ""
}

// textState is what came of reading a value as text.
type textState uint8

const (
	textPresent textState = iota
	textNull
	textAbsent
	textFailed // the ask is settled: refused
)

// textOf returns a value as plain text; it lives until the next call.
func (r *rowOf) textOf(s *source, p *valuePlan) ([]byte, textState) {
	switch s.form {
	case Literal:
		return append(r.text[:0], s.text...), textPresent
	case FromColumn:
		text, state := r.get(p.index)
		switch state {
		case cdc.Null:
			return nil, textNull
		case cdc.Absent:
			return nil, textAbsent
		}
		if p.typ.Kind == cdc.Text || p.typ.Kind == cdc.Integer {
			return text, textPresent
		}
		var reason string
		r.text, reason = appendText(r.text[:0], p.typ, text, nil)
		if reason != "" {
			r.refuse("%s: %s", s.column, reason)
			return nil, textFailed
		}
		return r.text, textPresent
	}
	v, state := r.run(s.program, p.reads)
	switch {
	case state == absent:
		return nil, textAbsent
	case state == failed:
		return nil, textFailed
	case v == nil:
		return nil, textNull
	}
	t, text, reason := textOfAny(v)
	if reason == "" {
		r.text, reason = appendText(r.text[:0], t, text, nil)
	}
	if reason != "" {
		r.refuse("%s", reason)
		return nil, textFailed
	}
	return r.text, textPresent
}
