package simulator

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// attribute is a top-level attribute of a person. A removed one keeps its time,
// so that an older write does not bring it back.
type attribute struct {
	value string // JSON; "" when removed
	stamp
	// leaves are the times of paths written one by one ("a.b.c"), by path.
	leaves map[string]stamp
}

// stamp is when a value was true, and by which operation we were told.
type stamp struct {
	timestamp int64 // Unix seconds
	seq       int64
}

// beats reports whether a write may replace what carries the stamp old. An
// older write loses; equal ones are decided by Settings.Tie, except within one
// operation, where the later in the text wins.
func (w *workspace) beats(now, old stamp) bool {
	switch {
	case now.timestamp < old.timestamp:
		w.drop(DropStaleAttribute)
		return false
	case now.timestamp > old.timestamp, now.seq == old.seq, w.settings.Tie == "later":
		return true
	case w.settings.Tie == "random" && w.rng.IntN(2) == 0:
		return true
	}
	w.drop(DropTie)
	return false
}

// isPath reports whether a name means a place inside a nested attribute.
func isPath(name string) bool {
	return strings.Contains(name, ".") && !slices.Contains(strings.Split(name, "."), "")
}

// setAttribute applies one attribute of an identify. It returns false when the
// person has no room for it.
func (w *workspace) setAttribute(p *person, name string, raw []byte, now stamp) bool {
	if isNull(raw) || (w.settings.EmptyString == "delete" && string(raw) == `""`) {
		raw = nil
	}
	top, path, nested := name, "", false
	if isPath(name) {
		top, path, nested = strings.Cut(name, ".")
	}
	a := p.attributes[top]
	if a == nil {
		if raw != nil && p.held() >= maxAttributes {
			return false
		}
		a = &attribute{}
		p.attributes[top] = a
		if !nested {
			a.value, a.stamp = compact(raw), now
			return true
		}
	} else if raw != nil && a.value == "" && p.held() >= maxAttributes {
		return false
	}
	if nested {
		w.setLeaf(a, path, raw, now)
		return true
	}
	if !w.beats(now, a.newest()) {
		return true
	}
	a.value, a.stamp, a.leaves = compact(raw), now, nil
	return true
}

// newest is the stamp that a write of the whole attribute has to beat.
func (a *attribute) newest() stamp {
	newest := a.stamp
	for _, s := range a.leaves {
		if s.timestamp > newest.timestamp {
			newest = s
		}
	}
	return newest
}

// setLeaf writes one path of a nested attribute and leaves the others alone.
// Where something that is no object stands in the way, it is replaced.
func (w *workspace) setLeaf(a *attribute, path string, raw []byte, now stamp) {
	old := a.stamp
	if s, ok := a.leaves[path]; ok && s.timestamp >= old.timestamp {
		old = s
	}
	if old.seq != 0 && !w.beats(now, old) {
		return
	}
	a.value = string(withLeaf([]byte(a.value), strings.Split(path, "."), raw))
	if a.leaves == nil {
		a.leaves = make(map[string]stamp)
	}
	a.leaves[path] = now
}

// withLeaf returns the object with the value at path replaced, or removed when
// value is nil. Its keys come back sorted.
func withLeaf(object []byte, path []string, value []byte) []byte {
	if len(path) == 0 {
		return value
	}
	if value == nil && !isObject(object) {
		return object
	}
	fields := make(map[string]json.RawMessage)
	if isObject(object) {
		if err := json.Unmarshal(object, &fields); err != nil {
			panic("simulator: a stored attribute is no JSON: " + err.Error())
		}
	}
	if inner := withLeaf(fields[path[0]], path[1:], value); inner != nil {
		fields[path[0]] = inner
	} else {
		delete(fields, path[0])
	}
	return encode(fields)
}

// held counts the attributes a person has.
func (p *person) held() int {
	if len(p.attributes) < maxAttributes {
		return len(p.attributes)
	}
	n := 0
	for _, a := range p.attributes {
		if a.value != "" {
			n++
		}
	}
	return n
}

// encode is json.Marshal that leaves <, > and & as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("simulator: encoding " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
