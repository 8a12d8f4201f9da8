package mapping

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/strict"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares text with a golden file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", file, diff)
	}
}

// oddTables are tables whose rows cannot be told apart, each in its own way.
func oddTables() []*cdc.Table {
	noKey := table("public.nokey", col("id", "int8"))
	noKey.PrimaryKey, noKey.IdentityColumns = nil, nil
	byIndex := table("public.byindex", col("id", "int8"), col("email", "text"))
	byIndex.Identity, byIndex.IdentityColumns = cdc.IdentityIndex, []string{"email"}
	nothing := table("public.nothing", col("id", "int8"))
	nothing.Identity, nothing.IdentityColumns = cdc.IdentityNothing, nil
	return []*cdc.Table{noKey, byIndex, nothing}
}

// TestBad reads every file of testdata/bad: all that is wrong with it is said
// at once, in order, with the place and the nearest right word. What the
// grammar takes is then compiled against the catalog.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			doc := strict.Open(filepath.Base(file), source)
			root := doc.Root()
			specs := Parse(root, Environment{Workspaces: []string{"main"}})
			root.Done()
			m, more := Compile(specs, tables(append(oddTables(), users(), orders())...))
			problems := append(doc.Problems(), more...)
			problems.Sort()
			if len(problems) == 0 {
				t.Error("nothing is wrong with it")
			}
			if m == nil {
				t.Error("no mapper")
			}
			golden(t, strings.TrimSuffix(file, ".toml")+".txt", problems.Error()+"\n")
		})
	}
}

// TestLiteralTimesAreUTCs, whatever the machine's zone is: the decoder gives it
// to times that have none.
func TestLiteralTimesAreUTCs(t *testing.T) {
	for _, zone := range []string{"date-local", "datetime-local"} {
		at := time.Date(2024, 1, 31, 0, 0, 0, 0, time.FixedZone(zone, -5*3600))
		if got := literal(at); got != int64(1706659200) {
			t.Errorf("%s: %v", zone, got)
		}
	}
	if got := literal(time.Date(2024, 1, 31, 0, 0, 0, 0, time.FixedZone("", -5*3600))); got != int64(1706677200) {
		t.Errorf("with an offset: %v", got)
	}
}
