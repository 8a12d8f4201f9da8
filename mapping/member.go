package mapping

import (
	"fmt"
	"reflect"
	"time"

	"github.com/expr-lang/expr/vm/runtime"
)

// member is x.name and x[i]: null where there is nothing of that name or
// number, as in SQL.
func member(args ...any) (any, error) {
	from, at := args[0], args[1]
	if from == nil || at == nil {
		return nil, nil
	}
	switch x := from.(type) {
	case map[string]any:
		key, ok := at.(string)
		if !ok {
			return nil, fmt.Errorf("a map's entry is named by text, not by %s", kindOf(at))
		}
		return x[key], nil
	case string, bool, int, float64, decimal:
		return nil, nil // of a JSON document that is shaped otherwise in this row
	}
	if list, ok := listOf(from); ok {
		n, ok := at.(int)
		if !ok {
			return nil, fmt.Errorf("a list's element is named by an integer, not by %s", kindOf(at))
		}
		if n < 0 {
			n += len(list)
		}
		if n < 0 || n >= len(list) {
			return nil, nil
		}
		return list[n], nil
	}
	return runtime.Fetch(from, at), nil
}

// slice is x[from:to]; of text, in characters.
func slice(args ...any) (any, error) {
	for _, a := range args {
		if a == nil {
			return nil, nil
		}
	}
	if s, ok := args[0].(string); ok {
		runes := []rune(s)
		return string(runtime.Slice(runes, args[1], upTo(args, len(runes))).([]rune)), nil
	}
	list, ok := listOf(args[0])
	if !ok {
		return nil, fmt.Errorf("%s has no part [a:b]", kindOf(args[0]))
	}
	return runtime.Slice(list, args[1], upTo(args, len(list))), nil
}

func upTo(args []any, length int) any {
	if len(args) > 2 {
		return args[2]
	}
	return length
}

// timeMethods are the methods of times and durations that depend on nothing
// but their value.
var timeMethods = []string{
	"Year", "Month", "Day", "Hour", "Minute", "Second", "Nanosecond", "Weekday", "YearDay",
	"Unix", "UnixMilli", "Format", "Before", "After", "Equal", "Add", "Sub", "AddDate", "Truncate", "Round", "In", "UTC",
	"Hours", "Minutes", "Seconds", "Milliseconds",
}

// method calls a method of a time or a duration.
func method(args ...any) (any, error) {
	for _, a := range args {
		if a == nil {
			return nil, nil
		}
	}
	name := args[1].(string)
	m := reflect.ValueOf(args[0]).MethodByName(name)
	if !m.IsValid() {
		return nil, fmt.Errorf("%s has no %s()", kindOf(args[0]), name)
	}
	t := m.Type()
	if t.IsVariadic() || t.NumIn() != len(args)-2 || t.NumOut() != 1 {
		return nil, fmt.Errorf("%s() takes %d arguments", name, t.NumIn())
	}
	in := make([]reflect.Value, t.NumIn())
	for i := range in {
		in[i] = reflect.ValueOf(args[i+2])
		if !in[i].Type().AssignableTo(t.In(i)) {
			return nil, fmt.Errorf("%s() does not take %s", name, kindOf(args[i+2]))
		}
	}
	switch out := m.Call(in)[0].Interface().(type) {
	case int64:
		return int(out), nil
	case time.Month:
		return int(out), nil
	case time.Weekday:
		return int(out), nil
	default:
		return out, nil
	}
}
