//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestTodayBuildkit: a build takes its base image through the mirror, and its result is pushed after a login of the client,
// which does not know the authority of the mirror.
func TestTodayBuildkit(t *testing.T) {
	byScheme(t, func(t *testing.T, tls bool) {
		need(t, "root", "runc")
		bin := today(t, true, "buildkitd", "buildctl", "buildx")
		hub := startUpstream(t)
		push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1")
		mirror := startSite(t, tls, mirrorOf(hub))
		dir := tempDir(t)
		mirror.client(t, "buildkit", dir, true)
		socket := "unix://" + filepath.Join(dir, "buildkitd.sock")
		daemon := start(t, environment(t, "PATH="+bin+":"+os.Getenv("PATH")), bin+"buildkitd", "--config", filepath.Join(dir, "etc/buildkit/buildkitd.toml"),
			"--root", filepath.Join(dir, "root"), "--addr", socket, "--oci-worker-snapshotter=native", "--containerd-worker=false")
		daemon.waitUntil(t, func() error {
			if r := try(t, environment(t), bin+"buildctl", "--addr", socket, "debug", "workers"); r.code != 0 {
				return fmt.Errorf("buildctl debug workers: %s", r.stderr)
			}
			return nil
		})
		context := filepath.Dir(writeFile(t, tempDir(t), "Dockerfile", "FROM airmirror-hello:1\nCOPY Dockerfile /\n"))
		ours := mirror.addr + "/team/built:1"
		build := []string{bin + "buildctl", "--addr", socket, "build", "--frontend", "dockerfile.v0", "--local", "context=" + context, "--local", "dockerfile=" + context,
			"--output", "type=image,push=true,name=" + ours}
		refuses(t, environment(t), "", build...)
		run(t, mirror.loggedIn(t), build...)
		env := mirror.loggedIn(t)
		run(t, env, bin+"buildx", "create", "--name", "ours", "--driver", "remote", socket)
		run(t, env, bin+"buildx", "build", "--builder", "ours", "--push", "--tag", mirror.addr+"/team/built:2", context)
		for _, tag := range []string{"1", "2"} {
			mirror.wantComplete(t, "docker.io/team/built:"+tag, "linux/amd64")
		}
	})
}
