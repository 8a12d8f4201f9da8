package mapping

import (
	"fmt"
	"math"
	"time"
)

// isIn is `in`, as SQL's: null if nothing equals and something is null.
func isIn(args ...any) (any, error) {
	needle, set := args[0], args[1]
	if set == nil {
		return nil, nil
	}
	if m, ok := set.(map[string]any); ok {
		if needle == nil {
			return nil, nil
		}
		key, ok := needle.(string)
		if !ok {
			return nil, mismatch("in", needle, set)
		}
		_, has := m[key]
		return has, nil
	}
	list, ok := listOf(set)
	if !ok {
		return nil, mismatch("in", needle, set)
	}
	null := false
	for _, e := range list {
		switch {
		case e == nil || needle == nil:
			null = true
		case equal(needle, e):
			return true, nil
		}
	}
	if null {
		return nil, nil
	}
	return false, nil
}

// and, or and not are three-valued. rewrite.go calls the first two only where
// the left operand does not settle the matter.
func and(args ...any) (any, error) {
	a, b, err := truths("and", args)
	switch {
	case err != nil:
		return nil, err
	case a == false || b == false:
		return false, nil
	case a == nil || b == nil:
		return nil, nil
	}
	return true, nil
}

func or(args ...any) (any, error) {
	a, b, err := truths("or", args)
	switch {
	case err != nil:
		return nil, err
	case a == true || b == true:
		return true, nil
	case a == nil || b == nil:
		return nil, nil
	}
	return false, nil
}

func truths(op string, args []any) (a, b any, err error) {
	for _, v := range args {
		if _, ok := v.(bool); !ok && v != nil {
			return nil, nil, fmt.Errorf("%s takes booleans, not %s", op, kindOf(v))
		}
	}
	return args[0], args[1], nil
}

func not(args ...any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case bool:
		return !v, nil
	}
	return nil, fmt.Errorf("not takes a boolean, not %s", kindOf(args[0]))
}

func negate(args ...any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case int:
		if v == math.MinInt {
			return nil, errOverflow
		}
		return -v, nil
	case float64:
		return -v, nil
	case decimal:
		return v.neg(), nil
	case time.Duration:
		return -v, nil
	}
	return nil, fmt.Errorf("- takes a number, not %s", kindOf(args[0]))
}

func plus(args ...any) (any, error) {
	if v := args[0]; v == nil || isNumber(v) {
		return v, nil
	}
	return nil, fmt.Errorf("+ takes a number, not %s", kindOf(args[0]))
}

// holds is a condition's value where only true and false will do: null is false.
func holds(args ...any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return nil, fmt.Errorf("a condition is true or false, not %s", kindOf(args[0]))
}
