package simulator

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// attributes are what a person, an object or a relationship holds, by name.
type attributes map[string]*attribute

// attribute is a top-level attribute. A removed one keeps its time,
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
	// untimed marks what cannot bring a timestamp (objects, relationships):
	// there the later applied wins.
	untimed bool
}

// beats reports whether a write may replace what carries the stamp old. An
// older write loses; equal ones are decided by Settings.Tie, except within one
// operation, where the later in the text wins.
func (w *workspace) beats(now, old stamp) bool {
	switch {
	case now.untimed:
		return true
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
	return w.write(p.attributes, name, raw, now)
}

// setUntimed applies the attributes of an object or a relationship, and calls
// refused for each there is no room for. Null and "" both remove.
// Customer.io docs: Track API v2, objects.
func (w *workspace) setUntimed(set attributes, list []member, op *accepted, refused func(m member, reason string)) {
	now := stamp{timestamp: op.received, seq: op.seq, untimed: true}
	total := set.bytes()
	for _, paths := range []bool{false, true} {
		for _, m := range list {
			if isPath(m.key) != paths {
				continue
			}
			raw, top := []byte(m.value), m.key
			if isNull(raw) || string(raw) == `""` {
				raw = nil
			}
			if paths {
				top, _, _ = strings.Cut(m.key, ".")
			}
			before := set[top].copy()
			if !w.write(set, m.key, raw, now) {
				refused(m, reasonTotal)
				continue
			}
			after := total - before.bytes(top) + set[top].bytes(top)
			if after > maxObjectBytes {
				if set[top] = before; before == nil {
					delete(set, top)
				}
				refused(m, reasonBytes)
				continue
			}
			total = after
		}
	}
}

// copy copies an attribute so that a write of it can be taken back.
func (a *attribute) copy() *attribute {
	if a == nil {
		return nil
	}
	c := *a
	c.leaves = maps.Clone(a.leaves)
	return &c
}

// bytes is what an attribute of that name counts towards maxObjectBytes.
func (a *attribute) bytes(name string) int {
	if a == nil || a.value == "" {
		return 0
	}
	return len(name) + len(a.value)
}

func (set attributes) bytes() int {
	n := 0
	for name, a := range set {
		n += a.bytes(name)
	}
	return n
}

// public is what the set holds, removed ones left out.
func (set attributes) public() map[string]Attribute {
	out := make(map[string]Attribute, len(set))
	for name, a := range set {
		if a.value != "" {
			out[name] = Attribute{json.RawMessage(a.value), a.newest().timestamp}
		}
	}
	return out
}

// write applies one attribute; without raw it removes it. It returns false
// when there is no room for it.
func (w *workspace) write(set attributes, name string, raw []byte, now stamp) bool {
	top, path, nested := name, "", false
	if isPath(name) {
		top, path, nested = strings.Cut(name, ".")
	}
	a := set[top]
	if a == nil {
		if raw != nil && set.held() >= maxAttributes {
			return false
		}
		a = &attribute{}
		set[top] = a
		if !nested {
			a.value, a.stamp = compact(raw), now
			return true
		}
	} else if raw != nil && a.value == "" && set.held() >= maxAttributes {
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

// held counts the attributes there are, up to maxAttributes exactly.
func (set attributes) held() int {
	if len(set) < maxAttributes {
		return len(set)
	}
	n := 0
	for _, a := range set {
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
