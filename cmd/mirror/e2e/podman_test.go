//go:build e2e

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// podman is a store of its own; there is no daemon.
type podman struct {
	flags, env []string
}

// newPodman returns a podman whose docker.io is behind the mirror, at its root or below a path.
func newPodman(t *testing.T, location string) *podman {
	t.Helper()
	need(t, "root", "podman")
	dir := tempDir(t)
	config := writeFile(t, dir, "registries.conf", fmt.Sprintf(`unqualified-search-registries = []

[[registry]]
prefix = "docker.io"
location = "docker.io"

[[registry.mirror]]
location = %q
insecure = true
`, location))
	return &podman{
		// vfs and cgroupfs work on every file system and without systemd.
		flags: []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"),
			"--tmpdir", filepath.Join(dir, "tmp"), "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
			"--events-backend", "none"},
		env: environment(t, "CONTAINERS_REGISTRIES_CONF="+config),
	}
}

// do runs a podman command that must succeed.
func (p *podman) do(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, p.env, append(append([]string{"podman"}, p.flags...), args...)...)
}

// prints runs an image without a network and checks what it prints.
func (p *podman) prints(t *testing.T, image, want string) {
	t.Helper()
	// A container around these tests may let podman neither make a cgroup nor raise a limit.
	got := p.do(t, "run", "--rm", "--network", "none", "--cgroups", "disabled", "--ulimit", "host", image)
	if got = strings.TrimSpace(got); got != want {
		t.Errorf("podman run %s printed %q, want %q", image, got, want)
	}
}

func TestPodmanPullsThroughTheMirrorAndGoesOnWithoutTheUpstream(t *testing.T) {
	const image = "docker.io/library/airmirror-hello:1"
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub), "--fresh=1ms")
	push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1")

	atRoot := newPodman(t, mirror.addr)
	atRoot.do(t, "pull", image)
	atRoot.prints(t, image, "hello from the hub")

	hub.stop(t)
	belowPath := newPodman(t, mirror.addr+"/docker.io") // as one does for several registries behind one mirror
	belowPath.do(t, "pull", image)
	belowPath.prints(t, image, "hello from the hub")
}

func TestPodmanPushesAndAnotherPulls(t *testing.T) {
	mirror := startMirror(t, "--offline")
	hello, app := mirror.addr+"/team/hello:1", mirror.addr+"/team/app:1"
	push(t, helloIndex(t, dockerFormat, "hello from the team"), hello)

	ours, theirs := newPodman(t, mirror.addr), newPodman(t, mirror.addr)
	ours.do(t, "pull", "--tls-verify=false", hello)
	ours.do(t, "tag", hello, app)
	ours.do(t, "push", "--tls-verify=false", app)

	theirs.do(t, "pull", "--tls-verify=false", app)
	theirs.prints(t, app, "hello from the team")
}
