package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// templateKey is what initdb has to know.
type templateKey struct {
	bin       string
	segmentMB int
	locale    string
	encoding  string
}

// template is a data directory as initdb left it, to be copied.
type template struct {
	once     sync.Once
	data     string
	password string
	err      error
}

// templateFor runs initdb, or waits for another caller that does, or has what
// an earlier one made.
func templateFor(ctx context.Context, key templateKey) (*template, error) {
	if key.locale == "" {
		key.locale = defaultLocale()
	}
	if key.encoding == "" {
		key.encoding = "UTF8"
	}
	scratch.Lock()
	t := scratch.templates[key]
	if t == nil {
		if scratch.templates == nil {
			scratch.templates = make(map[templateKey]*template)
		}
		t = new(template)
		scratch.templates[key] = t
	}
	scratch.Unlock()
	t.once.Do(func() { t.err = t.make(ctx, key) })
	if t.err != nil {
		// The next caller tries again: this one may only have been cancelled.
		scratch.Lock()
		if scratch.templates[key] == t {
			delete(scratch.templates, key)
		}
		scratch.Unlock()
	}
	return t, t.err
}

// defaultLocale compares by code point everywhere; where the system knows it,
// with upper and lower case beyond ASCII.
func defaultLocale() string {
	if runtime.GOOS == "linux" {
		return "C.UTF-8"
	}
	return "C"
}

func (t *template) make(ctx context.Context, key templateKey) error {
	dir, who, err := newDir("t")
	if err != nil {
		return err
	}
	t.password = rand.Text()
	pwfile := filepath.Join(dir, "password")
	if err := os.WriteFile(pwfile, []byte(t.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := who.own(dir); err != nil {
		return err
	}
	t.data = filepath.Join(dir, "data")
	args := []string{"-D", t.data, "-U", superuser, "--no-sync", "--pwfile=" + pwfile,
		"--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=" + key.encoding, "--locale=" + key.locale}
	if key.segmentMB != 0 {
		args = append(args, "--wal-segsize="+strconv.Itoa(key.segmentMB))
	}
	cmd := who.command(ctx, filepath.Join(key.bin, "initdb"), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("running %s: %w\n%s", cmd.Path, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// copyTree copies a data directory. Symbolic links are kept; sockets are left out.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch d.Type() {
		case fs.ModeDir:
			return os.Mkdir(target, 0o700)
		case fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case 0:
			return copyFile(path, target)
		}
		return nil
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
