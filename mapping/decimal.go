package mapping

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// decimal is a numeric's value in an expression, exact: coef × 10^-scale.
type decimal struct {
	coef  *big.Int
	scale int
}

// parseDecimal reads digits with an optional sign and point.
func parseDecimal(text string) (decimal, bool) {
	if !validNumber([]byte(text)) || strings.ContainsAny(text, "eE") {
		return decimal{}, false
	}
	whole, fraction, _ := strings.Cut(text, ".")
	coef, ok := new(big.Int).SetString(whole+fraction, 10)
	return decimal{coef, len(fraction)}, ok
}

// decimalOf makes a decimal of any number; a float by its shortest digits, so
// that the literal 0.1 is one tenth, as it is in SQL.
func decimalOf(v any) (decimal, bool) {
	switch v := v.(type) {
	case decimal:
		return v, true
	case int:
		return decimal{big.NewInt(int64(v)), 0}, true
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return decimal{}, false
		}
		return parseDecimal(strconv.FormatFloat(v, 'f', -1, 64))
	}
	return decimal{}, false
}

func (d decimal) float() float64 {
	f, _ := strconv.ParseFloat(d.String(), 64)
	return f
}

// align gives two decimals one scale.
func align(a, b decimal) (x, y *big.Int, scale int) {
	x, y = a.coef, b.coef
	switch {
	case a.scale < b.scale:
		x = new(big.Int).Mul(x, power10(b.scale-a.scale))
	case b.scale < a.scale:
		y = new(big.Int).Mul(y, power10(a.scale-b.scale))
	}
	return x, y, max(a.scale, b.scale)
}

func power10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

func (d decimal) cmp(e decimal) int {
	x, y, _ := align(d, e)
	return x.Cmp(y)
}

func (d decimal) add(e decimal) decimal {
	x, y, scale := align(d, e)
	return decimal{new(big.Int).Add(x, y), scale}
}

func (d decimal) neg() decimal { return decimal{new(big.Int).Neg(d.coef), d.scale} }

func (d decimal) mul(e decimal) decimal {
	return decimal{new(big.Int).Mul(d.coef, e.coef), d.scale + e.scale}
}

// String is the number's digits, with as many behind the point as its scale.
func (d decimal) String() string {
	digits := new(big.Int).Abs(d.coef).String()
	if d.scale > 0 {
		if len(digits) <= d.scale {
			digits = strings.Repeat("0", d.scale-len(digits)+1) + digits
		}
		digits = digits[:len(digits)-d.scale] + "." + digits[len(digits)-d.scale:]
	}
	if d.coef.Sign() < 0 {
		return "-" + digits
	}
	return digits
}
