package house

import (
	"strings"
	"testing"
)

// TestRulesCatch breaks each rule once.
func TestRulesCatch(t *testing.T) {
	pkg := func(name string, files ...file) listed {
		p := listed{ImportPath: module + "/" + name, files: files}
		for _, f := range files {
			if !f.test {
				p.GoFiles = append(p.GoFiles, f.name)
				p.Deps = append(p.Deps, f.imports...)
			}
		}
		return p
	}
	src := func(name, text string) file {
		t.Helper()
		f, err := read(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	importing := func(name string, imports ...string) file { return file{name: name, imports: imports} }
	testing := func(name string, imports ...string) file { return file{name: name, imports: imports, test: true} }
	const pgx = "github.com/jackc/pgx/v5"

	for _, c := range []struct {
		name  string
		check func([]listed) []string
		pkgs  []listed
		want  string // "" where nothing is wrong
	}{
		{"cdc uses state", checkImports, []listed{pkg("cdc", importing("cdc/a.go", module+"/state"))}, "cdc imports"},
		{"cdc uses customerio", checkImports, []listed{pkg("cdc", importing("cdc/a.go", module+"/internal/customerio"))}, "cdc imports"},
		{"a part of state uses mapping", checkImports, []listed{pkg("state/engine", importing("state/engine/a.go", module+"/mapping"))}, "state/engine imports"},
		{"through another", checkImports, []listed{
			pkg("mapping", importing("mapping/tagged.go", module+"/other")),
			pkg("other", importing("other/a.go", module+"/sink")),
		}, "mapping imports " + module + "/sink"},
		{"the simulator's test uses customerio", checkImports, []listed{pkg("internal/simulator", testing("internal/simulator/a_test.go", module+"/internal/customerio"))}, "oracle"},
		{"mapping uses cdc", checkImports, []listed{pkg("mapping", importing("mapping/a.go", module+"/cdc", module+"/internal/customerio"))}, ""},
		{"names that only begin alike", checkImports, []listed{pkg("mapping", importing("mapping/a.go", module+"/statement"))}, ""},

		{"lsn uses a library", checkStandard, []listed{pkg("internal/lsn", importing("internal/lsn/a.go", "github.com/x/y"))}, "standard library"},
		{"lsn's test uses one", checkStandard, []listed{pkg("internal/lsn", testing("internal/lsn/a_test.go", "github.com/x/y"))}, ""},
		{"the simulator uses state", checkStandard, []listed{pkg("internal/simulator", importing("internal/simulator/a.go", module+"/state"))}, "standard library"},
		{"the simulator uses itself", checkStandard, []listed{pkg("internal/simulator/page", importing("internal/simulator/page/a.go", "net/http", module+"/internal/simulator"))}, ""},
		{"its schema reads schemas", checkStandard, []listed{pkg("internal/simulator/schema", importing("internal/simulator/schema/a.go", "github.com/x/y"))}, ""},

		{"pgx in cmd", checkLibraries, []listed{pkg("cmd/pgcio", importing("cmd/pgcio/a.go", pgx))}, "cdc"},
		{"a part of pgx in a test of state", checkLibraries, []listed{pkg("state", testing("state/a_test.go", pgx+"/pgconn"))}, "cdc"},
		{"pgx in cdc", checkLibraries, []listed{pkg("cdc", importing("cdc/a.go", pgx, "github.com/jackc/pglogrepl"))}, ""},
		{"bbolt in another file", checkLibraries, []listed{pkg("state", importing("state/outbox.go", "go.etcd.io/bbolt"))}, "engine"},
		{"bbolt in its file", checkLibraries, []listed{pkg("state", importing("state/bbolt.go", "go.etcd.io/bbolt"))}, ""},

		{"sink links pgtest", checkTestOnly, []listed{pkg("sink", importing("sink/a.go", module+"/internal/pgtest"))}, "for tests"},
		{"cmd links testing", checkTestOnly, []listed{pkg("cmd/pgcio", importing("cmd/pgcio/a.go", "testing"))}, "for tests"},
		{"demo links pgtest", checkTestOnly, []listed{pkg("cmd/pgcio", importing("cmd/pgcio/demo.go", module+"/internal/pgtest"))}, ""},

		{"a client in cdc", checkHTTPClients, []listed{pkg("cdc", src("cdc/a.go", "package cdc\nimport \"net/http\"\nvar c http.Client"))}, "http.Client"},
		{"a renamed one in status", checkHTTPClients, []listed{pkg("internal/status", src("internal/status/a.go", "package status\nimport web \"net/http\"\nvar _, _ = web.Get(\"\")"))}, "http.Get"},
		{"a server in status", checkHTTPClients, []listed{pkg("internal/status", src("internal/status/a.go", "package status\nimport \"net/http\"\nvar s http.Server"))}, ""},
		{"the control socket", checkHTTPClients, []listed{pkg("cmd/pgcio", src("cmd/pgcio/control.go", "package main\nimport \"net/http\"\nvar c http.Client"))}, ""},
		{"sink", checkHTTPClients, []listed{pkg("sink", src("sink/a.go", "package sink\nimport \"net/http\"\nvar c http.Client"))}, ""},

		{"a package named util", checkNames, []listed{pkg("internal/util")}, "util"},
		{"no doc.go", checkDocs, []listed{pkg("sink", src("sink/a.go", "// Package sink is.\npackage sink"))}, "doc.go"},
		{"an empty doc.go", checkDocs, []listed{pkg("sink", src("sink/doc.go", "package sink"))}, "doc.go"},
		{"a doc.go", checkDocs, []listed{pkg("sink", src("sink/doc.go", "// Package sink is.\npackage sink"))}, ""},
		{"tests only", checkDocs, []listed{pkg("packaging", testing("packaging/a_test.go"))}, ""},
		{"init", checkInit, []listed{pkg("sink", src("sink/a.go", "package sink\nfunc init() {}"))}, "func init"},
		{"a method called init", checkInit, []listed{pkg("sink", src("sink/a.go", "package sink\ntype t int\nfunc (t) init() {}"))}, ""},
	} {
		complaints := strings.Join(c.check(c.pkgs), "\n")
		if c.want == "" && complaints != "" {
			t.Errorf("%s: unexpected complaint: %s", c.name, complaints)
		}
		if !strings.Contains(complaints, c.want) {
			t.Errorf("%s: want a complaint with %q, got %q", c.name, c.want, complaints)
		}
	}

	root := strings.Join([]string{"", "some", "checkout"}, "/")
	for text, want := range map[string]string{
		"see " + root + "/go.mod": root,
		"/" + "home/ann/pgcio/x":  "/" + "home/ann/pgcio",
		"/etc/pgcio/pgcio.toml":   "",
	} {
		if got := machinePath(text, root); got != want {
			t.Errorf("machinePath(%q) = %q, want %q", text, got, want)
		}
	}
}
