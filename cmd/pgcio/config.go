package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgcio/pgcio/internal/strict"
	"github.com/pgcio/pgcio/mapping"
)

// config is a configuration file, read and found to be without problems.
type config struct {
	file       string
	postgres   postgresConfig
	state      stateConfig
	http       httpConfig
	workspaces []workspaceConfig // in the order of the file
	mappings   []mapping.Spec
}

// The places where a configuration is looked for when none is named.
const (
	envConfig    = "PGCIO_CONFIG"
	localConfig  = "pgcio.toml"
	systemConfig = "/etc/pgcio/pgcio.toml"
)

// findConfig is the file to read: the flag's, $PGCIO_CONFIG, ./pgcio.toml or
// /etc/pgcio/pgcio.toml.
func (a *app) findConfig() (string, error) {
	if a.configFile != "" {
		return a.configFile, nil
	}
	if file := a.env(envConfig); file != "" {
		return file, nil
	}
	for _, file := range []string{localConfig, systemConfig} {
		_, err := os.Stat(file)
		// A directory that may not be entered has none for us: `sudo -u pgcio` in
		// somebody's home.
		if errors.Is(err, fs.ErrNotExist) || file == localConfig && errors.Is(err, fs.ErrPermission) {
			continue
		}
		return file, nil
	}
	return "", usagef("no configuration: there is neither ./%s nor %s; name a file with --config or $%s", localConfig, systemConfig, envConfig)
}

// loadConfig reads the configuration. All that is wrong with it is one error.
func (a *app) loadConfig() (*config, error) {
	file, source, err := a.readConfigFile()
	if err != nil {
		return nil, err
	}
	return parseConfig(file, source, a.getenv)
}

func (a *app) readConfigFile() (file string, source []byte, err error) {
	if file, err = a.findConfig(); err != nil {
		return "", nil, err
	}
	if source, err = os.ReadFile(file); err != nil {
		return "", nil, usageError{fmt.Errorf("reading the configuration: %w", err)}
	}
	return file, source, nil
}

// parseConfig reads a configuration from its source.
func parseConfig(file string, source []byte, getenv func(string) (string, bool)) (*config, error) {
	r := &reader{dir: filepath.Dir(file), getenv: getenv}
	c, problems := r.config(file, source)
	return c, problems.Err()
}

// config reads a whole configuration.
func (r *reader) config(file string, source []byte) (*config, strict.Problems) {
	doc := strict.Open(file, source)
	if problems := doc.Problems(); len(problems) > 0 {
		return nil, problems // its syntax is wrong: there is nothing to read
	}
	root := doc.Root()
	c := &config{
		file:       file,
		postgres:   r.postgres(root.Table("postgres")),
		state:      r.state(root.Table("state")),
		http:       r.http(root.Table("http")),
		workspaces: r.workspaces(root.Table("workspace")),
	}
	if !root.Has("workspace") {
		root.Problem("workspace", "add [workspace.main] with site_id and track_api_key", "is missing: there is nowhere to send to")
	}
	if !root.Has("mapping") {
		root.Problem("mapping", "add a [[mapping]]", "is missing: there is nothing to send")
	}
	c.mappings = mapping.Parse(root, mapping.Environment{Workspaces: c.workspaceNames(), Secret: r.readSecret})
	root.Done()
	problems := doc.Problems()
	for i := range problems {
		// The one key of a workspace that is often copied, and that it can do without.
		if p := &problems[i]; p.Suggestion == "" && strings.HasPrefix(p.Key, "workspace.") && strings.HasSuffix(p.Key, ".app_api_key") {
			p.Suggestion = "set it, or remove the line"
		}
	}
	return c, problems
}

// workspaceNames are the names of the workspaces, in the order of the file.
func (c *config) workspaceNames() []string {
	names := make([]string, len(c.workspaces))
	for i := range c.workspaces {
		names[i] = c.workspaces[i].name
	}
	return names
}

// mappingNames are the names of the mappings, in the order of the file.
func (c *config) mappingNames() []string {
	names := make([]string, len(c.mappings))
	for i := range c.mappings {
		names[i] = c.mappings[i].Name
	}
	return names
}

// reader reads the sections that are pgcio's own, in which the environment may
// be named.
type reader struct {
	dir    string // the configuration file's
	getenv func(string) (string, bool)
	sealed bool // files that hold secrets are not opened
	asks   bool // except those of [postgres], which is asked
}

// secret reads a key that holds a secret, or its twin, key_file, that names the
// file which holds it. What the secret is never gets into a problem.
func (r *reader) secret(t *strict.Table, key string) (secret, bool) {
	v, direct := t.Any(key)
	twin := key + "_file"
	file, byFile := t.String(twin)
	if direct && t.Has(twin) {
		t.Problem(twin, "keep one of them", "stands beside %s", key)
		return secret{}, false
	}
	if byFile {
		return r.secretFile(t, twin, file)
	}
	if !direct {
		return secret{}, false
	}
	s, ok := v.(string)
	if !ok {
		t.Problem(key, "write it in quotes", "must be a string")
		return secret{}, false
	}
	return newSecret(s), true
}

func (r *reader) secretFile(t *strict.Table, key, file string) (secret, bool) {
	text, err := r.readSecret(file)
	if err != nil {
		t.Problem(key, "", "%v", err)
		return secret{}, false
	}
	return newSecret(text), true
}

// readSecret reads the file that a *_file key names, without its last newline.
func (r *reader) readSecret(file string) (string, error) {
	if r.sealed {
		return "", nil
	}
	if !filepath.IsAbs(file) {
		dir := r.dir
		if credentials, ok := r.getenv("CREDENTIALS_DIRECTORY"); ok && credentials != "" {
			dir = credentials
		}
		file = filepath.Join(dir, file)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}

// orString reads a string, or takes the default.
func orString(t *strict.Table, key, value string) string {
	if s, ok := t.String(key); ok {
		return s
	}
	return value
}

// orInt reads an integer of at least low, or takes the default.
func orInt(t *strict.Table, key string, low, value int64) int64 {
	if n, ok := t.Int(key, low); ok {
		return n
	}
	return value
}
