package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pgcio/pgcio"

// Data moves to the right; nothing calls to the left. Nor does anything know a
// package which it does not hand data to. A rule holds for the packages below the
// named one too, and for what is imported by way of others.
var imports = []struct {
	pkg   string
	never []string
	why   string
}{
	{"cdc", []string{"mapping", "state", "sink", "internal/customerio"}, "cdc knows Postgres and nothing else"},
	{"mapping", []string{"state", "sink"}, "mapping is a pure function: what it has to know is given to it"},
	{"state", []string{"cdc", "mapping", "sink"}, "state keeps operations, wherever they come from or go to"},
	{"sink", []string{"cdc", "mapping"}, "sink sends what state holds"},
	{"internal/customerio", []string{"cdc", "mapping", "state", "sink"}, "customerio is what the others mean, and uses none of them"},
	{"internal/simulator", []string{"internal/customerio"}, "the simulator is the oracle: sharing code would share bugs"},
}

// standard lists packages that import the standard library and themselves only.
var standard = []struct{ pkg, except string }{
	{"internal/lsn", ""},
	{"internal/simulator", "internal/simulator/schema"}, // which reads JSON schemas
}

// libraries lists those with a place of their own. Test files keep to it too.
var libraries = []struct {
	lib string
	in  []string // packages, or single files
	why string
}{
	{"github.com/jackc/pgx/v5", []string{"cdc", "internal/pgtest"}, "Postgres is spoken to in cdc"},
	{"github.com/jackc/pglogrepl", []string{"cdc"}, "the replication protocol is cdc's"},
	{"go.etcd.io/bbolt", []string{"state/bbolt.go", "state/bbolt_test.go"}, "nothing above the engine knows which one it is"},
	{"github.com/oklog/ulid/v2", []string{"internal/customerio"}, "what an event is called is Customer.io's meaning"},
	{"github.com/expr-lang/expr", []string{"mapping"}, "expressions are part of a mapping"},
}

// testOnly lists packages that programs do not link, and who may all the same.
var testOnly = []struct{ pkg, except string }{
	{module + "/internal/pgtest", "cmd/pgcio"}, // for `pgcio demo`
	{"testing", ""},
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Dir                          string
	GoFiles, IgnoredGoFiles                  []string
	TestGoFiles, XTestGoFiles                []string
	Imports, TestImports, XTestImports, Deps []string
	files                                    []file // filled in by parse
}

// name is the package's path within the module.
func (p listed) name() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

func list(t *testing.T) []listed {
	t.Helper()
	// -e: what does not compile is the compiler's to report, not this test's.
	cmd := exec.Command("go", "list", "-e", "-json", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

func TestHouse(t *testing.T) {
	pkgs := list(t)
	for i := range pkgs {
		pkgs[i].parse(t)
	}
	checks := []struct {
		name  string
		check func([]listed) []string
	}{
		{"imports", checkImports},
		{"standard", checkStandard},
		{"libraries", checkLibraries},
		{"test only", checkTestOnly},
		{"http clients", checkHTTPClients},
		{"names", checkNames},
		{"doc.go", checkDocs},
		{"init", checkInit},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			for _, complaint := range c.check(pkgs) {
				t.Error(complaint)
			}
		})
	}
}

// within reports whether a package or file is the named one or lies below it.
func within(name, parent string) bool {
	return name == parent || strings.HasPrefix(name, parent+"/")
}

func withinAny(name string, parents []string) bool {
	return slices.ContainsFunc(parents, func(p string) bool { return within(name, p) })
}

func checkImports(pkgs []listed) (complaints []string) {
	for _, p := range pkgs {
		for _, rule := range imports {
			if !within(p.name(), rule.pkg) {
				continue
			}
			for _, dep := range reach(p, pkgs) {
				if withinAny(strings.TrimPrefix(dep, module+"/"), rule.never) {
					complaints = append(complaints, p.name()+" imports "+dep+": "+rule.why)
				}
			}
		}
	}
	return complaints
}

// reach is all that a package imports, also in files that build tags leave out and
// in those that test it. Tests of the simulator keep to its rule; others of these
// packages may use their neighbours' values, as long as these compile.
func reach(p listed, pkgs []listed) []string {
	deps := slices.Clone(p.Deps)
	for _, f := range p.files {
		if f.test && !within(p.name(), "internal/simulator") {
			continue
		}
		for _, imp := range f.imports {
			deps = append(deps, imp)
			for _, q := range pkgs {
				if q.ImportPath == imp {
					deps = append(deps, q.Deps...)
				}
			}
		}
	}
	slices.Sort(deps)
	return slices.Compact(deps)
}

func checkStandard(pkgs []listed) (complaints []string) {
	for _, p := range pkgs {
		for _, rule := range standard {
			if !within(p.name(), rule.pkg) || rule.except != "" && within(p.name(), rule.except) {
				continue
			}
			for _, f := range p.files {
				for _, imp := range f.imports {
					own := within(imp, module+"/"+rule.pkg)
					if first, _, _ := strings.Cut(imp, "/"); !f.test && strings.Contains(first, ".") && !own {
						complaints = append(complaints, f.name+" imports "+imp+": "+rule.pkg+" keeps to the standard library")
					}
				}
			}
		}
	}
	return complaints
}

func checkLibraries(pkgs []listed) (complaints []string) {
	for _, p := range pkgs {
		for _, f := range p.files {
			for _, imp := range f.imports {
				for _, rule := range libraries {
					if within(imp, rule.lib) && !withinAny(f.name, rule.in) {
						complaints = append(complaints, f.name+" imports "+imp+", which belongs into "+strings.Join(rule.in, ", ")+": "+rule.why)
					}
				}
			}
		}
	}
	return complaints
}

func checkTestOnly(pkgs []listed) (complaints []string) {
	for _, p := range pkgs {
		for _, f := range p.files {
			for _, imp := range f.imports {
				for _, rule := range testOnly {
					own := within(p.ImportPath, rule.pkg)
					if !f.test && imp == rule.pkg && !own && (rule.except == "" || !within(p.name(), rule.except)) {
						complaints = append(complaints, f.name+" imports "+imp+", which is for tests")
					}
				}
			}
		}
	}
	return complaints
}

// checkNames refuses packages named for nothing.
func checkNames(pkgs []listed) (complaints []string) {
	for _, p := range pkgs {
		switch base := path.Base(p.ImportPath); base {
		case "util", "utils", "common", "types", "helper", "helpers", "misc":
			complaints = append(complaints, p.name()+": a package is named for what it is about, not "+base)
		}
	}
	return complaints
}

// checkDocs wants a doc.go with the package's comment from every package that is
// more than its tests.
func checkDocs(pkgs []listed) (complaints []string) {
	for _, p := range pkgs {
		if len(p.GoFiles) == 0 {
			continue
		}
		i := slices.IndexFunc(p.files, func(f file) bool { return filepath.Base(f.name) == "doc.go" })
		if i < 0 || !p.files[i].doc {
			complaints = append(complaints, p.name()+" has no doc.go with a package comment")
		}
	}
	return complaints
}

func checkInit(pkgs []listed) (complaints []string) {
	for _, p := range pkgs {
		for _, f := range p.files {
			if f.init {
				complaints = append(complaints, f.name+" has a func init: what runs is called by name")
			}
		}
	}
	return complaints
}
