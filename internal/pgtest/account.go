package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the user Postgres runs as: this process's own, or, when that is
// root, another, because Postgres refuses root.
type account struct {
	name     string
	uid, gid int
	switches bool // commands have to change to it
}

func currentAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.Atoi(u.Uid)
		gid, gerr := strconv.Atoi(u.Gid)
		// Some systems give nobody the uid -2, which is no help here.
		if uerr != nil || gerr != nil || uid <= 0 {
			continue
		}
		return account{name: name, uid: uid, gid: gid, switches: true}, nil
	}
	return account{}, fmt.Errorf("postgres refuses to run as root, and there is neither a user postgres nor a user nobody to run it as")
}

// command prepares one in an environment which says nothing about other
// servers, and outside the terminal's process group: Ctrl-C is for this process,
// which ends Postgres in its own time.
func (a account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = cleanEnv(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.switches {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
		cmd.Env = append(cmd.Env, "HOME=/", "USER="+a.name, "LOGNAME="+a.name)
	}
	return cmd
}

func cleanEnv(env []string) []string {
	kept := make([]string, 0, len(env)+1)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "LC_") || name == "LANG" || name == "LANGUAGE" || name == "TZ" {
			continue
		}
		kept = append(kept, kv)
	}
	return append(kept, "LC_ALL=C")
}

// own gives a path, and all below it, to the account.
func (a account) own(root string) error {
	if !a.switches {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, a.uid, a.gid)
	})
}

// reaches reports whether the account can enter a directory: whether every
// directory on the way there lets others pass.
func (a account) reaches(dir string) bool {
	if !a.switches {
		return true
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || (info.Mode().Perm()&0o001 == 0 && int(st.Uid) != a.uid) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}
