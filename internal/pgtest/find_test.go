package pgtest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fakeBin makes a directory of binaries that only know their version.
func fakeBin(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindOrder(t *testing.T) {
	dir := t.TempDir()
	wanted := fakeBin(t, filepath.Join(dir, "wanted"), "14.1 (Debian 14.1-1)")
	inPath := fakeBin(t, filepath.Join(dir, "path"), "15.2")
	old := fakeBin(t, filepath.Join(dir, "system", "9", "bin"), "9.6.24")
	newer := fakeBin(t, filepath.Join(dir, "system", "18", "bin"), "18beta1")
	links := filepath.Join(dir, "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(inPath, "initdb"), filepath.Join(links, "initdb")); err != nil {
		t.Fatal(err)
	}
	system := []string{filepath.Join(dir, "system", "*", "bin")}
	fetched := Installation{Bin: "npm", Major: 17}
	npm := func(_ context.Context, major int) (Installation, error) {
		if major == 17 {
			return fetched, nil
		}
		return Installation{}, errors.New("nothing to fetch")
	}
	noNPM := func(context.Context, int) (Installation, error) {
		return Installation{}, errors.New("npm is not in PATH")
	}
	noApt := func(context.Context) error { return errors.New("not root") }
	apt := func(context.Context) error {
		fakeBin(t, filepath.Join(dir, "debian"), "15.9")
		return nil
	}

	for _, c := range []struct {
		name    string
		machine machine
		bin     string
		wrong   []string // in the error
	}{
		{"a directory asked for", machine{env: wanted, path: []string{inPath}, patterns: system}, wanted, nil},
		{"a major asked for", machine{env: "18", path: []string{inPath}, patterns: system}, newer, nil},
		{"a major to fetch", machine{env: "17", path: []string{inPath}, fetch: npm}, "npm", nil},
		{"a directory without them", machine{env: dir, path: []string{inPath}}, "", []string{EnvPostgres, "no program"}},
		{"PATH", machine{path: []string{dir, inPath}, patterns: system}, inPath, nil},
		{"a link in PATH", machine{path: []string{links}, patterns: system}, inPath, nil},
		{"the newest of the system", machine{path: []string{dir}, patterns: system}, newer, nil},
		{"npm", machine{path: []string{dir}, fetch: npm, install: apt}, "npm", nil},
		{"apt", machine{path: []string{filepath.Join(dir, "debian")}, fetch: noNPM, install: apt}, filepath.Join(dir, "debian"), nil},
		{"nothing", machine{fetch: noNPM, install: noApt}, "", []string{"no postgres on this machine", EnvPostgres, "npm is not in PATH", "not root"}},
		{"apt that helps nothing", machine{fetch: noNPM, install: apt}, "", []string{"left no binaries"}},
	} {
		got, err := c.machine.find(context.Background())
		if got.Bin != c.bin {
			t.Errorf("%s: got %+v (%v), want %s", c.name, got, err, c.bin)
		}
		for _, want := range c.wrong {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v does not say %q", c.name, err, want)
			}
		}
		if len(c.wrong) == 0 && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	for bin, want := range map[string]Installation{
		wanted: {wanted, 14, "14.1"}, old: {old, 9, "9.6.24"}, newer: {newer, 18, "18beta1"},
	} {
		if got, err := inspect(context.Background(), bin); err != nil || got != want {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
}

func TestFindHere(t *testing.T) {
	found, err := Find(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	all, err := All(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(all, found) {
		t.Errorf("All gives %v, without the preferred %v", all, found)
	}
	for i := 1; i < len(all); i++ {
		if all[i-1].Major >= all[i].Major {
			t.Errorf("All is not one of each major in order: %v", all)
		}
	}
	if _, ok := found.Program("postgres"); !ok {
		t.Error("it has no postgres")
	}
	if _, ok := found.Program("no-such-program"); ok {
		t.Error("it has any program")
	}
}

func TestPins(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range pins {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(p.integrity, "sha512-"))
		if err != nil || len(sum) != 64 || !strings.HasPrefix(p.integrity, "sha512-") {
			t.Errorf("%s: integrity %q", p.spec(), p.integrity)
		}
		if !strings.HasPrefix(p.version, strconv.Itoa(p.major)+".") {
			t.Errorf("%s is no version of %d", p.spec(), p.major)
		}
		if seen[p.integrity] || seen[p.dirName()] {
			t.Errorf("%s is pinned twice", p.spec())
		}
		seen[p.integrity], seen[p.dirName()] = true, true
	}
	for _, platform := range []string{"linux-x64", "linux-arm64", "darwin-arm64", "darwin-x64"} {
		if _, ok := pinFor(platform, preferredMajor); !ok {
			t.Errorf("%s has no postgres %d", platform, preferredMajor)
		}
	}
	for major := 13; major <= 18; major++ {
		if _, ok := pinFor("linux-x64", major); !ok {
			t.Errorf("linux-x64 has no postgres %d", major)
		}
	}
	if _, err := fetch(ctx(t), 12); err == nil || !strings.Contains(err.Error(), "no package of postgres 12") {
		t.Errorf("got %v", err)
	}
}

func TestAccountReaches(t *testing.T) {
	dir := t.TempDir()
	open, private := filepath.Join(dir, "open"), filepath.Join(dir, "private")
	for _, d := range []string{open, filepath.Join(private, "inner")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	other := account{name: "other", uid: os.Getuid() + 4321, switches: true}
	for path, want := range map[string]bool{open: true, private: false, filepath.Join(private, "inner"): false, filepath.Join(dir, "none"): false} {
		// The parents of a test's directory may themselves be closed to others.
		if got := other.reaches(path); got != (want && other.reaches(dir)) {
			t.Errorf("another user reaches %s: %v", path, got)
		}
		if self := (account{uid: os.Getuid()}); !self.reaches(path) {
			t.Errorf("this user does not reach %s", path)
		}
	}
}

func TestCleanEnv(t *testing.T) {
	got := cleanEnv([]string{"PATH=/bin", "PGHOST=elsewhere", "PGPASSWORD=x", "LANG=de_DE", "LC_TIME=de_DE", "TZ=Asia/Tokyo", "HOME=/h"})
	if want := []string{"PATH=/bin", "HOME=/h", "LC_ALL=C"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestControlChecksumUnknown(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "global"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "global", "pg_control"), fmt.Appendf(nil, "%8192s", "x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := renewSystemID(dir, 1); err == nil || !strings.Contains(err.Error(), "no checksum found") {
		t.Errorf("got %v", err)
	}
}
