//go:build e2e

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// podman is a store of its own; there is no daemon.
type podman struct{ env []string }

// newPodman returns a podman whose docker.io is behind the mirror, at its root or below a path.
func newPodman(t *testing.T, location string) *podman {
	t.Helper()
	need(t, "root", "podman", "runc")
	dir := tempDir(t)
	registries := writeFile(t, dir, "registries.conf", fmt.Sprintf(`unqualified-search-registries = []

[[registry]]
prefix = "docker.io"
location = "docker.io"

[[registry.mirror]]
location = %q
insecure = true
`, location))
	t.Cleanup(func() {
		// What is left of a container is cleared away in the background after it has ended.
		eventually(t, "podman is done", func() error { return runningWith(dir) })
	})
	// These work on every file system, without systemd, with the cgroups of both versions mounted, and beside a podman
	// that the machine uses itself.
	engine := writeFile(t, dir, "containers.conf", fmt.Sprintf(`[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = %q
static_dir = %q
volume_path = %q
`, filepath.Join(dir, "tmp"), filepath.Join(dir, "root/libpod"), filepath.Join(dir, "volumes")))
	storage := writeFile(t, dir, "storage.conf", fmt.Sprintf(`[storage]
driver = "vfs"
graphroot = %q
runroot = %q
`, filepath.Join(dir, "root"), filepath.Join(dir, "run")))
	return &podman{environment(t, "CONTAINERS_REGISTRIES_CONF="+registries,
		"CONTAINERS_CONF="+engine, "CONTAINERS_STORAGE_CONF="+storage)}
}

// do runs a podman command that must succeed.
func (p *podman) do(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, p.env, append([]string{"podman"}, args...)...)
}

// prints runs an image without a network and checks what it prints.
func (p *podman) prints(t *testing.T, image, want string) {
	t.Helper()
	// Where these tests run in a container themselves, podman may not be allowed to raise its own limits, as it does
	// unless it is given others.
	got := p.do(t, "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", image)
	if got = strings.TrimSpace(got); got != want {
		t.Errorf("podman run %s printed %q, want %q", image, got, want)
	}
}

func TestPodmanPullsThroughTheMirrorAndGoesOnWithoutTheUpstream(t *testing.T) {
	const image = "docker.io/library/airmirror-hello:1"
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub), "--tag-ttl=1ms")
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
