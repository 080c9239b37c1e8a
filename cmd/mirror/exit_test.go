package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	owner := spawn(t, dir, "--offline")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))

	for _, tt := range []struct {
		name string
		args []string
		code int
	}{
		{"unknown flag", []string{"--no-such-flag"}, exitUsage},
		{"malformed upstream", []string{"--upstream", "ftp://host"}, exitUsage},
		{"folder in use", []string{"--listen", "127.0.0.1:0", "--data", dir}, exitInUse},
		{"folder that is a file", []string{"--listen", "127.0.0.1:0", "--data", file}, exitData},
		{"address in use", []string{"--listen", taken.Addr().String(), "--data", t.TempDir()}, exitAddress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("mirror", append([]string{"serve"}, tt.args...)...)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != tt.code {
				t.Errorf("exit code %d (%v), want %d\n%s", cmd.ProcessState.ExitCode(), err, tt.code, out)
			}
		})
	}
	for _, args := range [][]string{
		{"nonsense"}, {"help", "nonsense"}, {"ls", "["}, {"wants", "clear", "["}, {"mode", "loud"}, {"sync", "--platform", "foo", "app"},
		{"sync", "--parallel", "-3", "app"}, {"sync", "--file", os.DevNull}, {"sync", "App"}, {"sync", "app:1.35", "--all-tags"},
		{"serve", "--tag-ttl=-5s"}, {"serve", "--upstream-timeout", "0"}, {"serve", "--data", ""}, {"status", "--data", ""},
		{"rm"}, {"rm", "app"}, {"rm", "app:["}, {"gc", "--evict", "["}, {"gc", "--max-size", "lots"}, {"gc", "--protected"}, {"unpin"}, {"du", "["},
		{"client", "docker", "--cert", "node.crt"}, {"cert"}, {"cert", "--host", "reg.example", "--client", "node"}, {"backup"}, {"verify", "--rebuild", "--repair"}, {"verify", "--backup", "index.db"}, {"verify", "--rate", "fast"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			cmd := exec.Command("mirror", args...)
			cmd.Dir = t.TempDir()
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != exitUsage || bytes.Count(out, []byte("\n")) != 1 {
				t.Errorf("exit code %d, want %d and one line\n%s", code, exitUsage, out)
			}
		})
	}
	t.Run("SIGTERM", func(t *testing.T) {
		must(t, owner.Process.Signal(syscall.SIGTERM))
		must(t, owner.Wait())
	})
}
