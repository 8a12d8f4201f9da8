package strict

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
)

// Table is one table of a document, read by asking for its keys.
type Table struct {
	doc    *Document
	path   string // for the marks
	name   string // for people
	values map[string]any
	asked  map[string]bool
	order  []string // of the keys asked for, for nearest words
}

// Call names the table in messages: `mapping "people"` instead of mapping[1].
func (t *Table) Call(name string) {
	if t != nil {
		t.name = name
	}
}

// Here is the place of the table itself.
func (t *Table) Here() Place {
	if t == nil {
		return Place{}
	}
	return Place{File: t.doc.file, Key: t.name, Line: t.doc.marks[t.path].line}
}

// Place is the place of one of the table's keys.
func (t *Table) Place(key string) Place {
	if t == nil {
		return Place{Key: key}
	}
	p := Place{File: t.doc.file, Key: join(t.name, key), Line: t.doc.marks[segment(t.path, key)].line}
	if p.Line == 0 {
		p.Line = t.Here().Line
	}
	return p
}

// Problem records that something is wrong with a key. Of a key whose variable
// is not set that has been said, and nothing else is known.
func (t *Table) Problem(key, suggestion, format string, args ...any) {
	if t != nil && !t.doc.unset[segment(t.path, key)] {
		t.doc.Add(t.Place(key).Problem(suggestion, format, args...))
	}
}

// Keys are the table's keys in the order of the file.
func (t *Table) Keys() []string {
	if t == nil {
		return nil
	}
	keys := make([]string, 0, len(t.values))
	for k := range t.values {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, aKnown := t.doc.marks[segment(t.path, keys[i])]
		b, bKnown := t.doc.marks[segment(t.path, keys[j])]
		if aKnown && bKnown && a.order != b.order {
			return a.order < b.order
		}
		return keys[i] < keys[j]
	})
	return keys
}

// Has tells whether the key is there, and counts as asking for it.
func (t *Table) Has(key string) bool {
	_, ok := t.Any(key)
	return ok
}

// Any returns a value as the decoder made it.
func (t *Table) Any(key string) (any, bool) {
	if t == nil {
		return nil, false
	}
	if !t.asked[key] {
		t.asked[key] = true
		t.order = append(t.order, key)
	}
	v, ok := t.values[key]
	return v, ok
}

// Require records a problem if the key is not there.
func (t *Table) Require(key, why string) bool {
	if t.Has(key) {
		return true
	}
	if t != nil {
		message := "is required"
		if why != "" {
			message += ": " + why
		}
		place := t.Place(key)
		t.doc.Add(place.Problem("", "%s", message))
	}
	return false
}

// Describe says what a decoded value is, for messages.
func Describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprintf("the boolean %v", v)
	case int64:
		return fmt.Sprintf("the integer %d", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case time.Time:
		return "a date or time"
	case []any:
		return "a list"
	case []map[string]any:
		return "a list of tables"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("a %T", v)
}

func (t *Table) wrong(key, want string, v any) {
	suggestion := ""
	if s, ok := v.(string); ok && (want == "true or false" && (s == "true" || s == "false") || want == "an integer" && isDigits(s)) {
		suggestion = "write it without quotes: " + s
	}
	found := Describe(v)
	if _, text := v.(string); text && want == "a table" {
		found = "a string" // where a section is wanted it may be any key's, a secret's too
	}
	t.Problem(key, suggestion, "must be %s, but is %s", want, found)
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// String returns a string.
func (t *Table) String(key string) (string, bool) {
	v, ok := t.Any(key)
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	if !ok {
		t.wrong(key, "a string", v)
	}
	return s, ok
}

// Bool returns a boolean.
func (t *Table) Bool(key string) (bool, bool) {
	v, ok := t.Any(key)
	if !ok {
		return false, false
	}
	b, ok := v.(bool)
	if !ok {
		t.wrong(key, "true or false", v)
	}
	return b, ok
}

// Int returns an integer of at least low.
func (t *Table) Int(key string, low int64) (int64, bool) {
	v, ok := t.Any(key)
	if !ok {
		return 0, false
	}
	n, ok := v.(int64)
	if !ok {
		t.wrong(key, "an integer", v)
		return 0, false
	}
	if n < low {
		t.Problem(key, "", "must be at least %d, but is %d", low, n)
		return 0, false
	}
	return n, true
}

// Duration returns a duration: Go's plus "d" for days. A bare 0 will do too.
func (t *Table) Duration(key string) (time.Duration, bool) {
	v, ok := t.Any(key)
	if !ok {
		return 0, false
	}
	if n, is := v.(int64); is && n == 0 {
		return 0, true
	}
	if s, is := v.(string); is {
		if d, err := ParseDuration(s); err == nil {
			return d, true
		}
	}
	t.wrong(key, `a duration like "10s" or "90d"`, v)
	return 0, false
}

// Size returns a number of bytes, written as "64MB" (powers of 1024).
func (t *Table) Size(key string) (int64, bool) {
	v, ok := t.Any(key)
	if !ok {
		return 0, false
	}
	if n, is := v.(int64); is && n >= 0 {
		return n, true
	}
	if s, is := v.(string); is {
		if n, err := ParseSize(s); err == nil {
			return n, true
		}
	}
	t.wrong(key, `a size like "64MB"`, v)
	return 0, false
}

// Strings returns a list of strings.
func (t *Table) Strings(key string) ([]string, bool) {
	v, ok := t.Any(key)
	if !ok {
		return nil, false
	}
	list, ok := v.([]any)
	if !ok {
		if s, is := v.(string); is {
			t.Problem(key, fmt.Sprintf("write [%q]", s), "must be a list of strings, but is %s", Describe(v))
			return nil, false
		}
		t.wrong(key, "a list of strings", v)
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, is := e.(string)
		if !is {
			t.Problem(key, "", "must be a list of strings, but holds %s", Describe(e))
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

// Enum returns a string that is one of the choices.
func (t *Table) Enum(key string, choices ...string) (string, bool) {
	s, ok := t.String(key)
	if !ok {
		return "", false
	}
	if !slices.Contains(choices, s) {
		t.Problem(key, DidYouMean(s, choices), "%q is not one of %s", s, List(choices))
		return "", false
	}
	return s, true
}

// List writes words as a list: "a", "b" or "c".
func List(words []string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", w)
	}
	return b.String()
}

// Table returns a table; nil if it is absent or something else.
func (t *Table) Table(key string) *Table {
	v, ok := t.Any(key)
	if !ok {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		want := "a table"
		if _, is := v.([]map[string]any); is {
			want = fmt.Sprintf("one table, [%s]", join(t.name, key))
		}
		t.wrong(key, want, v)
		return nil
	}
	return t.below(key, m)
}

// below is the table that one of the keys holds.
func (t *Table) below(key string, m map[string]any) *Table {
	return &Table{doc: t.doc, path: segment(t.path, key), name: join(t.name, key), values: m, asked: map[string]bool{}}
}

// element is one of the tables of the list that a key holds.
func (t *Table) element(key string, i int, m map[string]any) *Table {
	return &Table{
		doc: t.doc, path: element(segment(t.path, key), i), name: fmt.Sprintf("%s[%d]", join(t.name, key), i+1),
		values: m, asked: map[string]bool{},
	}
}

// Tables returns the tables of a list of tables, named key[1], key[2] and so on.
func (t *Table) Tables(key string) []*Table {
	v, ok := t.Any(key)
	if !ok {
		return nil
	}
	var maps []map[string]any
	switch v := v.(type) {
	case []map[string]any:
		maps = v
	case []any:
		for _, e := range v {
			m, is := e.(map[string]any)
			if !is {
				t.wrong(key, fmt.Sprintf("a list of tables, each under [[%s]]", join(t.name, key)), v)
				return nil
			}
			maps = append(maps, m)
		}
	case map[string]any:
		t.Problem(key, fmt.Sprintf("write [[%s]]", join(t.name, key)), "must be a list of tables, but is one table")
		return nil
	default:
		t.wrong(key, fmt.Sprintf("a list of tables, each under [[%s]]", join(t.name, key)), v)
		return nil
	}
	out := make([]*Table, len(maps))
	for i, m := range maps {
		out[i] = t.element(key, i, m)
	}
	return out
}

// Done reports the keys that nobody asked for, each with the nearest that
// somebody did.
func (t *Table) Done() {
	if t == nil {
		return
	}
	for _, key := range t.Keys() {
		if !t.asked[key] {
			t.Problem(key, DidYouMean(key, t.order), "is not a key that pgcio knows here")
		}
	}
}

// Float returns a number, integer or not, that is finite.
func (t *Table) Float(key string) (float64, bool) {
	v, ok := t.Any(key)
	if !ok {
		return 0, false
	}
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		if !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, true
		}
	}
	t.wrong(key, "a number", v)
	return 0, false
}

// Add records a problem of any place.
func (t *Table) Add(p Problem) { t.doc.Add(p) }

// Count is the number of problems the document has so far.
func (t *Table) Count() int {
	if t == nil {
		return 0
	}
	return len(t.doc.problems)
}
