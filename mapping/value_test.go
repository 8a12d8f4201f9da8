package mapping

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// zoo is a value of every kind of type, as Postgres writes it.
var zoo = []struct{ typ, text string }{
	{"bool", "t"}, {"bool", "f"},
	{"int2", "-32768"}, {"int4", "0"}, {"int8", "9007199254740992"}, {"int8", "9007199254740993"}, {"int8", "-9007199254740992"}, {"int8", "-9007199254740993"},
	{"int8", "9223372036854775807"}, {"int8", "-9223372036854775808"},
	{"float4", "0.1"}, {"float8", "0.30000000000000004"}, {"float8", "1e+20"}, {"float8", "1e-07"}, {"float8", "-0"}, {"float8", "NaN"}, {"float8", "Infinity"}, {"float8", "-Infinity"},
	{"numeric", "0.00"}, {"numeric", "12345678901234567890.123"}, {"numeric", "NaN"}, {"numeric", "Infinity"}, {"numeric", "-1.50"},
	{"money", "$1,234.56"}, {"money", "-$5.00"}, {"money", "$0.00"},
	{"timestamptz", "2024-01-31 12:00:00.999999+00"}, {"timestamptz", "1969-12-31 23:59:59.5+00"}, {"timestamptz", "1883-11-18 12:03:58-07:52:58"}, {"timestamptz", "2024-01-31 12:00:00+05:30"},
	{"timestamptz", "0044-03-15 00:00:00+00 BC"}, {"timestamptz", "0001-01-01 00:00:00+00 BC"}, {"timestamptz", "294276-12-31 23:59:59.999999+00"}, {"timestamptz", "4714-11-24 00:00:00+00 BC"},
	{"timestamptz", "infinity"}, {"timestamptz", "-infinity"}, {"timestamp", "2024-02-29 00:00:00"}, {"timestamp", "9999-12-31 24:00:00"},
	{"date", "2024-01-01"}, {"date", "1969-12-31"}, {"date", "0044-03-15 BC"}, {"date", "10000-01-01"}, {"date", "5874897-12-31"}, {"date", "infinity"},
	{"json", ` { "a" : 1.0, "a": 2 , "b c": "x  \" y", "n": 12345678901234567890.123 } `}, {"jsonb", `{"a": [1, 2, {"b": null}]}`}, {"jsonb", "null"}, {"jsonb", `"x"`}, {"jsonb", "12345678901234567890"}, {"json", `"\u0000"`}, {"json", "{"},
	{"bytea", `\x`}, {"bytea", `\xdeadbeef`}, {"bytea", `\xzz`},
	{"bpchar", "ab   "}, {"text", "ab   "}, {"varchar", `a"b\c` + "\n\t\x01"}, {"text", "Grüße 👋"}, {"text", "broken \xff\xc3("}, {"text", ""}, {"text", "nul \x00"},
	{"citext", "Foo"}, {"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, {"mood", "happy"}, {"inet", "10.0.0.1/8"}, {"interval", "1 year 2 mons 3 days 04:05:06"}, {"int4range", "[1,5)"}, {"int4range", "empty"}, {"bit", "101"}, {"xid8", "123"}, {"time", "12:00:00"},
	{"_int4", "{1,NULL,3}"}, {"_int4", "{}"}, {"_int4", "{{1,2},{3,4}}"}, {"_int4", "[0:1]={5,6}"}, {"_int4", "[1:1][-2:-1]={{5,6}}"}, {"_text", `{"a,b",NULL,"NULL","","q\"\\"}`}, {"_text", "{null,a b}"}, {"_int8", "{9007199254740993}"}, {"_float8", "{1.5,NaN}"},
	{"_timestamptz", `{"2024-01-31 12:00:00+00",infinity}`}, {"_jsonb", `{"{\"a\": 1}"}`}, {"_bool", "{t,f}"}, {"_bpchar", `{"a  "}`}, {"_int4", "{1"}, {"_int4", "1"}, {"_int4", "{1}}"}, {"_text", `{"a}`},
	{"hstore", `"a"=>"1", "b"=>NULL`}, {"hstore", ""}, {"hstore", `"q\"k"=>"NULL", "c\\"=>""`}, {"hstore", `"a"`}, {"hstore", `"a"=>"1",`},
	{"point2", `(1,"x y")`}, {"point2", `(,)`}, {"point2", `(2,"a""b\\c,")`}, {"point2", `(3,"")`}, {"point2", `(1)`}, {"point2", `(1,2,3)`}, {"_point2", `{"(1,\"x y\")",NULL}`},
}

func TestZoo(t *testing.T) {
	var b strings.Builder
	for _, v := range zoo {
		out, reason := AppendJSON([]byte("|"), typeNamed(v.typ), []byte(v.text))
		fmt.Fprintf(&b, "%-12s %-50q %s", v.typ, v.text, out[1:])
		if reason != "" {
			fmt.Fprintf(&b, "  (%s)", reason)
		}
		b.WriteByte('\n')
		if len(out) > 1 && !json.Valid(out[1:]) {
			t.Errorf("%s %q: %s is no JSON", v.typ, v.text, out[1:])
		}
	}
	golden(t, "testdata/zoo.txt", b.String())
}

// TestMoments compares times with Postgres' own reckoning, floor included.
func TestMoments(t *testing.T) {
	db := pgtest.NewDatabase(t)
	s := db.Connect(t)
	rows, err := s.Query(t.Context(), `
		select v::text, floor(extract(epoch from v))::bigint from (
			select '4713-01-01 00:00:00+00 BC'::timestamptz + n * interval '997 days 7 hours 13 minutes 11.1357 seconds' as v from generate_series(0, 9000, 7) n
			union all select timestamptz '1969-12-31 23:59:58+00' + n * interval '0.3 seconds' from generate_series(0, 20) n
			union all select timestamptz '2000-02-27 00:00+00' + n * interval '1 day' from generate_series(0, 5) n) x`)
	if err != nil || len(rows) < 1000 {
		t.Fatal(err, len(rows))
	}
	for _, row := range rows {
		got, reason := AppendJSON(nil, typeNamed("timestamptz"), []byte(row[0]))
		if reason != "" || string(got) != row[1] {
			t.Errorf("%s: %s %s, Postgres says %s", row[0], got, reason, row[1])
		}
	}
}

// TestNestedAsPostgres compares arrays, row values and hstores, of strings that
// need every kind of quoting, with what Postgres itself makes of them in JSON.
func TestNestedAsPostgres(t *testing.T) {
	db := pgtest.NewDatabase(t)
	s := db.Connect(t)
	if err := s.Exec(t.Context(), `create extension hstore; create type point2 as (x int4, label text)`); err != nil {
		t.Fatal(err)
	}
	const nasty = `unnest(array['', 'NULL', 'null', 'a,b', '{x}', '}', '"', '""', '\', '\"', ' ', ' a ', E'\n\t', 'é', '(', ')', '=>', ',', 'a=>b'])`
	for typ, sql := range map[string]string{
		"_text":   `select array[x, null, y, x || y]::text, to_json(array[x, null, y, x || y])::text from ` + nasty + ` x, ` + nasty + ` y`,
		"_int4":   `select v::text, to_json(v)::text from (values (array[[1, 2], [3, null]]), ('[2:3]={7,8}'), ('{}'), ('{{{1}}}')) t(v)`,
		"point2":  `select v::text, to_json(v)::text from (select row(1, x || y)::point2 as v from ` + nasty + ` x, ` + nasty + ` y union all values (row(null, null)::point2)) t`,
		"_point2": `select v::text, to_json(v)::text from (select array[row(1, x)::point2, null, row(2, y)::point2] as v from ` + nasty + ` x, ` + nasty + ` y) t`,
		"hstore":  `select v::text, hstore_to_json(v)::text from (select hstore(array[x || '1', y, y || 'k', null]) as v from ` + nasty + ` x, ` + nasty + ` y) t`,
		"_bool":   `select v::text, to_json(v)::text from (values (array[true, null, false])) t(v)`,
		"bytea":   `select v::text, to_json(encode(v, 'base64'))::text from (values ('\x00ff10'::bytea)) t(v)`,
	} {
		rows, err := s.Query(t.Context(), sql)
		if err != nil || len(rows) == 0 {
			t.Fatal(typ, err)
		}
		for _, row := range rows {
			got, reason := AppendJSON(nil, typeNamed(typ), []byte(row[0]))
			var have, want any
			if err := json.Unmarshal([]byte(row[1]), &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(got, &have); err != nil || reason != "" || !reflect.DeepEqual(have, want) {
				t.Errorf("%s %s: %s %s, Postgres says %s", typ, row[0], got, reason, row[1])
			}
		}
	}
}

func TestZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"2024-07-01 12:00:00": "1719828000", "2024-01-01 12:00:00": "1704106800", "2024-01-01": "1704063600",
		"2024-07-01 12:00:00+00": "1719835200", // it has a zone of its own
	} {
		got, reason := appendValue(nil, typeNamed("timestamp"), []byte(text), berlin)
		if string(got) != want || reason != "" {
			t.Errorf("%s: %s %s, want %s", text, got, reason, want)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, text := range []string{"0", "-0.5", "12345678901234567890.1230", "0.001", "-7"} {
		d, ok := parseDecimal(text)
		if !ok || d.String() != text {
			t.Errorf("%s: %s", text, d)
		}
	}
	a, _ := parseDecimal("0.1")
	b, _ := decimalOf(0.1)
	if a.cmp(b) != 0 {
		t.Error("the literal 0.1 is not one tenth")
	}
	if p := a.mul(decimal{big.NewInt(3), 0}); p.String() != "0.3" {
		t.Error(p)
	}
}

// conversions are what `as` and `hash` make of values.
func TestConversions(t *testing.T) {
	var b strings.Builder
	for _, v := range zoo {
		typ := typeNamed(v.typ)
		for as := AsString; as <= AsJSON; as++ {
			if asProblem(as, typ.Kind) != "" {
				continue
			}
			a := attribute{Attribute: Attribute{As: as}}
			out, reason := a.render(nil, typ, []byte(v.text))
			if len(out) > 0 && !json.Valid(out) {
				t.Errorf("%s %q as %s: %s is no JSON", v.typ, v.text, as, out)
			}
			fmt.Fprintf(&b, "%-12s %-50q %-7s %s", v.typ, v.text, as, out)
			if reason != "" {
				fmt.Fprintf(&b, "  (%s)", reason)
			}
			b.WriteByte('\n')
		}
	}
	for _, text := range []string{"42", " 1.5 ", "+1", "yes", "off", "2024-01-31", "2024-01-31T12:00:00Z", "1706702400", "{\"a\": 1}", "x"} {
		for as := AsString; as <= AsJSON; as++ {
			a := attribute{Attribute: Attribute{As: as}}
			out, reason := a.render(nil, &textType, []byte(text))
			fmt.Fprintf(&b, "%-12s %-50q %-7s %s %s\n", "text", text, as, out, reason)
		}
	}
	for _, hash := range []Hash{SHA256, HMACSHA256} {
		a := attribute{Attribute: Attribute{Hash: hash, HashKey: []byte("key")}}
		out, _ := a.render(nil, &textType, []byte("a@b.c"))
		fmt.Fprintf(&b, "hash %d %s\n", hash, out)
	}
	golden(t, "testdata/conversions.txt", b.String())
}

func FuzzTimestamp(f *testing.F) {
	for _, v := range zoo {
		f.Add([]byte(v.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, reason := parseMoment(text)
		if reason == "" && m.infinite == 0 {
			m.time(time.UTC)
			if m.nanos < 0 || m.nanos > 999_999_999 {
				t.Error(m.nanos)
			}
		}
	})
}

// fuzzJSON checks that whatever a value's text, what is appended is JSON, or
// nothing with a reason.
func fuzzJSON(f *testing.F, types ...string) {
	for _, v := range zoo {
		f.Add([]byte(v.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, name := range types {
			out, reason := AppendJSON(nil, typeNamed(name), text)
			if len(out) == 0 && reason == "" {
				t.Errorf("%s %q: nothing, and no reason", name, text)
			}
			if len(out) > 0 && !json.Valid(out) {
				t.Errorf("%s %q: %q is no JSON", name, text, out)
			}
			_, _ = toAny(typeNamed(name), text)
		}
	})
}

func FuzzArray(f *testing.F)     { fuzzJSON(f, "_text", "_int4", "_jsonb", "_point2", "_timestamptz") }
func FuzzComposite(f *testing.F) { fuzzJSON(f, "point2", "_point2") }
func FuzzHstore(f *testing.F)    { fuzzJSON(f, "hstore") }
func FuzzScalar(f *testing.F) {
	fuzzJSON(f, "bool", "int8", "float8", "numeric", "money", "timestamptz", "date", "json", "bytea", "bpchar", "text")
}

// TestLargeIntegersInLists: what is sent as text is a number to expressions.
func TestLargeIntegersInLists(t *testing.T) {
	tbl := table("public.t", col("id", "int8"), col("l", "_int8"), col("n", "_numeric"), col("s", "_text"), col("p", "_point2"))
	row := map[string]any{"id": 1, "l": "{{1,9007199254740993},{NULL,3}}", "n": "{9007199254740993,1.10,123456789012345678901234567890}", "s": "{9007199254740993}", "p": `{"(1,9007199254740993)"}`}
	for expr, want := range map[string]string{
		"9007199254740993 in l[0]":        "true",
		"l[0][1] - 9007199254740000":      "993",
		"l[1][0] == nil and l[1][1] == 3": "true",
		"9007199254740993 in n":           "true",
		"n[1] == 1.1":                     "true",
		"n":                               `["9007199254740993",1.1,"123456789012345678901234567890"]`,
		"'9007199254740993' in s":         "true",
		"p[0].label == '9007199254740993' and p[0].x > 0": "true",
	} {
		m := load(t, fmt.Sprintf("[[mapping]]\nname='n'\ntable='t'\nobject='person'\nbehavior='update_only'\nperson={id='id'}\n[mapping.attributes]\nx={expr=%q}", expr), tbl)
		ask := mapOne(t, m, insert(tbl, row), nil)
		if len(ask.Operation.Attributes) != 1 || string(ask.Operation.Attributes[0].Value) != want {
			t.Errorf("%s: %s, want %s", expr, show(ask), want)
		}
	}
}
