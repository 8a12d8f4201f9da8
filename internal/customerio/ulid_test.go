package customerio

import (
	"encoding/hex"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// TestEventULIDForEver: these are the ids under which Customer.io knows events.
// A change here sends every event again as a new one.
func TestEventULIDForEver(t *testing.T) {
	for _, c := range []struct{ mapping, id, ulid, key string }{
		{"orders", "900", "00000000001EXJ1ECZ3CFK68FK", "504efe884a869d08b89f1d129f0bd6e7"},
		{"orders", "", "0000000000YJ6J1SE381GYMD8R", "ca3ca3f4a95356ae66f2cd9558c78e7f"},
		{"", "", "0000000000DRT0Q77ZPDX9H755", "78901d3fb33738768511a30617afa01d"},
		{"bestellungen é", "漢 \x00", "0000000000QC2KJSDDWK8TS35A", "f52e18d08e49ab9341570080cf2048a4"},
	} {
		if got := EventULID(c.mapping, c.id); got != c.ulid {
			t.Errorf("EventULID(%q, %q) = %s, was %s", c.mapping, c.id, got, c.ulid)
		}
		key := EventKey(c.mapping, c.id)
		if got := hex.EncodeToString(key[:]); got != c.key {
			t.Errorf("EventKey(%q, %q) = %s, was %s", c.mapping, c.id, got, c.key)
		}
	}
}

func TestEventULIDIsAULIDOfItsOwn(t *testing.T) {
	form := regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	type name struct{ mapping, id string }
	seen, keys := map[string]name{}, map[[16]byte]name{}
	rapid.Check(t, func(t *rapid.T) {
		n := name{hostile().Draw(t, "mapping"), hostile().Draw(t, "id")}
		// The same bytes split elsewhere are another event.
		both := n.mapping + n.id
		cut := rapid.IntRange(0, len(both)).Draw(t, "cut")
		for _, n := range []name{n, {both[:cut], both[cut:]}, {n.id, n.mapping}} {
			id, key := EventULID(n.mapping, n.id), EventKey(n.mapping, n.id)
			if !form.MatchString(id) {
				t.Fatalf("%s is no ULID", id)
			}
			if id[:10] != "0000000000" {
				t.Fatalf("%s: the time part is not constant", id)
			}
			if other, ok := seen[id]; ok && other != n {
				t.Fatalf("%q and %q are both %s", n, other, id)
			}
			if other, ok := keys[key]; ok && other != n {
				t.Fatalf("%q and %q share a key", n, other)
			}
			seen[id], keys[key] = n, n
		}
	})
}
