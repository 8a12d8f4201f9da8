package simulator

import "time"

// window counts requests in a sliding second: a request at t shares it with
// those later than t minus one second.
type window struct {
	let  []time.Time // let through within the last second, oldest first
	all  []time.Time // arrived within the last second
	peak int
}

// allow records a request and reports whether the limit lets it through; 0 is
// no limit. Refused requests do not count against the limit.
func (w *window) allow(now time.Time, limit int) bool {
	w.all = append(since(w.all, now), now)
	w.peak = max(w.peak, len(w.all))
	w.let = since(w.let, now)
	if limit > 0 && len(w.let) >= limit {
		return false
	}
	w.let = append(w.let, now)
	return true
}

// since cuts off what is a second old or older.
func since(times []time.Time, now time.Time) []time.Time {
	i := 0
	for i < len(times) && now.Sub(times[i]) >= time.Second {
		i++
	}
	return times[i:]
}
