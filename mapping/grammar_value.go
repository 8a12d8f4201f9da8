package mapping

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/strict"
)

// table reads schema.table; either part may be quoted as in SQL.
func (g *grammar) table() {
	text, ok := g.String("table")
	if !ok {
		return
	}
	schema, rest, ok := sqlName(text)
	table := schema
	switch {
	case ok && rest == "":
		schema = "public"
	case ok && rest[0] == '.':
		table, rest, ok = sqlName(rest[1:])
		ok = ok && rest == ""
	default:
		ok = false
	}
	if !ok {
		g.fail("table", `write it as in SQL: "public.users"`, "%q is not the name of a table", text)
		return
	}
	g.spec.Schema, g.spec.Table = schema, table
}

// sqlName reads the name that text starts with, quoted or not. Unlike in SQL an
// unquoted name keeps its capitals: what the catalog says is what is written.
func sqlName(text string) (name, rest string, ok bool) {
	if strings.HasPrefix(text, `"`) {
		var b strings.Builder
		for i := 1; i < len(text); i++ {
			if text[i] != '"' {
				b.WriteByte(text[i])
				continue
			}
			if i+1 < len(text) && text[i+1] == '"' {
				b.WriteByte('"')
				i++
				continue
			}
			return b.String(), text[i+1:], b.Len() > 0
		}
		return "", "", false
	}
	i := strings.IndexByte(text, '.')
	if i < 0 {
		i = len(text)
	}
	return text[:i], text[i:], i > 0 && !strings.ContainsAny(text[:i], "\" \t")
}

// value reads a string, whose meaning bare decides, or a table with exactly one
// of column, expr and value.
func (g *grammar) value(t *strict.Table, key string, bare Form) Value {
	v, ok := t.Any(key)
	if !ok {
		return Value{}
	}
	at := t.Place(key)
	switch v := v.(type) {
	case string:
		switch {
		case bare == Literal:
			return Value{Form: Literal, JSON: customerio.AppendString(nil, v), at: at}
		case v == "":
			g.failAt(at, "", "is empty; a column's name is expected")
			return Value{}
		}
		return Value{Form: FromColumn, Column: v, at: at}
	case map[string]any:
		inner := t.Table(key)
		value := g.valueOf(inner)
		if value.Form != None {
			inner.Done()
		}
		return value
	}
	want, advice := "a column's name", ""
	if bare == Literal {
		want = "a name"
		if n, is := v.(int64); is {
			advice = fmt.Sprintf("write it in quotes: %q", strconv.FormatInt(n, 10))
		}
	}
	g.failAt(at, advice, "must be %s, { column = … }, { expr = … } or { value = … }, but is %s", want, strict.Describe(v))
	return Value{}
}

// valueOf reads the one of column, expr and value that a table has. Its other
// keys are the caller's.
func (g *grammar) valueOf(t *strict.Table) Value {
	var found []string
	for _, k := range []string{"column", "expr", "value"} {
		if t.Has(k) {
			found = append(found, k)
		}
	}
	at := t.Here()
	if len(found) != 1 {
		message := "has none of column, expr and value; exactly one is expected"
		suggestion := ""
		if len(found) > 1 {
			message = "has " + strings.Join(found, " and ") + "; exactly one is expected"
		} else if keys := t.Keys(); len(keys) > 0 {
			if n := strict.Nearest(keys[0], []string{"column", "expr", "value"}); n != "" {
				suggestion = fmt.Sprintf("did you mean %q instead of %q?", n, keys[0])
			} else if len(keys) == 1 {
				suggestion = fmt.Sprintf("for a nested attribute quote the whole name: %q", at.Key[strings.LastIndexByte(at.Key, '.')+1:]+"."+keys[0])
			}
		}
		g.failAt(at, suggestion, "%s", message)
		return Value{}
	}
	switch found[0] {
	case "column":
		s, ok := t.String("column")
		if ok && s == "" {
			g.failAt(t.Place("column"), "", "is empty")
		}
		return Value{Form: FromColumn, Column: s, at: t.Place("column")}
	case "expr":
		s, ok := t.String("expr")
		switch {
		case ok && strings.TrimSpace(s) == "":
			g.failAt(t.Place("expr"), "", "is empty")
		case ok:
			g.expression(t.Place("expr"), s)
		}
		return Value{Form: FromExpr, Expr: s, at: t.Place("expr")}
	}
	v, _ := t.Any("value")
	text, err := json.Marshal(literal(v))
	if err != nil {
		g.failAt(t.Place("value"), "", "cannot be sent: %v", err)
	}
	return Value{Form: Literal, JSON: text, at: t.Place("value")}
}

// literal is a decoded TOML value as it is sent: times as Unix seconds. Those
// without an offset, to which the decoder gives the machine's zone, are UTC's.
func literal(v any) any {
	switch v := v.(type) {
	case time.Time:
		switch v.Location().String() {
		case "datetime-local", "date-local":
			_, offset := v.Zone()
			return v.Unix() + int64(offset)
		case "time-local":
			return v.Format("15:04:05.999999999")
		}
		return v.Unix()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = literal(v[i])
		}
		return out
	case []map[string]any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = literal(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = literal(v[k])
		}
		return out
	}
	return v
}

func anyString(t *strict.Table, key string) (string, bool) {
	v, _ := t.Any(key)
	s, is := v.(string)
	return s, is
}
