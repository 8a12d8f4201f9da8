package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// environment is a getenv over a map.
func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

const minimal = `
[workspace.main]
site_id = "site"
track_api_key = "key"

[[mapping]]
name = "people"
table = "public.users"
object = "person"
behavior = "update_or_create"
person = { id = "id" }
[mapping.attributes]
email = "email"
`

func TestDefaults(t *testing.T) {
	c, err := parseConfig("pgcio.toml", []byte(minimal), environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	c.mappings = nil
	want := &config{
		file:     "pgcio.toml",
		postgres: postgresConfig{publication: "pgcio", slot: "pgcio", manage: true},
		state:    stateConfig{path: "/var/lib/pgcio/state.db", maxSize: 10 << 30},
		http:     httpConfig{listen: "127.0.0.1:7464"},
		workspaces: []workspaceConfig{{
			name: "main", region: "us", siteID: newSecret("site"), trackAPIKey: newSecret("key"),
			trackRequestsPerSecond: 100, trackItemsPerSecond: 1000, appRequestsPerSecond: 8,
		}},
	}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(config{}, postgresConfig{}, stateConfig{}, httpConfig{}, workspaceConfig{}),
		cmp.Comparer(func(a, b secret) bool { return a.reveal() == b.reveal() })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSecretFiles(t *testing.T) {
	dir, credentials := t.TempDir(), t.TempDir()
	write := func(dir, name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(dir, "site", "beside the file\n")
	write(credentials, "site", "of systemd\n\n")
	source := []byte(strings.Replace(minimal, `site_id = "site"`, `site_id_file = "site"`, 1))
	for want, vars := range map[string]map[string]string{
		"beside the file": nil,
		"of systemd\n":    {"CREDENTIALS_DIRECTORY": credentials},
	} {
		c, err := parseConfig(filepath.Join(dir, "pgcio.toml"), source, environment(vars))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.workspaces[0].siteID.reveal(); got != want {
			t.Errorf("with %v the site id is %q, want %q", vars, got, want)
		}
	}
}

func TestExpansionIsForPgciosOwnSections(t *testing.T) {
	source := strings.Replace(minimal, `"site"`, `"${SITE}-$${SITE}"`, 1)
	source = strings.Replace(source, `email = "email"`, `note = { value = "${SITE}" }`, 1)
	c, err := parseConfig("pgcio.toml", []byte(source), environment(map[string]string{"SITE": "s1"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.workspaces[0].siteID.reveal(); got != "s1-${SITE}" {
		t.Errorf("site id %q", got)
	}
	if got := string(c.mappings[0].Attributes[0].JSON); got != `"${SITE}"` {
		t.Errorf("attribute %s", got)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s := newSecret("hunter2")
	var b strings.Builder
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+" ", s)
	}
	fmt.Fprintf(&b, "%v %+v", workspaceConfig{trackAPIKey: s}, &postgresConfig{url: s})
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "key", s)
	if err := json.NewEncoder(&b).Encode(map[string]any{"key": s}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hunter2") || strings.Contains(b.String(), fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("printed: %s", b.String())
	}
}
