package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// FuzzSplit holds the splitters against encoding/json: same members, same
// order, and no panic on anything well-formed.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, ` { } `, `{"a":1}`, `{"a" : {"b":[1,{"c":"]}\"\\"}]} , "d":null}`, `[1,"a,b",[],{},true ]`, `"text"`, `-1.5e3`,
		`{"\u0061":1,"a":2}`, `{"":""}`, `[[[[]]]]`, "{\n\t\"a\"\r:\n[ ]\n}", `{"a":"\\"}`, `{"é":"\ud83d\ude00"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !wellFormed(raw) {
			return
		}
		var object map[string]json.RawMessage
		list, err := members(raw)
		switch isMap := json.Unmarshal(raw, &object) == nil && object != nil; {
		case errors.Is(err, errDuplicateKey):
			if len(list) <= len(object) {
				t.Fatalf("%s: no key is there twice", raw)
			}
		case (err == nil) != isMap:
			t.Fatalf("%s: %v", raw, err)
		case err == nil && len(list) != len(object):
			t.Fatalf("%s: %d members, want %d", raw, len(list), len(object))
		}
		for _, m := range list {
			if want := object[m.key]; err == nil && !bytes.Equal(bytes.TrimSpace(want), m.value) {
				t.Fatalf("%s: %q is %s, want %s", raw, m.key, m.value, want)
			}
			_, _, _ = compact(m.value), valueBytes(m.value), stringify(string(m.value))
		}
		var array []json.RawMessage
		parts, err := elements(raw)
		if isArray := json.Unmarshal(raw, &array) == nil && array != nil; (err == nil) != isArray || len(parts) != len(array) {
			t.Fatalf("%s: %v", raw, err)
		}
		for i, p := range parts {
			if !bytes.Equal(bytes.TrimSpace(array[i]), p) {
				t.Fatalf("%s: element %d is %s", raw, i, p)
			}
		}
		// An item of any shape is judged, not tripped over.
		settings := DefaultSettings()
		_, _, _ = parseItem(bytes.TrimSpace(raw), &settings, 0)
	})
}
