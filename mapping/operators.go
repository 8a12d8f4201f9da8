package mapping

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"
)

// The operators of expressions. Each gives null when an operand is null, as in
// SQL; rewrite.go puts them in the place of expr's own.

var (
	errZero     = errors.New("division by zero")
	errOverflow = errors.New("integer out of range")
)

// lifted makes an operator that is null where an operand is.
func lifted(f func(a, b any) (any, error)) func(...any) (any, error) {
	return func(args ...any) (any, error) {
		if args[0] == nil || args[1] == nil {
			return nil, nil
		}
		return f(args[0], args[1])
	}
}

func mismatch(op string, a, b any) error {
	return fmt.Errorf("%s does not take %s and %s", op, kindOf(a), kindOf(b))
}

// kindOf names a value's type for people.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case int, float64, decimal:
		return "a number"
	case string:
		return "text"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case []any, []int:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("%T", v)
}

// operators are those that differ from expr's only in being exact, and
// null on null.
var operators = map[string]func(a, b any) (any, error){
	"==": func(a, b any) (any, error) { return equal(a, b), nil },
	"!=": func(a, b any) (any, error) { return !equal(a, b), nil },
	"<":  func(a, b any) (any, error) { c, err := compare("<", a, b); return c < 0, err },
	"<=": func(a, b any) (any, error) { c, err := compare("<=", a, b); return c <= 0, err },
	">":  func(a, b any) (any, error) { c, err := compare(">", a, b); return c > 0, err },
	">=": func(a, b any) (any, error) { c, err := compare(">=", a, b); return c >= 0, err },
	"+":  add,
	"-":  subtract,
	"*":  multiply,
	"/":  divide,
	"%":  modulo,
	"**": power,
	"^":  power,
	"..": span,
	"contains": func(a, b any) (any, error) {
		return onText("contains", a, b, strings.Contains)
	},
	"startsWith": func(a, b any) (any, error) {
		return onText("startsWith", a, b, strings.HasPrefix)
	},
	"endsWith": func(a, b any) (any, error) {
		return onText("endsWith", a, b, strings.HasSuffix)
	},
}

func onText(op string, a, b any, f func(a, b string) bool) (any, error) {
	x, ok := a.(string)
	y, ok2 := b.(string)
	if !ok || !ok2 {
		return nil, mismatch(op, a, b)
	}
	return f(x, y), nil
}

func add(a, b any) (any, error) {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return x + y, nil
		}
	case time.Time:
		if y, ok := b.(time.Duration); ok {
			return x.Add(y), nil
		}
	case time.Duration:
		switch y := b.(type) {
		case time.Duration:
			return x + y, nil
		case time.Time:
			return y.Add(x), nil
		}
	case int:
		if y, ok := b.(int); ok {
			sum := x + y
			if (sum > x) != (y > 0) && y != 0 {
				return nil, errOverflow
			}
			return sum, nil
		}
	}
	if !isNumber(a) || !isNumber(b) {
		return nil, mismatch("+", a, b)
	}
	return exactly(a, b, decimal.add, func(x, y float64) float64 { return x + y }), nil
}

// exactly computes with decimals if one operand is one, and with floats else.
func exactly(a, b any, exact func(x, y decimal) decimal, rough func(x, y float64) float64) any {
	_, isDecimal := a.(decimal)
	_, isDecimal2 := b.(decimal)
	if isDecimal || isDecimal2 {
		d, ok := decimalOf(a)
		e, ok2 := decimalOf(b)
		if ok && ok2 {
			return exact(d, e)
		}
	}
	return rough(floatOf(a), floatOf(b))
}

func subtract(a, b any) (any, error) {
	switch x := a.(type) {
	case time.Time:
		switch y := b.(type) {
		case time.Time:
			return x.Sub(y), nil
		case time.Duration:
			return x.Add(-y), nil
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return x - y, nil
		}
	case int:
		if y, ok := b.(int); ok {
			difference := x - y
			if (difference < x) != (y > 0) && y != 0 {
				return nil, errOverflow
			}
			return difference, nil
		}
	}
	if !isNumber(a) || !isNumber(b) {
		return nil, mismatch("-", a, b)
	}
	return exactly(a, b, func(x, y decimal) decimal { return x.add(y.neg()) }, func(x, y float64) float64 { return x - y }), nil
}

func multiply(a, b any) (any, error) {
	if d, ok := a.(time.Duration); ok && isNumber(b) {
		return time.Duration(float64(d) * floatOf(b)), nil
	}
	if d, ok := b.(time.Duration); ok && isNumber(a) {
		return time.Duration(float64(d) * floatOf(a)), nil
	}
	if !isNumber(a) || !isNumber(b) {
		return nil, mismatch("*", a, b)
	}
	x, ok := a.(int)
	y, ok2 := b.(int)
	if ok && ok2 {
		if x == 0 || y == 0 {
			return 0, nil
		}
		product := x * y
		if high, _ := bits.Mul64(magnitude(x), magnitude(y)); high != 0 || product/y != x || x == -1 && y == math.MinInt || y == -1 && x == math.MinInt {
			return nil, errOverflow
		}
		return product, nil
	}
	return exactly(a, b, decimal.mul, func(x, y float64) float64 { return x * y }), nil
}

func magnitude(n int) uint64 {
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}

// divide always gives a float, as expr's does.
func divide(a, b any) (any, error) {
	if !isNumber(a) || !isNumber(b) {
		return nil, mismatch("/", a, b)
	}
	if compareNumbers(b, 0) == 0 {
		return nil, errZero
	}
	return floatOf(a) / floatOf(b), nil
}

func modulo(a, b any) (any, error) {
	x, ok := a.(int)
	y, ok2 := b.(int)
	switch {
	case !ok || !ok2:
		return nil, mismatch("%", a, b)
	case y == 0:
		return nil, errZero
	case y == -1:
		return 0, nil
	}
	return x % y, nil
}

func power(a, b any) (any, error) {
	if !isNumber(a) || !isNumber(b) {
		return nil, mismatch("**", a, b)
	}
	return math.Pow(floatOf(a), floatOf(b)), nil
}

// span is a..b.
func span(a, b any) (any, error) {
	x, ok := a.(int)
	y, ok2 := b.(int)
	if !ok || !ok2 {
		return nil, mismatch("..", a, b)
	}
	if y < x {
		return []any{}, nil
	}
	if y-x < 0 || y-x > 100_000 {
		return nil, errors.New("the range is too long")
	}
	out := make([]any, 0, y-x+1)
	for n := x; n <= y; n++ {
		out = append(out, n)
	}
	return out, nil
}
