package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const exampleFile = "../../config.example.toml"

var exampleEnvironment = environment(map[string]string{
	"PGCIO_POSTGRES_URL": "postgres://pgcio@/app", "CIO_SITE_ID": "site", "CIO_TRACK_API_KEY": "key", "CIO_APP_API_KEY": "app",
})

func TestExampleLoads(t *testing.T) {
	source, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig(exampleFile, source, exampleEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.workspaces) != 1 || len(c.mappings) != 5 {
		t.Errorf("%d workspaces and %d mappings, want 1 and 5", len(c.workspaces), len(c.mappings))
	}
	if c.postgres.publication != "pgcio" || c.state.maxSize != 10<<30 || c.http.listen != "127.0.0.1:7464" {
		t.Errorf("what is not a comment is not the default: %+v %+v %+v", c.postgres, c.state, c.http)
	}
}

// A commented line must load too: each is tried in the place where it stands.
func TestExampleCommentsLoad(t *testing.T) {
	source, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(source), "\n")
	setting := regexp.MustCompile(`^# ("?[a-z_*]+"?) +=`)
	tried := 0
	for i, line := range lines {
		m := setting.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		tried++
		with := append([]string(nil), lines...)
		with[i] = strings.TrimPrefix(line, "# ")
		for j := range with { // its twin, if it has one, stands aside
			if m[1] == "except" && strings.HasPrefix(with[j], `# "*"`) {
				with[j] = strings.TrimPrefix(with[j], "# ")
			}
			twin := strings.TrimSuffix(m[1], "_file")
			if j != i && twin != m[1] && regexp.MustCompile(`^`+twin+` +=`).MatchString(with[j]) {
				with[j] = ""
			}
		}
		_, err := parseConfig(exampleFile, []byte(strings.Join(with, "\n")), exampleEnvironment)
		if err != nil && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("line %d, %s: %v", i+1, strings.TrimSpace(with[i]), err)
		}
	}
	if tried < 15 {
		t.Errorf("only %d commented settings were found", tried)
	}
}

// Every key that works is in the example.
func TestExampleIsComplete(t *testing.T) {
	source, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields(`
		url url_file publication slot manage system_id path max_size listen
		region site_id site_id_file track_api_key track_api_key_file app_api_key app_api_key_file
		track_requests_per_second track_items_per_second app_requests_per_second id track_url app_url
		name was table object behavior workspace person where nulls oversize backfill backfill_where key paused except
		event event_id timestamp "*" column expr value as zone hash hash_key hash_key_file passive send`) {
		if !regexp.MustCompile(`(^|[^\w"])` + regexp.QuoteMeta(key) + ` += `).Match(source) {
			t.Errorf("%s is not in the example", key)
		}
	}
}
