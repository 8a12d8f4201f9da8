package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
)

// toAny is a column's value as expressions see it: integers int, numeric and
// money exact decimals, floats float64, times time.Time in UTC, json, arrays,
// hstore and composites maps and lists (of what they are sent as, but every
// integer as a number), everything else text.
func toAny(t *cdc.Type, text []byte) (any, error) {
	switch t.Kind {
	case cdc.Bool:
		return len(text) > 0 && text[0] == 't', nil
	case cdc.Integer:
		n, ok := parseInt(text)
		if !ok {
			return nil, errors.New("it is no integer")
		}
		return int(n), nil
	case cdc.Float:
		return strconv.ParseFloat(string(text), 64)
	case cdc.Numeric, cdc.Money:
		s := string(text)
		if t.Kind == cdc.Money {
			s = string(cleanMoney(nil, text))
		}
		if d, ok := parseDecimal(s); ok {
			return d, nil
		}
		return strconv.ParseFloat(s, 64) // NaN and the infinities
	case cdc.Timestamp, cdc.Timestamptz, cdc.Date:
		m, reason := parseMoment(text)
		if reason != "" {
			return nil, errors.New(reason)
		}
		return m.time(nil), nil
	case cdc.JSON:
		return decodeJSON(text)
	case cdc.Array, cdc.Hstore, cdc.Composite:
		nested, reason := appendValue(nil, t, text, nil)
		if len(nested) == 0 {
			return nil, errors.New(reason)
		}
		v, err := decodeJSON(nested)
		return integers(t, v), err
	case cdc.Char, cdc.Bytea:
		out, reason := appendText(nil, t, text, nil)
		if reason != "" {
			return nil, errors.New(reason)
		}
		return string(out), nil
	}
	return string(text), nil
}

var errNoJSON = errors.New("it is not valid JSON")

// integers makes numbers again of those integers that are sent as text, within
// an array or a row value: an expression compares them with numbers.
func integers(t *cdc.Type, v any) any {
	if t == nil {
		return v
	}
	switch x := v.(type) {
	case string:
		if t.Kind == cdc.Integer || t.Kind == cdc.Numeric {
			return whole(x)
		}
	case []any:
		of := t // of another dimension of the same array
		for i, e := range x {
			if _, is := e.([]any); !is && t.Kind == cdc.Array {
				of = t.Element
			}
			x[i] = integers(of, e)
		}
	case map[string]any:
		for i := range t.Fields {
			if f := &t.Fields[i]; x[f.Name] != nil {
				x[f.Name] = integers(f.Type, x[f.Name])
			}
		}
	}
	return v
}

// whole is an integer of any size; other text stays what it is.
func whole(text string) any {
	if n, ok := parseInt([]byte(text)); ok {
		return int(n)
	}
	if d, ok := parseDecimal(text); ok && d.scale == 0 {
		return d
	}
	return text
}

// decodeJSON reads a JSON document: its integers as int, or as decimals where
// they are too large, other numbers as float64.
func decodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errNoJSON
	}
	if d.More() {
		return nil, errNoJSON
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if wholeNumber([]byte(v)) {
			return whole(string(v))
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// appendAny appends the JSON of an expression's result.
func appendAny(dst []byte, v any) ([]byte, string) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), ""
	case bool:
		return strconv.AppendBool(dst, v), ""
	case string:
		return customerio.AppendString(dst, v), ""
	case int:
		return appendInteger(dst, strconv.AppendInt(nil, int64(v), 10))
	case float64:
		return appendFloat(dst, v)
	case decimal:
		if v.scale == 0 {
			return appendInteger(dst, []byte(v.String()))
		}
		return append(dst, v.String()...), ""
	case time.Time:
		if v.Equal(forever) || v.Equal(never) {
			return dst, reasonForever
		}
		return strconv.AppendInt(dst, v.Unix(), 10), ""
	case time.Duration:
		return appendFloat(dst, v.Seconds())
	case map[string]any:
		dst = append(dst, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = customerio.AppendString(dst, k)
			dst = append(dst, ':')
			var reason string
			if dst, reason = appendAny(dst, v[k]); reason != "" {
				return dst, reason
			}
		}
		return append(dst, '}'), ""
	}
	if list, ok := listOf(v); ok {
		dst = append(dst, '[')
		for i, e := range list {
			if i > 0 {
				dst = append(dst, ',')
			}
			var reason string
			if dst, reason = appendAny(dst, e); reason != "" {
				return dst, reason
			}
		}
		return append(dst, ']'), ""
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Map:
		m, err := mapOf("an attribute", v)
		if err != nil {
			return dst, err.Error()
		}
		return appendAny(dst, m)
	case reflect.Slice:
		list := make([]any, r.Len())
		for i := range list {
			list[i] = r.Index(i).Interface()
		}
		return appendAny(dst, list)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return appendAny(dst, int(r.Int()))
	}
	return dst, fmt.Sprintf("%s cannot be sent", kindOf(v))
}

// appendFloat appends a float by its shortest digits, as Postgres would.
func appendFloat(dst []byte, f float64) ([]byte, string) {
	switch {
	case math.IsNaN(f):
		return dst, reasonNaN
	case math.IsInf(f, 0):
		return dst, reasonInfinity
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-5 || a >= 1e15) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64), ""
}

// The types that an expression's results have when they are made text.
var (
	boolType    = cdc.Type{Name: "bool", Kind: cdc.Bool}
	integerType = cdc.Type{Name: "int8", Kind: cdc.Integer}
	numericType = cdc.Type{Name: "numeric", Kind: cdc.Numeric}
	textType    = cdc.Type{Name: "text", Kind: cdc.Text}
	jsonType    = cdc.Type{Name: "json", Kind: cdc.JSON}
)

// textOfAny is an expression's result as a column of some type would have it;
// times are Unix seconds.
func textOfAny(v any) (t *cdc.Type, text []byte, reason string) {
	switch v := v.(type) {
	case bool:
		if v {
			return &boolType, []byte("t"), ""
		}
		return &boolType, []byte("f"), ""
	case string:
		return &textType, []byte(v), ""
	case int:
		return &integerType, strconv.AppendInt(nil, int64(v), 10), ""
	case decimal:
		return &numericType, []byte(v.String()), ""
	case float64, time.Duration:
		text, reason = appendAny(nil, v)
		return &numericType, text, reason
	case time.Time:
		text, reason = appendAny(nil, v)
		return &integerType, text, reason
	}
	text, reason = appendAny(nil, v)
	return &jsonType, text, reason
}
