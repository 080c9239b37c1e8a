package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"airmirror/deploy"
)

// need skips a test where a program is missing; in CI it fails it.
func need(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s (Debian: apt install %s)", program, pkg)
	}
	t.Skipf("needs %s (Debian: apt install %s)", program, pkg)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found is what the group of a pattern matches in a text.
func found(t *testing.T, text, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("nothing there is like %s", pattern)
	}
	return match[1]
}

func period(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// shutdownTimeout is how long a mirror takes to end, at most and by default.
func shutdownTimeout(t *testing.T) time.Duration {
	t.Helper()
	return period(t, found(t, deploy.Config, `(?m)^#shutdownTimeout: (\S+)$`))
}

func TestSystemdTakesTheUnit(t *testing.T) {
	need(t, "systemd-analyze", "systemd")
	here, err := os.Executable() // what the unit starts has to be there
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "mirror.service")
	text := strings.ReplaceAll(read(t, "systemd/mirror.service"), "ExecStart=mirror ", "ExecStart="+here+" ")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", unit},
		{"security", "--offline=true", "--no-pager", "--threshold=15", unit}, // 1.5 of 10
	} {
		var said bytes.Buffer
		cmd := exec.Command("systemd-analyze", args...)
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil || strings.Contains(said.String(), unit) {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, &said)
		}
	}
}

func TestSystemdLetsTheMirrorEnd(t *testing.T) {
	unit := read(t, "systemd/mirror.service")
	if stop, own := period(t, found(t, unit, `(?m)^TimeoutStopSec=(\S+)$`)), shutdownTimeout(t); stop <= own {
		t.Errorf("it is killed after %v, and may take %v", stop, own)
	}
}

func TestSystemdMakesTheUser(t *testing.T) {
	need(t, "systemd-sysusers", "systemd")
	cmd := exec.Command("systemd-sysusers", "--dry-run", "--root="+t.TempDir(), "-")
	cmd.Stdin = strings.NewReader(read(t, "systemd/sysusers.conf"))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "user 'mirror'") {
		t.Errorf("systemd-sysusers: %v\n%s", err, out)
	}
}
