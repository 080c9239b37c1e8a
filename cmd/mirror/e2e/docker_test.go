//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docker is a daemon of its own: its data, its sockets and its containerd lie in a temporary folder.
type docker struct {
	*process
	host string
	env  []string
}

// startDocker starts a daemon whose Docker Hub is behind the mirror. What is in front of the command, a network
// namespace say, may be given.
func startDocker(t *testing.T, mirrorAddr string, prefix ...string) *docker {
	t.Helper()
	need(t, "root", "dockerd", "docker")
	dir := tempDir(t)
	config := writeFile(t, dir, "daemon.json", fmt.Sprintf(`{"registry-mirrors": ["http://%s"]}`, mirrorAddr))
	d := &docker{host: "unix://" + filepath.Join(dir, "docker.sock")}
	d.env = environment(t, "DOCKER_HOST="+d.host)
	// No bridge and no iptables: the machine's network is left alone. vfs works on every file system, and inside containers.
	d.process = start(t, d.env, append(prefix, "dockerd", "--config-file", config,
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"-p", filepath.Join(dir, "docker.pid"), "-H", d.host,
		"--log-level=warn", "--iptables=false", "--bridge=none", "--storage-driver=vfs")...)
	d.waitUntil(t, func() error {
		if r := try(t, d.env, dockerClient(), "version"); r.code != 0 {
			return fmt.Errorf("docker version: %s", r.stderr)
		}
		return nil
	})
	return d
}

// dockerClient prefers the client of the daemon's own package: one from elsewhere may no longer speak its API.
func dockerClient() string {
	const packaged = "/usr/bin/docker"
	if _, err := os.Stat(packaged); err == nil {
		return packaged
	}
	return "docker"
}

// do runs a docker command that must succeed.
func (d *docker) do(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, d.env, append([]string{dockerClient()}, args...)...)
}

// prints runs an image without a network and checks what it prints.
func (d *docker) prints(t *testing.T, image, want string) {
	t.Helper()
	if got := strings.TrimSpace(d.do(t, "run", "--rm", "--network", "none", image)); got != want {
		t.Errorf("docker run %s printed %q, want %q", image, got, want)
	}
}

func TestDockerPullsThroughTheMirrorAndGoesOnWithoutTheUpstream(t *testing.T) {
	for name, format := range map[string]format{"OCI": ociFormat, "Docker": dockerFormat} {
		t.Run(name, func(t *testing.T) {
			hub := startUpstream(t)
			mirror := startMirror(t, mirrorOf(hub), "--tag-ttl=1ms") // so that every pull is revalidated
			docker := startDocker(t, mirror.addr)
			push(t, helloIndex(t, format, "hello from the hub"), hub.addr+"/library/airmirror-hello:1")

			docker.do(t, "pull", "airmirror-hello:1")
			docker.prints(t, "airmirror-hello:1", "hello from the hub")

			hub.stop(t)
			docker.do(t, "image", "rm", "airmirror-hello:1")
			docker.do(t, "pull", "airmirror-hello:1")
			docker.prints(t, "airmirror-hello:1", "hello from the hub")
		})
	}
}

func TestDockerPushesAndAnotherDaemonPulls(t *testing.T) {
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub))
	push(t, helloIndex(t, ociFormat, "hello from the team"), hub.addr+"/library/airmirror-hello:1")

	ours, theirs := startDocker(t, mirror.addr), startDocker(t, mirror.addr)
	app := mirror.addr + "/team/app:1"
	ours.do(t, "pull", "airmirror-hello:1")
	ours.do(t, "tag", "airmirror-hello:1", app)
	ours.do(t, "push", app)

	theirs.do(t, "pull", app)
	theirs.prints(t, app, "hello from the team")
}
