package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// scratch is the one directory in which everything of this process lives. It is
// a variable of the package because its lifetime is that of the process, which is
// what its sweeper waits for.
var scratch struct {
	sync.Mutex
	dir       string
	who       account
	sweeper   *sweeper
	serial    int
	templates map[templateKey]*template
}

// maxScratch keeps the path of a socket, <dir>/c1234/s/.s.PGSQL.12345, under the
// 104 bytes that macOS allows (Linux allows 108).
const maxScratch = 76

// newDir makes a directory of the given kind for a cluster or a template.
func newDir(kind string) (string, account, error) {
	scratch.Lock()
	defer scratch.Unlock()
	if scratch.dir == "" {
		if err := openScratch(); err != nil {
			return "", account{}, err
		}
	}
	scratch.serial++
	dir := filepath.Join(scratch.dir, fmt.Sprintf("%s%d", kind, scratch.serial))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", account{}, err
	}
	return dir, scratch.who, scratch.who.own(dir)
}

func openScratch() error {
	who, err := currentAccount()
	if err != nil {
		return err
	}
	var problems []error
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if !who.reaches(parent) {
			problems = append(problems, fmt.Errorf("%s: user %s cannot enter it", parent, who.name))
			continue
		}
		dir, err := os.MkdirTemp(parent, "pgcio-")
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if len(dir) > maxScratch {
			os.Remove(dir)
			problems = append(problems, fmt.Errorf("%s: too long for the path of a unix socket", parent))
			continue
		}
		if err := who.own(dir); err != nil {
			os.Remove(dir)
			return err
		}
		sweeper, err := startSweeper(who, dir)
		if err != nil {
			os.Remove(dir)
			return fmt.Errorf("running as user %q: %w", who.name, err)
		}
		scratch.dir, scratch.who, scratch.sweeper = dir, who, sweeper
		return nil
	}
	return fmt.Errorf("no directory for a postgres cluster: %w", errors.Join(problems...))
}

// TempDir makes a directory beside the clusters, for what belongs to them. It is
// removed as they are: by [Shutdown], or after this process, however it ended.
func TempDir() (string, error) {
	dir, _, err := newDir("d")
	return dir, err
}

// Shutdown removes what this process keeps between clusters, and every file of
// clusters that were not closed. Without it the same happens a moment after the
// process has ended; what must be clean when it ends calls it last.
func Shutdown() error {
	scratch.Lock()
	defer scratch.Unlock()
	if scratch.dir == "" {
		return nil
	}
	s := scratch.sweeper
	scratch.dir, scratch.sweeper, scratch.templates = "", nil, nil
	return s.sweep()
}
