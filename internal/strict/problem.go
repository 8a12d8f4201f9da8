package strict

import (
	"fmt"
	"sort"
	"strings"
)

// Place is where in a file something stands.
type Place struct {
	File string
	Line int    // counted from 1; 0: not known
	Key  string // the full key: `mapping "people".attributes.plan.column`
}

// Problem is one thing that is wrong with a file.
type Problem struct {
	Place
	Message    string
	Suggestion string // what to write instead; empty: nothing comes to mind
}

// Problem makes a problem of a place.
func (p Place) Problem(suggestion, format string, args ...any) Problem {
	return Problem{Place: p, Message: fmt.Sprintf(format, args...), Suggestion: suggestion}
}

// Under is the place of a key below this one, on the same line.
func (p Place) Under(key string) Place {
	p.Key = join(p.Key, key)
	return p
}

// String writes the problem as compilers do: file, line, key, what, advice.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.File != "" {
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		b.WriteString("; ")
		b.WriteString(p.Suggestion)
	}
	return b.String()
}

// Problems are all that is wrong. An empty list is no error: see Err.
type Problems []Problem

// Error is one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// Err is nil if there are no problems.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Sort puts the problems in the order of the file.
func (p Problems) Sort() {
	sort.SliceStable(p, func(i, j int) bool {
		if p[i].File != p[j].File {
			return p[i].File < p[j].File
		}
		return p[i].Line < p[j].Line
	})
}

// join appends a key to a dotted key, quoting it where TOML would.
func join(path, key string) string {
	if !bare(key) {
		key = fmt.Sprintf("%q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// bare tells whether a key needs no quotes.
func bare(key string) bool {
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return key != ""
}
