package strict

import (
	"fmt"
	"strings"
)

// Expand replaces each ${NAME} of a text by what lookup says. A name that is
// not set is an error; $${ is a literal ${ and everything else stands for
// itself.
func Expand(text string, lookup func(name string) (string, bool)) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1])
			b.WriteString("${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		name, rest, closed := strings.Cut(text[i+2:], "}")
		if !closed {
			return "", fmt.Errorf("${ without its }")
		}
		value, set := lookup(name)
		if !set {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		b.WriteString(value)
		text = rest
	}
}

// Expand replaces ${NAME} in every string of the table and of what is below
// it. A name that is not set is a problem of its key, and the only one: what
// the key holds is not known then.
func (t *Table) Expand(lookup func(name string) (string, bool)) {
	if t == nil {
		return
	}
	for _, key := range t.Keys() {
		t.values[key] = t.expand(key, t.values[key], lookup)
	}
}

func (t *Table) expand(key string, v any, lookup func(string) (string, bool)) any {
	switch v := v.(type) {
	case string:
		s, err := Expand(v, lookup)
		if err != nil {
			t.Problem(key, "", "%v", err)
			t.doc.unset[segment(t.path, key)] = true
			return v
		}
		return s
	case map[string]any:
		t.below(key, v).Expand(lookup)
	case []map[string]any:
		for i, e := range v {
			t.element(key, i, e).Expand(lookup)
		}
	case []any:
		for i, e := range v {
			if m, is := e.(map[string]any); is {
				t.element(key, i, m).Expand(lookup)
				continue
			}
			v[i] = t.expand(key, e, lookup)
		}
	}
	return v
}
