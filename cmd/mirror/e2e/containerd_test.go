//go:build e2e

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// containerd is a daemon of its own, and the hosts.toml that sends it to a mirror.
type containerd struct {
	*process
	address, hosts string
	env            []string
}

// startContainerd starts a containerd whose docker.io is behind the mirror. It asks mirrors for `?ns=docker.io`.
func startContainerd(t *testing.T, mirrorAddr string) *containerd {
	t.Helper()
	need(t, "root", "containerd", "ctr")
	dir := tempDir(t)
	c := &containerd{
		address: filepath.Join(dir, "containerd.sock"),
		hosts:   filepath.Join(dir, "hosts"),
		env:     environment(t),
	}
	writeFile(t, c.hosts, "docker.io/hosts.toml", fmt.Sprintf(`server = "https://registry-1.docker.io"

[host."http://%s"]
  capabilities = ["pull", "resolve"]
`, mirrorAddr))
	config := writeFile(t, dir, "config.toml", fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
[debug]
  level = "warn"
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), c.address))

	c.process = start(t, c.env, "containerd", "--config", config)
	c.waitUntil(t, func() error {
		if r := try(t, c.env, "ctr", "--address", c.address, "--connect-timeout", "1s", "version"); r.code != 0 {
			return fmt.Errorf("ctr version: %s", r.stderr)
		}
		return nil
	})
	return c
}

// ctr runs a ctr command that must succeed.
func (c *containerd) ctr(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, c.env, append([]string{"ctr", "--address", c.address}, args...)...)
}

// pull pulls an image as it is configured. The native snapshotter works on every file system.
func (c *containerd) pull(t *testing.T, image string) {
	t.Helper()
	c.ctr(t, "images", "pull", "--hosts-dir", c.hosts, "--snapshotter", "native", image)
}

// prints runs an image and checks what it prints. ctr gives a container a network namespace with nothing in it.
func (c *containerd) prints(t *testing.T, image, want string) {
	t.Helper()
	got := c.ctr(t, "run", "--rm", "--snapshotter", "native", image, fmt.Sprintf("hello-%d", freePort(t)))
	if got = strings.TrimSpace(got); got != want {
		t.Errorf("ctr run %s printed %q, want %q", image, got, want)
	}
}

func TestContainerdPullsThroughTheMirrorAndGoesOnWithoutTheUpstream(t *testing.T) {
	const image = "docker.io/library/airmirror-hello:1"
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub), "--fresh=1ms")
	push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1")

	first := startContainerd(t, mirror.addr)
	first.pull(t, image)
	first.prints(t, image, "hello from the hub")

	hub.stop(t)
	second := startContainerd(t, mirror.addr) // one that holds nothing itself
	second.pull(t, image)
	second.prints(t, image, "hello from the hub")
}
