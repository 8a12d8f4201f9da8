package strict

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads Go's durations plus "d" for 24 hours: "10s", "90d",
// "1d12h".
func ParseDuration(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	var days time.Duration
	if i := strings.IndexByte(rest, 'd'); i >= 0 {
		n, err := strconv.ParseFloat(rest[:i], 64)
		if err != nil || n < 0 || n > float64(math.MaxInt64)/float64(24*time.Hour) {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		days = time.Duration(n * float64(24*time.Hour))
		rest = rest[i+1:]
		if rest == "" {
			rest = "0"
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64-days {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	d += days
	if negative {
		d = -d
	}
	return d, nil
}

// ParseSize reads "64MB", "10 GB", "512": bytes, in powers of 1024.
func ParseSize(text string) (int64, error) {
	number := strings.TrimRight(text, "kKMGTPiB ")
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(text[len(number):]), "B"), "i")
	shift := 0
	switch unit {
	case "":
	case "k", "K":
		shift = 10
	case "M":
		shift = 20
	case "G":
		shift = 30
	case "T":
		shift = 40
	case "P":
		shift = 50
	default:
		return 0, fmt.Errorf("%q is not a size", text)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0) || n*float64(int64(1)<<shift) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	return int64(n * float64(int64(1)<<shift)), nil
}
