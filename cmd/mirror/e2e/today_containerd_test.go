//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startContainerd starts a current containerd that uses a mirror.
func (s site) startContainerd(t *testing.T, args ...string) *containerd {
	t.Helper()
	bin := today(t, false, "containerd", "ctr", "containerd-shim-runc-v2")
	dir := tempDir(t)
	s.client(t, "containerd", dir, true, args...)
	c := &containerd{
		address: filepath.Join(dir, "containerd.sock"), hosts: filepath.Join(dir, "etc/containerd/certs.d"), bin: bin,
		env: environment(t, "PATH="+bin+":"+os.Getenv("PATH")),
	}
	c.start(t, dir)
	return c
}

// TestTodayContainerd: it pulls, with and without the upstream, pushes after a login, and bundles go both ways.
func TestTodayContainerd(t *testing.T) {
	byScheme(t, func(t *testing.T, tls bool) {
		const image, alike = "docker.io/library/airmirror-hello:1", "docker.io/org/hello:1"
		hub := startUpstream(t)
		hello := helloIndex(t, ociFormat, "hello from the hub")
		push(t, hello, hub.addr+"/library/airmirror-hello:1")
		push(t, hello, hub.addr+"/org/hello:1")
		mirror := startSite(t, tls, mirrorOf(hub))
		first := mirror.startContainerd(t)
		first.pull(t, image)
		first.prints(t, image, "hello from the hub")

		// What it has already it does not ask for: another node gets it all the same, and it can be exported.
		first.pull(t, alike)
		bundle := filepath.Join(tempDir(t), "bundle.tar")
		eventually(t, "the other image is complete", func() error {
			return mirror.tries(t, "export", "--bundle", bundle, "--overwrite", "--platform", "linux/amd64", alike)
		})
		mirror.ask(t, "mode", "offline")
		hub.stop(t)
		second := mirror.startContainerd(t, "--no-fallback")
		for _, name := range []string{image, alike} {
			second.pull(t, name)
			second.prints(t, name, "hello from the hub")
		}
		refuses(t, second.env, "not found", second.bin+"ctr", "--address", second.address, "images", "pull", "--local", "--hosts-dir", second.hosts, "docker.io/library/none:1")

		ours := mirror.addr + "/team/hello:1"
		second.ctr(t, "images", "tag", image, ours)
		to := []string{second.bin + "ctr", "--address", second.address, "images", "push", "--local", "--hosts-dir", second.hosts, "--platform", "linux/amd64"}
		refuses(t, second.env, "", append(to, ours)...)
		run(t, second.env, append(to, "--user", robot+":"+secret, ours)...)
		third := mirror.startContainerd(t)
		third.pull(t, ours)
		third.prints(t, ours, "hello from the hub")

		third.ctr(t, "images", "import", "--local", "--snapshotter", "native", bundle)
		third.prints(t, alike, "hello from the hub")
		exported := filepath.Join(tempDir(t), "exported.tar")
		third.ctr(t, "images", "export", "--local", "--platform", "linux/amd64", exported, ours)
		if said := mirror.ask(t, "sync", "--bundle", exported); !strings.Contains(said, "team/hello:1") {
			t.Errorf("mirror sync of what ctr exported: %s", said)
		}
	})
}
