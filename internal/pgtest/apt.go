package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// clusterConfigDir is read by Debian's scripts when a server package is installed.
const clusterConfigDir = "/etc/postgresql-common/createcluster.d"

// aptInstall installs Debian's postgresql. The package would make a cluster and
// start it, which nobody asked for: a file, there only for that long, tells it
// not to.
func aptInstall(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		return errors.New("not Debian")
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return errors.New("apt-get is not in PATH")
	}
	if err := os.MkdirAll(clusterConfigDir, 0o755); err != nil {
		return err
	}
	quiet := filepath.Join(clusterConfigDir, "pgcio-no-cluster.conf")
	if err := os.WriteFile(quiet, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(quiet)) }()
	run := func(args ...string) error {
		cmd := exec.CommandContext(ctx, apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("running %s: %w: %s", cmd, err, tail(strings.TrimSpace(string(out)), 600))
		}
		return nil
	}
	install := []string{"install", "-y", "--no-install-recommends", "postgresql"}
	if err := run(install...); err == nil {
		return nil
	}
	// The lists of a fresh image are empty, those of an old one are stale.
	if err := run("update"); err != nil {
		return err
	}
	return run(install...)
}
