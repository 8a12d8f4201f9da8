//go:build mutations

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMutations breaks one law at a time and requires that the simulation
// notices. The tree is not touched: each mutation is built as an overlay.
//
// A mutation that the simulation does not catch shows what the simulation does
// not look at. One whose text is no longer in its file has to follow the code.
func TestMutations(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if !t.Run("none", func(t *testing.T) {
		if out, err := runMutated(t, root, nil, "200"); err != nil {
			t.Fatalf("the simulation fails without any mutation: %v\n%s", err, out)
		}
	}) {
		return
	}
	for _, m := range mutations {
		t.Run(strings.ReplaceAll(m.breaks, " ", "_"), func(t *testing.T) {
			t.Parallel()
			out, err := runMutated(t, root, &m, "12000")
			var exit *exec.ExitError
			switch {
			case err == nil:
				t.Errorf("law %s: %s, and the simulation does not notice", m.law, m.breaks)
			case !errors.As(err, &exit) || bytes.Contains(out, []byte("panic: test timed out")):
				t.Errorf("law %s: %s: %v\n%s", m.law, m.breaks, err, out)
			default:
				t.Logf("law %s: noticed %s", m.law, firstFailure(out))
			}
		})
	}
}

// runMutated runs the simulation with a mutation (nil: as it is) until a seed
// fails.
func runMutated(t *testing.T, root string, m *mutation, seeds string) (output []byte, err error) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "simulation.test")
	build := []string{"test", "-c", "-ldflags=-s -w", "-o", binary}
	if m != nil {
		build = append(build, "-overlay", m.overlay(t, root, dir))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	compile := exec.CommandContext(ctx, "go", append(build, "./cmd/pgcio")...)
	compile.Dir = root
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("the mutation cannot be built: %v\n%s", err, out)
	}
	run := exec.CommandContext(ctx, binary, "-test.run=^TestSimulation$", "-test.failfast", "-test.timeout=14m")
	run.Dir = filepath.Join(root, "cmd", "pgcio")
	run.Env = append(os.Environ(), "PGCIO_SEED=", "PGCIO_FIRST_SEED=", "PGCIO_SEEDS="+seeds)
	return run.CombinedOutput()
}

// overlay writes the mutated file, and the overlay that puts it in the place of
// the real one.
func (m *mutation) overlay(t *testing.T, root, dir string) string {
	path := filepath.Join(root, filepath.FromSlash(m.file))
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(source, []byte(m.from)); n != 1 {
		t.Fatalf("%s contains the text to be mutated %d times, not once; the mutation must follow the code:\n%s", m.file, n, m.from)
	}
	mutated := filepath.Join(dir, "mutated.go")
	if err := os.WriteFile(mutated, bytes.Replace(source, []byte(m.from), []byte(m.to), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

var failedSeed = regexp.MustCompile(`--- FAIL: TestSimulation/(\d+).*\n\s*(.*)`)

// firstFailure says at which seed, and by what.
func firstFailure(out []byte) string {
	if m := failedSeed.FindSubmatch(out); m != nil {
		return "at seed " + string(m[1]) + ": " + strings.TrimSpace(string(m[2]))
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(line)
}
