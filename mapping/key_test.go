package mapping

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/cdc"
)

// TestKeyOrder: comparing encoded keys compares keys, column by column, and
// what was encoded reads back.
func TestKeyOrder(t *testing.T) {
	type key struct {
		n int64
		s string
		m int64
	}
	keys := rapid.Custom(func(t *rapid.T) key {
		return key{rapid.Int64().Draw(t, "n"), rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a", "a\x00", "a\x00b", "a\xff", "ab", "\x00", "\x00\x00"})).Draw(t, "s"), rapid.Int64Range(-2, 2).Draw(t, "m")}
	})
	encode := func(k key) []byte {
		return EncodeKey(nil, KeyColumn{true, []byte(strconv.FormatInt(k.n, 10))}, KeyColumn{false, []byte(k.s)}, KeyColumn{true, []byte(strconv.FormatInt(k.m, 10))})
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := keys.Draw(t, "a"), keys.Draw(t, "b")
		if rapid.Bool().Draw(t, "same n") {
			b.n = a.n
		}
		want := cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.s, b.s), cmp.Compare(a.m, b.m))
		if got := bytes.Compare(encode(a), encode(b)); got != want {
			t.Fatalf("%+v and %+v compare %d, encoded %d", a, b, want, got)
		}
		texts, err := DecodeKey(encode(a))
		if err != nil || !slices.Equal(texts, []string{strconv.FormatInt(a.n, 10), a.s, strconv.FormatInt(a.m, 10)}) {
			t.Fatalf("%+v reads back as %q %v", a, texts, err)
		}
	})
}

func TestDecodeKeyRefuses(t *testing.T) {
	for _, k := range []string{"", "\x01", "\x01\x00\x00\x00\x00\x00\x00\x00", "\x02a", "\x03", "\x02a\x00\xff", "\xff"} {
		if texts, err := DecodeKey([]byte(k)); err == nil {
			t.Errorf("%q reads as %q", k, texts)
		}
	}
}

// TestRowKey: the primary key if old rows carry it, else `key` within the
// replica identity (M12).
func TestRowKey(t *testing.T) {
	make := func(identity cdc.ReplicaIdentity, primary, carried []string) *cdc.Table {
		tbl := table("public.t", col("id", "int8"), col("email", "text"), col("n", "int4"))
		tbl.Identity, tbl.PrimaryKey, tbl.IdentityColumns = identity, primary, carried
		return tbl
	}
	for _, c := range []struct {
		name  string
		table *cdc.Table
		spec  Spec
		want  []string
	}{
		{"default", make('d', []string{"id"}, []string{"id"}), Spec{}, []string{"id"}},
		{"default, key given", make('d', []string{"id"}, []string{"id"}), Spec{Key: []string{"n"}}, []string{"id"}},
		{"full", make('f', []string{"id"}, []string{"id", "email", "n"}), Spec{}, []string{"id"}},
		{"full without a primary key", make('f', nil, []string{"id", "email", "n"}), Spec{}, nil},
		{"full without a primary key, key given", make('f', nil, []string{"id", "email", "n"}), Spec{Key: []string{"email", "n"}}, []string{"email", "n"}},
		{"index", make('i', []string{"id"}, []string{"email"}), Spec{Key: []string{"email"}}, []string{"email"}},
		{"index, no key given", make('i', []string{"id"}, []string{"email"}), Spec{}, nil},
		{"index, no primary key", make('i', nil, []string{"email"}), Spec{}, []string{"email"}},
		{"index, wrong key", make('i', []string{"id"}, []string{"email"}), Spec{Key: []string{"id"}}, nil},
		{"default, deferrable", make('d', []string{"id"}, nil), Spec{}, nil},
		{"nothing", make('n', []string{"id"}, nil), Spec{}, nil},
		{"no key at all", make('d', nil, nil), Spec{Key: []string{"id"}}, nil},
		{"an event's table without old rows", make('d', nil, nil), Spec{Object: "event", EventID: Value{Form: FromColumn, Column: "n"}}, []string{"n"}},
		{"an event's table without old rows, key given", make('n', []string{"id"}, nil), Spec{Object: "event", Key: []string{"id"}}, []string{"id"}},
	} {
		got, problem, advice := rowKey(&c.spec, c.table)
		if !slices.Equal(got, c.want) || (c.want == nil) != (problem != "") || (problem != "") != (advice != "") {
			t.Errorf("%s: %v, want %v (%s; %s)", c.name, got, c.want, problem, advice)
		}
		if c.table.Identity == cdc.IdentityDefault && strings.Contains(advice, "REPLICA IDENTITY DEFAULT") {
			t.Errorf("%s: %s changes nothing", c.name, advice)
		}
	}
}

// TestKeyOf: what is known of a row's columns tells its key as a change would.
func TestKeyOf(t *testing.T) {
	u := users()
	columns := map[string]string{"id": "7", "email": "a@b.c"}
	get := func(column string) ([]byte, bool) {
		text, ok := columns[column]
		return []byte(text), ok
	}
	m := load(t, plainPeople, u)
	want := mapOne(t, m, insert(u, map[string]any{"id": 7}), nil).Row
	if key, lacking := KeyOf(u, []string{"id"}, get); string(key) != string(want) || lacking != "" {
		t.Errorf("%x, lacking %q; want %x", key, lacking, want)
	}
	for _, lacking := range []string{"plan", "gone"} {
		columns["gone"] = "x"
		if key, got := KeyOf(u, []string{"id", lacking}, get); key != nil || got != lacking {
			t.Errorf("%x, lacking %q; want %q", key, got, lacking)
		}
	}
	if key, _ := KeyOf(u, []string{"email", "id"}, get); len(key) == 0 || key[0] == 0 {
		t.Errorf("%x: a key begins with a tag", key)
	}
}
