package mapping

import (
	"math"
	"strings"
	"time"
)

func isNumber(v any) bool {
	switch v.(type) {
	case int, float64, decimal:
		return true
	}
	return false
}

func floatOf(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	case decimal:
		return v.float()
	}
	return math.NaN()
}

// compareNumbers orders numbers as Postgres does: exactly, and NaN equal to
// itself and above everything.
func compareNumbers(a, b any) int {
	x, isInt := a.(int)
	y, isInt2 := b.(int)
	if isInt && isInt2 {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	f, isFloat := a.(float64)
	g, isFloat2 := b.(float64)
	if !(isFloat && isFloat2) {
		d, ok := decimalOf(a)
		e, ok2 := decimalOf(b)
		if ok && ok2 {
			return d.cmp(e)
		}
		f, g = floatOf(a), floatOf(b)
	}
	switch {
	case math.IsNaN(f) && math.IsNaN(g):
		return 0
	case math.IsNaN(f) || f > g:
		return 1
	case math.IsNaN(g) || f < g:
		return -1
	}
	return 0
}

func equal(a, b any) bool {
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b) == 0
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case time.Time:
		y, ok := b.(time.Time)
		return ok && x.Equal(y)
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			w, has := y[k]
			if !has || !equal(v, w) {
				return false
			}
		}
		return true
	case string, bool, time.Duration:
		return a == b
	}
	x, ok := listOf(a)
	y, ok2 := listOf(b)
	if !ok || !ok2 || len(x) != len(y) {
		return false
	}
	for i := range x {
		if !equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

// listOf is a list of any element type as one of any.
func listOf(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case []int:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out, true
	case []string:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out, true
	}
	return nil, false
}

func compare(op string, a, b any) (int, error) {
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b), nil
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y), nil
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return int(max(-1, min(1, x-y))), nil
		}
	}
	return 0, mismatch(op, a, b)
}
