package strict

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// read is a reader of a small grammar, as cmd and mapping write them.
func read(source string) string {
	doc := Open("pgcio.toml", []byte(source))
	root := doc.Root()
	if pg := root.Table("postgres"); pg != nil {
		pg.String("url")
		pg.String("publication")
		pg.Bool("manage")
		pg.Duration("replay_window")
		pg.Enum("on_gap", "halt", "resync")
		pg.Done()
	}
	if state := root.Table("state"); state != nil {
		state.Require("path", "")
		state.String("path")
		state.Size("max_size")
		state.Int("ports", 1)
		state.Float("ratio")
		state.Strings("words")
		state.Done()
	}
	for _, m := range root.Tables("mapping") {
		if name, ok := m.String("name"); ok {
			m.Call(fmt.Sprintf("mapping %q", name))
		}
		m.Table("attributes").Keys()
		m.Done()
	}
	root.Done()
	return doc.Problems().Error()
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"none", "[postgres]\nurl = 'x'\nmanage = true\nreplay_window = '1d12h'\n[state]\npath='p'\nmax_size='10GB'\nwords=['a']\nratio=1", ""},
		{"unknown keys, all at once", "[postgres]\nurll = 'x'\n\n  publicaton = 'y'\nzebra = 1\n[stat]\n", `
pgcio.toml:2: postgres.urll: is not a key that pgcio knows here; did you mean "url"?
pgcio.toml:4: postgres.publicaton: is not a key that pgcio knows here; did you mean "publication"?
pgcio.toml:5: postgres.zebra: is not a key that pgcio knows here
pgcio.toml:6: stat: is not a key that pgcio knows here; did you mean "state"?`},
		{"types", "[postgres]\nurl = 1\nmanage = 'true'\nreplay_window = '1 day'\non_gap = 'stop'\n[state]\npath='p'\nmax_size = 'big'\nports = 0\nratio = 'x'\nwords = 'a'", `
pgcio.toml:2: postgres.url: must be a string, but is the integer 1
pgcio.toml:3: postgres.manage: must be true or false, but is the string "true"; write it without quotes: true
pgcio.toml:4: postgres.replay_window: must be a duration like "10s" or "90d", but is the string "1 day"
pgcio.toml:5: postgres.on_gap: "stop" is not one of "halt" or "resync"
pgcio.toml:8: state.max_size: must be a size like "64MB", but is the string "big"
pgcio.toml:9: state.ports: must be at least 1, but is 0
pgcio.toml:10: state.ratio: must be a number, but is the string "x"
pgcio.toml:11: state.words: must be a list of strings, but is the string "a"; write ["a"]`},
		{"integer in quotes", "[state]\npath='p'\nports='7'\nwords=[1]", `
pgcio.toml:3: state.ports: must be an integer, but is the string "7"; write it without quotes: 7
pgcio.toml:4: state.words: must be a list of strings, but holds the integer 1`},
		{"required", "\n[state]\n", `
pgcio.toml:2: state.path: is required`},
		{"tables named by their name", "[[mapping]]\nname='people'\nwher='x'\n[[mapping]]\nnaem='y'", `
pgcio.toml:3: mapping "people".wher: is not a key that pgcio knows here
pgcio.toml:5: mapping[2].naem: is not a key that pgcio knows here; did you mean "name"?`},
		{"one table for many", "[mapping]\nname='x'", `
pgcio.toml:1: mapping: must be a list of tables, but is one table; write [[mapping]]`},
		{"many tables for one", "[[state]]\n", `
pgcio.toml:1: state: must be one table, [state], but is a list of tables`},
		{"syntax", "[state]\npath = \n", `
pgcio.toml:2: state.path: expected value but found '\n' instead`},
		{"duplicate", "[state]\npath = 'a'\npath = 'b'", `
pgcio.toml:3: state.path: Key 'state.path' has already been defined.`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), read(c.source)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	doc := Open("x", []byte("z = 1\nperson = { email = 'e', id = 'i', \"c d\" = 2 }\na.c = 1\na.b = 2\n"))
	root := doc.Root()
	if diff := cmp.Diff([]string{"z", "person", "a"}, root.Keys()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"email", "id", "c d"}, root.Table("person").Keys()); diff != "" {
		t.Error(diff)
	}
	if got := root.Table("person").Place("c d"); got != (Place{File: "x", Line: 2, Key: `person."c d"`}) {
		t.Errorf("%+v", got)
	}
	if got := root.Table("a").Place("b").Line; got != 4 {
		t.Errorf("line %d, want 4", got)
	}
}

func TestExpand(t *testing.T) {
	lookup := func(name string) (string, bool) { v, ok := map[string]string{"A": "1", "E": ""}[name]; return v, ok }
	for in, want := range map[string]string{
		"": "", "x": "x", "${A}": "1", "a${A}b${E}c": "a1bc", "$${A}": "${A}", "$A $": "$A $",
		"${B}": "error: environment variable B is not set", "${A": "error: ${ without its }", "p$${x}${A}": "p${x}1",
	} {
		got, err := Expand(in, lookup)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("Expand(%q) = %q, want %q", in, got, want)
		}
	}
	doc := Open("f", []byte("a = '${A}'\nb = ['${B}', '${A}']\nc = { d = '${C}' }\n[[e]]\nf = '${A}'"))
	root := doc.Root()
	root.Expand(lookup)
	if a, _ := root.String("a"); a != "1" {
		t.Error(a)
	}
	if f, _ := root.Tables("e")[0].String("f"); f != "1" {
		t.Error(f)
	}
	want := "f:2: b: environment variable B is not set\nf:3: c.d: environment variable C is not set"
	if got := doc.Problems().Error(); got != want {
		t.Error(got)
	}
}

// A variable that is not set is one problem, at its key's line, whatever the
// key should have held.
func TestExpandSaysItOnce(t *testing.T) {
	doc := Open("f", []byte("[a]\n[a.b]\nx = 1\nsize = '${B}'\nword = '${B}'\n[[a.c]]\ny = 1\nflag = '${B}'"))
	a := doc.Root().Table("a")
	a.Expand(func(string) (string, bool) { return "", false })
	b := a.Table("b")
	b.Size("size")
	b.Enum("word", "one", "two")
	b.Problem("word", "", "is no word")
	a.Tables("c")[0].Bool("flag")
	want := `f:4: a.b.size: environment variable B is not set
f:5: a.b.word: environment variable B is not set
f:8: a.c[1].flag: environment variable B is not set`
	if diff := cmp.Diff(want, doc.Problems().Error()); diff != "" {
		t.Error(diff)
	}
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]time.Duration{"10s": 10 * time.Second, "90d": 90 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "-2d": -48 * time.Hour, "0s": 0} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "10", "d", "1w", "1d-1h", "99999999d", "NaNd", "x1d"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%s: %v, want an error", in, got)
		}
	}
	for in, want := range map[string]int64{"512": 512, "64MB": 64 << 20, "10 GB": 10 << 30, "1.5k": 1536, "2GiB": 2 << 30, "0": 0, "7B": 7, "1TB": 1 << 40} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "MB", "-1MB", "1XB", "NaN", "99999999PB", "1MM"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%s: %v, want an error", in, got)
		}
	}
}

func TestNearest(t *testing.T) {
	choices := []string{"where", "workspace", "was", "name", "event_id", "update_or_create"}
	for in, want := range map[string]string{"whre": "where", "wehre": "where", "Where": "where", "nam": "name", "eventid": "event_id", "upsert": "", "zzz": "", "update_or_crate": "update_or_create", "": "", "saw": ""} {
		if got := Nearest(in, choices); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNilTable(t *testing.T) {
	var none *Table
	none.String("a")
	none.Bool("a")
	none.Table("a").Tables("b")
	none.Require("a", "")
	none.Done()
	none.Expand(nil)
	none.Problem("a", "", "x")
	if none.Has("a") || none.Keys() != nil || none.Count() != 0 {
		t.Error("a nil table holds something")
	}
}

// FuzzLines checks that every key of whatever TOML the decoder takes has a
// line, and that the key does stand in it.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		"a = 1", "[a]\nb = 1\n[[c]]\nd = { e = 2, 'f g' = [ { h = 1 }, {h=2} ] }\n[[c]]\n[c.x]\ny.z = '''\n]\n'''",
		"a = \"\"\"x\\\"\"\"\" # c\n\"q\\u0041\" = [1,\n# no\n2]\n", "t = 1979-05-27 07:32:00 # x\nb = [[1],[2]]",
	} {
		f.Add([]byte(s))
	}
	if example, err := os.ReadFile("../../config.example.toml"); err == nil {
		f.Add(example)
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		var root map[string]any
		if _, err := toml.Decode(string(source), &root); err != nil {
			if len(Open("x", source).Problems()) == 0 {
				t.Error("a document that cannot be decoded has no problem")
			}
			return
		}
		marks := locate(source)
		var walk func(path string, v any)
		walk = func(path string, v any) {
			switch v := v.(type) {
			case map[string]any:
				for k, e := range v {
					p := segment(path, k)
					if marks[p].line == 0 {
						t.Errorf("%q has no line", p)
					}
					walk(p, e)
				}
			case []map[string]any:
				for i, e := range v {
					walk(element(path, i), e)
				}
			case []any:
				for i, e := range v {
					walk(element(path, i), e)
				}
			}
		}
		walk("", root)
	})
}
