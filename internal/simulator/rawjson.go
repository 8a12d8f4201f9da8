package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The splitters below take apart JSON that wellFormed has already passed. They
// exist because encoding/json matches struct fields without regard to case and
// lets the last of two equal keys win: both would make the simulator more
// lenient than the service it stands for.

var (
	errNotObject    = errors.New("must be an object")
	errNotArray     = errors.New("must be an array")
	errDuplicateKey = errors.New("has the same key twice")
)

type member struct {
	key   string
	value json.RawMessage
}

// wellFormed reports whether a body is JSON in UTF-8, as RFC 8259 wants it on
// the wire.
func wellFormed(body []byte) bool { return utf8.Valid(body) && json.Valid(body) }

// members splits a well-formed object into its members, in order. The values
// are slices of raw.
func members(raw []byte) ([]member, error) {
	i := skipSpace(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return nil, errNotObject
	}
	i = skipSpace(raw, i+1)
	if raw[i] == '}' {
		return nil, nil
	}
	list := make([]member, 0, 8)
	for {
		end := skipValue(raw, i)
		key := unquote(raw[i:end])
		i = skipSpace(raw, end)      // the colon
		start := skipSpace(raw, i+1) // the value
		end = skipValue(raw, start)
		list = append(list, member{key, raw[start:end]})
		i = skipSpace(raw, end)
		if raw[i] == '}' {
			break
		}
		i = skipSpace(raw, i+1)
	}
	return list, unique(list)
}

func unique(list []member) error {
	if len(list) <= 16 {
		for i := range list {
			for j := range i {
				if list[i].key == list[j].key {
					return errDuplicateKey
				}
			}
		}
		return nil
	}
	seen := make(map[string]struct{}, len(list))
	for _, m := range list {
		if _, ok := seen[m.key]; ok {
			return errDuplicateKey
		}
		seen[m.key] = struct{}{}
	}
	return nil
}

// elements splits a well-formed array into its elements, as slices of raw.
func elements(raw []byte) ([]json.RawMessage, error) {
	i := skipSpace(raw, 0)
	if i >= len(raw) || raw[i] != '[' {
		return nil, errNotArray
	}
	i = skipSpace(raw, i+1)
	if raw[i] == ']' {
		return nil, nil
	}
	var list []json.RawMessage
	for {
		end := skipValue(raw, i)
		list = append(list, json.RawMessage(raw[i:end]))
		i = skipSpace(raw, end)
		if raw[i] == ']' {
			return list, nil
		}
		i = skipSpace(raw, i+1)
	}
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the index after the value that starts at i.
func skipValue(raw []byte, i int) int {
	switch raw[i] {
	case '"':
		return skipString(raw, i)
	case '{', '[':
		depth := 0
		for {
			switch raw[i] {
			case '"':
				i = skipString(raw, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i
			}
		}
	}
	for i < len(raw) && !strings.ContainsRune(",]} \n\t\r", rune(raw[i])) {
		i++
	}
	return i
}

func skipString(raw []byte, i int) int {
	for i++; ; i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// unquote decodes a well-formed JSON string.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic("simulator: unquote of a value that is no string: " + err.Error())
	}
	return s
}

func isNull(raw []byte) bool   { return len(raw) > 0 && raw[0] == 'n' }
func isString(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }
func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }
func isNested(raw []byte) bool { return len(raw) > 0 && (raw[0] == '{' || raw[0] == '[') }

func asString(raw []byte) (string, bool) {
	if !isString(raw) {
		return "", false
	}
	return unquote(raw), true
}

// asInteger reads a JSON number written as an integer; 1.0 and 1e3 are not.
func asInteger(raw []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}

// compact copies a value without insignificant space, so that what is kept
// does not hold on to the request it came in.
func compact(raw []byte) string {
	if !isNested(raw) {
		return string(raw)
	}
	var b bytes.Buffer
	b.Grow(len(raw))
	if err := json.Compact(&b, raw); err != nil {
		panic("simulator: compact of malformed JSON: " + err.Error())
	}
	return b.String()
}

// valueBytes is the size of an attribute value as the limit counts it.
func valueBytes(raw []byte) int {
	if isString(raw) {
		if bytes.IndexByte(raw, '\\') < 0 {
			return len(raw) - 2
		}
		return len(unquote(raw))
	}
	if isNested(raw) && len(raw) > maxValueBytes {
		return len(compact(raw))
	}
	return len(raw)
}

// stringify is how the App API shows a value: always as a string, nested ones
// as JSON text. Customer.io docs: App API, customer attributes.
func stringify(raw string) string {
	if s, ok := asString([]byte(raw)); ok {
		return s
	}
	return raw
}
