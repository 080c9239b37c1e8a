//go:build e2e

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// containerd is a daemon of its own, and the hosts.toml that sends it to a mirror.
type containerd struct {
	*process
	address, hosts string
	env            []string
	bin            string // the folder of its programs, with a slash; "" for those of Debian
}

// startContainerd starts a containerd that reaches docker.io, or the registries that are given, through the mirror. It
// asks a mirror for `?ns=docker.io`.
func startContainerd(t *testing.T, mirrorAddr string, registries ...string) *containerd {
	t.Helper()
	need(t, "root", "containerd", "ctr")
	dir := tempDir(t)
	c := &containerd{
		address: filepath.Join(dir, "containerd.sock"),
		hosts:   filepath.Join(dir, "hosts"),
		env:     environment(t),
	}
	for _, registry := range append(registries, "docker.io") {
		writeFile(t, c.hosts, registry+"/hosts.toml", fmt.Sprintf(`server = "https://%s"

[host."http://%s"]
  capabilities = ["pull", "resolve"]
`, registry, mirrorAddr))
	}
	c.start(t, dir)
	return c
}

// start starts the daemon, with what it keeps in a folder.
func (c *containerd) start(t *testing.T, dir string) {
	t.Helper()
	config := writeFile(t, dir, "config.toml", fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
[debug]
  level = "warn"
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), c.address))

	c.process = start(t, c.env, c.bin+"containerd", "--config", config)
	c.waitUntil(t, func() error {
		if r := try(t, c.env, c.bin+"ctr", "--address", c.address, "--connect-timeout", "1s", "version"); r.code != 0 {
			return fmt.Errorf("ctr version: %s", r.stderr)
		}
		return nil
	})
}

// ctr runs a ctr command that must succeed.
func (c *containerd) ctr(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, c.env, append([]string{c.bin + "ctr", "--address", c.address}, args...)...)
}

// pull pulls an image as it is configured. The native snapshotter works on every file system.
func (c *containerd) pull(t *testing.T, image string) {
	t.Helper()
	pull := []string{"images", "pull", "--hosts-dir", c.hosts, "--snapshotter", "native", image}
	if c.bin != "" { // its transfer service unpacks for no native snapshotter
		pull = append(pull[:2:2], append([]string{"--local"}, pull[2:]...)...)
	}
	c.ctr(t, pull...)
}

// prints runs an image and checks what it prints. ctr gives a container a network namespace with nothing in it.
func (c *containerd) prints(t *testing.T, image, want string) {
	t.Helper()
	got := c.ctr(t, "run", "--rm", "--snapshotter", "native", image, fmt.Sprintf("hello-%d", testport.Free(t)))
	if got = strings.TrimSpace(got); got != want {
		t.Errorf("ctr run %s printed %q, want %q", image, got, want)
	}
}

func TestContainerdPullsThroughTheMirrorAndGoesOnWithoutTheUpstream(t *testing.T) {
	const image = "docker.io/library/airmirror-hello:1"
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub), "--tag-ttl=1ms")
	push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1")

	first := startContainerd(t, mirror.addr)
	first.pull(t, image)
	first.prints(t, image, "hello from the hub")

	hub.stop(t)
	second := startContainerd(t, mirror.addr) // one that holds nothing itself
	second.pull(t, image)
	second.prints(t, image, "hello from the hub")
}

func TestContainerdPushesAndAnotherPulls(t *testing.T) {
	mirror := startMirror(t, "--offline")
	hello, app := mirror.addr+"/team/hello:1", mirror.addr+"/team/app:1"
	push(t, helloIndex(t, ociFormat, "hello from the team"), hello)

	ours, theirs := startContainerd(t, mirror.addr), startContainerd(t, mirror.addr)
	ours.ctr(t, "images", "pull", "--plain-http", "--all-platforms", "--snapshotter", "native", hello)
	ours.ctr(t, "images", "tag", hello, app)
	ours.ctr(t, "images", "push", "--plain-http", app)

	theirs.ctr(t, "images", "pull", "--plain-http", "--snapshotter", "native", app)
	theirs.prints(t, app, "hello from the team")
}

// TestRegistriesBesideDockerHub: one mirror stands for several registries, told apart by ns or by the path, and the same
// name in two of them is two images.
func TestRegistriesBesideDockerHub(t *testing.T) {
	hub, other := startUpstream(t), startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub), "--upstream=registry.example.com=http://"+other.addr)
	push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/org/hello:1")
	digest := push(t, helloIndex(t, ociFormat, "hello from the other"), other.addr+"/org/hello:1").String()

	containerd := startContainerd(t, mirror.addr, "registry.example.com")
	for image, want := range map[string]string{
		"docker.io/org/hello:1":            "hello from the hub",
		"registry.example.com/org/hello:1": "hello from the other",
	} {
		containerd.pull(t, image)
		containerd.prints(t, image, want)
	}

	// The same by its path, as clients name it that send no ns.
	wantWhole(t, mirror.addr+"/registry.example.com/org/hello:1", digest)
}
