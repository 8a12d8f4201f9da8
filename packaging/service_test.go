package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const service = "pgcio.service"

// exposure is the most that `systemd-analyze security` may find, of 100. What is
// left comes from speaking to other machines.
const exposure = "20"

// wanted are the settings that the daemon counts on, or that its documentation
// promises. A setting may stand several times.
var wanted = map[string][]string{
	"Unit/After":                       {"network-online.target postgresql.service"}, // stops before the database does
	"Unit/Wants":                       {"network-online.target"},
	"Unit/StartLimitIntervalSec":       {"0"},
	"Service/Type":                     {"notify"},
	"Service/NotifyAccess":             {"main"},
	"Service/ExecStart":                {"/usr/bin/pgcio run --config /etc/pgcio/pgcio.toml"},
	"Service/WatchdogSec":              {"60"},
	"Service/Restart":                  {"always"},
	"Service/RestartSec":               {"5"},
	"Service/RestartPreventExitStatus": {"2 4"},
	"Service/User":                     {"pgcio"},
	"Service/StateDirectory":           {"pgcio"},
	"Service/StateDirectoryMode":       {"0700"},
	"Service/Environment":              {"GOMEMLIMIT=512MiB"},
	"Service/NoNewPrivileges":          {"yes"},
	"Service/ProtectSystem":            {"strict"},
	"Service/CapabilityBoundingSet":    {""},
	"Service/RestrictAddressFamilies":  {"AF_UNIX AF_INET AF_INET6"},
	"Service/SystemCallFilter":         {"@system-service", "~@privileged @resources"},
	"Service/ExecReload":               nil, // not before there is a reload
	"Install/WantedBy":                 {"multi-user.target"},
	"Service/LoadCredential":           {"site_id:/etc/pgcio/site_id", "track_api_key:/etc/pgcio/track_api_key", "app_api_key:/etc/pgcio/app_api_key"},
}

func TestServiceSettings(t *testing.T) {
	got := settings(t)
	for key, values := range wanted {
		if !slices.Equal(got[key], values) {
			t.Errorf("%s is %q, want %q", key, got[key], values)
		}
	}
}

// settings reads the unit: "Section/Key" to its values in order.
func settings(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(service)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string)
	section := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("neither a section nor a setting: %s", line)
		}
		got[section+"/"+key] = append(got[section+"/"+key], value)
	}
	return got
}

// TestServiceAnalyze lets systemd look at the unit where it is installed, with the
// program replaced by one that exists.
func TestServiceAnalyze(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not installed here: only the settings were checked, by TestServiceSettings")
		return
	}
	b, err := os.ReadFile(service)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), service)
	text := strings.ReplaceAll(string(b), "ExecStart=/usr/bin/pgcio ", "ExecStart="+self+" ")
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// An unknown key or a bad value is a warning with status 0; only silence will do.
	out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput()
	if err != nil || len(strings.TrimSpace(string(out))) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if help, err := exec.Command(analyze, "--help").Output(); err != nil || !strings.Contains(string(help), "--offline") {
		t.Log("this systemd-analyze is older than 250 and judges no unit that is not loaded")
		return
	}
	out, err = exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold="+exposure, unit).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security, with a threshold of %s: %v\n%s", exposure, err, out)
	}
}
