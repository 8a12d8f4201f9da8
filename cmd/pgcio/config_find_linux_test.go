package main

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// Somebody else's home, from which `sudo -u pgcio pgcio status` may be typed, is
// looked into in vain and does not hide the system's configuration.
func TestConfigurationOutsideAClosedDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile(localConfig, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	if os.Getuid() == 0 {
		// Root goes everywhere, which nobody does not. Both are of this thread alone,
		// which ends with the test.
		runtime.LockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Setfsuid(0) })
	}
	a := &app{console: console{getenv: environment(nil)}}
	if file, err := a.findConfig(); file == localConfig {
		t.Errorf("it would read %s, %v", file, err)
	}
}
