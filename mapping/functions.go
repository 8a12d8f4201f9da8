package mapping

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/builtin"
)

// functions are what expressions may call, by the name under which expr's own
// is written: null where an argument is null. Those that are not here are
// expr's, with numerics as floats.
var functions = map[string]func(args ...any) (any, error){
	"date":      date,
	"timezone":  timezone,
	"string":    toText,
	"toJSON":    toJSON,
	"keys":      mapKeys,
	"values":    mapValues,
	"toPairs":   mapPairs,
	"max":       func(args ...any) (any, error) { return extreme("max", 1, args) },
	"min":       func(args ...any) (any, error) { return extreme("min", -1, args) },
	"abs":       abs,
	"fromJSON":  fromJSON,
	"get":       member,
	"repeat":    repeat,
	"replace":   replace,
	"hasPrefix": func(args ...any) (any, error) { return operators["startsWith"](args[0], args[1]) },
	"hasSuffix": func(args ...any) (any, error) { return operators["endsWith"](args[0], args[1]) },
}

// impure are functions whose result is not decided by the row.
var impure = map[string]string{
	"now": "it would have to be asked again as time passes, and no change of the row says when; let the application maintain a column and test that",
}

// ofLists are functions that look at lists as SQL's aggregates do: null
// elements do not count.
var ofLists = []string{"max", "min", "mean", "median", "sort", "join"}

// function is what a call of the named function runs.
func function(f *builtin.Function) func(args ...any) (any, error) {
	own := functions[f.Name]
	dropNulls := slices.Contains(ofLists, f.Name)
	return func(args ...any) (any, error) {
		for i, a := range args {
			if a == nil {
				return nil, nil
			}
			if dropNulls {
				args[i] = withoutNulls(a)
			}
		}
		if own != nil {
			return own(args...)
		}
		for i, a := range args {
			args[i] = plain(a)
		}
		return exprs(f, args)
	}
}

// exprs runs one of expr's own functions. What it says when it fails may quote
// the value; what is said instead names its kind.
func exprs(f *builtin.Function, args []any) (out any, err error) {
	defer func() {
		if recover() != nil || err != nil {
			kinds := make([]string, len(args))
			for i, a := range args {
				kinds[i] = kindOf(a)
			}
			out, err = nil, fmt.Errorf("%s does not take such a value: %s", f.Name, strings.Join(kinds, ", "))
		}
	}()
	switch {
	case f.Func != nil:
		return f.Func(args...)
	case f.Safe != nil:
		out, _, err = f.Safe(args...)
		return out, err
	case f.Fast != nil && len(args) == 1:
		return f.Fast(args[0]), nil
	}
	return nil, errArguments
}

var errArguments = errors.New("wrong number of arguments")

// plain turns the decimals in a value into floats, for expr's own functions.
func plain(v any) any {
	switch v := v.(type) {
	case decimal:
		return v.float()
	case []any:
		if !slices.ContainsFunc(v, holdsDecimal) {
			return v
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

func holdsDecimal(v any) bool {
	if list, ok := v.([]any); ok {
		return slices.ContainsFunc(list, holdsDecimal)
	}
	_, is := v.(decimal)
	return is
}

func withoutNulls(v any) any {
	list, ok := v.([]any)
	if !ok || !slices.Contains(list, nil) {
		return v
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		if e != nil {
			out = append(out, e)
		}
	}
	return out
}

// date reads a time from text: Postgres' own forms, RFC 3339, or a layout, in
// UTC unless a zone is given. Zone abbreviations are not read: what they mean
// depends on the machine.
func date(args ...any) (any, error) {
	zone := time.UTC
	if z, ok := args[0].(*time.Location); ok {
		zone, args = z, args[1:]
	}
	if len(args) == 3 {
		z, err := timezone(args[2])
		if err != nil {
			return nil, err
		}
		zone = z.(*time.Location)
	}
	if len(args) == 0 {
		return nil, errors.New("date needs a text")
	}
	if t, ok := args[0].(time.Time); ok {
		return t, nil
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("date reads text, not %s", kindOf(args[0]))
	}
	if len(args) > 1 {
		layout, ok := args[1].(string)
		if !ok {
			return nil, fmt.Errorf("date's layout is text, not %s", kindOf(args[1]))
		}
		if strings.Contains(layout, "MST") {
			return nil, errors.New("what a zone's abbreviation means depends on the machine; use -0700 in the layout")
		}
		t, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			return nil, errors.New("date's text does not fit its layout")
		}
		return t, nil
	}
	m, reason := parseMoment([]byte(strings.TrimSpace(text)))
	if reason != "" {
		return nil, errors.New(reason)
	}
	return m.time(zone), nil
}

func timezone(args ...any) (any, error) {
	name, ok := args[0].(string)
	if !ok || name == "Local" || name == "" {
		return nil, errors.New(`a time zone is text such as "Europe/Berlin"`)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, errors.New("there is no time zone of that name")
	}
	return zone, nil
}

func toText(args ...any) (any, error) {
	t, text, reason := textOfAny(args[0])
	if reason != "" {
		return nil, errors.New(reason)
	}
	out, reason := appendText(nil, t, text, nil)
	if reason != "" {
		return nil, errors.New(reason)
	}
	return string(out), nil
}

func toJSON(args ...any) (any, error) {
	out, reason := appendAny(nil, args[0])
	if reason != "" {
		return nil, errors.New(reason)
	}
	return string(out), nil
}

func fromJSON(args ...any) (any, error) {
	text, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("fromJSON reads text, not %s", kindOf(args[0]))
	}
	return decodeJSON([]byte(text))
}

// mapKeys and those below give a map's entries in the order of their keys.
func mapKeys(args ...any) (any, error) {
	m, err := mapOf("keys", args[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, k := range sortedKeys(m) {
		out = append(out, k)
	}
	return out, nil
}

func mapValues(args ...any) (any, error) {
	m, err := mapOf("values", args[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, k := range sortedKeys(m) {
		out = append(out, m[k])
	}
	return out, nil
}

func mapPairs(args ...any) (any, error) {
	m, err := mapOf("toPairs", args[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, k := range sortedKeys(m) {
		out = append(out, []any{k, m[k]})
	}
	return out, nil
}

func mapOf(name string, v any) (map[string]any, error) {
	if m, ok := v.(map[string]any); ok {
		return m, nil
	}
	if v := reflect.ValueOf(v); v.Kind() == reflect.Map {
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			key, err := toText(k.Interface())
			if err != nil {
				return nil, err
			}
			out[key.(string)] = v.MapIndex(k).Interface()
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s takes a map, not %s", name, kindOf(v))
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// maxText bounds what repeat and replace make of a row's text: far beyond what
// Customer.io takes, and far from what hurts.
const maxText = 1 << 20

var errText = errors.New("the text becomes too long")

func repeat(args ...any) (any, error) {
	text, ok := args[0].(string)
	n, ok2 := args[1].(int)
	if !ok || !ok2 || len(args) != 2 {
		return nil, errors.New("repeat takes a text and an integer")
	}
	if n > 0 && len(text) > maxText/n {
		return nil, errText
	}
	return strings.Repeat(text, max(n, 0)), nil
}

func replace(args ...any) (any, error) {
	if len(args) < 3 || len(args) > 4 {
		return nil, errors.New("replace takes a text, what to replace, by what, and perhaps how often")
	}
	var texts [3]string
	for i := range texts {
		var ok bool
		if texts[i], ok = args[i].(string); !ok {
			return nil, fmt.Errorf("replace takes texts, not %s", kindOf(args[i]))
		}
	}
	times := -1
	if len(args) == 4 {
		var ok bool
		if times, ok = args[3].(int); !ok {
			return nil, fmt.Errorf("replace takes a number of times, not %s", kindOf(args[3]))
		}
	}
	if len(texts[2]) > len(texts[1]) && (len(texts[0])+1)*(len(texts[2])-len(texts[1])) > maxText &&
		strings.Count(texts[0], texts[1])*(len(texts[2])-len(texts[1])) > maxText {
		return nil, errText
	}
	return strings.Replace(texts[0], texts[1], texts[2], times), nil
}

// extreme is max (sign 1) or min (sign -1) of values and lists of values.
func extreme(name string, sign int, args []any) (any, error) {
	var best any
	for _, a := range args {
		list, ok := listOf(a)
		if !ok {
			list = []any{a}
		}
		for _, v := range list {
			if v == nil {
				continue
			}
			if best == nil {
				best = v
				continue
			}
			c, err := compare(name, v, best)
			if err != nil {
				return nil, err
			}
			if c*sign > 0 {
				best = v
			}
		}
	}
	return best, nil
}

func abs(args ...any) (any, error) {
	if isNumber(args[0]) && compareNumbers(args[0], 0) < 0 {
		return negate(args[0])
	}
	if !isNumber(args[0]) {
		return nil, fmt.Errorf("abs takes a number, not %s", kindOf(args[0]))
	}
	return args[0], nil
}

// sum adds a list's elements up, nulls aside.
func sum(args ...any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	list, ok := listOf(args[0])
	if !ok {
		return nil, fmt.Errorf("sum takes a list, not %s", kindOf(args[0]))
	}
	var total any = 0
	for _, v := range list {
		if v == nil {
			continue
		}
		var err error
		if total, err = add(total, v); err != nil {
			return nil, err
		}
	}
	return total, nil
}
