//go:build e2e

package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"testing"
)

// packages says where on Debian a program comes from, for the reason that a skipped test gives.
var packages = map[string]string{
	"bash":            "bash",
	"busybox":         "busybox-static",
	"containerd":      "containerd",
	"ctr":             "containerd",
	"curl":            "curl",
	"docker-registry": "docker-registry",
	"dockerd":         "docker.io",
	"docker":          "docker.io",
	"go":              "golang",
	"ip":              "iproute2",
	"jq":              "jq",
	"make":            "make",
	"minisign":        "minisign",
	"nginx":           "nginx",
	"nsenter":         "util-linux",
	"podman":          "podman",
	"runc":            "runc",
	"skopeo":          "skopeo",
	"systemd-analyze": "systemd",
	"unshare":         "util-linux",
	"zstd":            "zstd",
}

// need skips a test on a developer's machine that lacks a program, or root. In CI it fails it: a test that silently
// stops running protects nothing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	missing := func(format string, args ...any) {
		t.Helper()
		if os.Getenv("CI") == "true" {
			t.Fatalf(format, args...)
		}
		t.Skipf(format, args...)
	}
	for _, program := range programs {
		switch program {
		case "root":
			if os.Geteuid() != 0 {
				missing("needs root")
			}
		default:
			if _, err := exec.LookPath(program); err != nil {
				missing("needs %s, which is not installed (Debian: apt install %s)", program, packages[program])
			}
		}
	}
}

// needPort skips a test, or fails it in CI, if another process listens on a fixed address.
func needPort(t *testing.T, addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		listener.Close()
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}
