//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// startDocker29 starts a dockerd of today in a place, with the containerd image store.
func startDocker29(t *testing.T, p *place) *docker {
	t.Helper()
	need(t, "root", "docker", "runc", "curl")
	bin := today(t, true, "dockerd", "containerd", "containerd-shim-runc-v2")
	dir := tempDir(t)
	d := &docker{host: "unix://" + filepath.Join(dir, "docker.sock")}
	// The command of Debian speaks an API that dockerd has to be told to speak still.
	d.env = environment(t, "DOCKER_HOST="+d.host, "DOCKER_MIN_API_VERSION=1.24", "PATH="+bin+":"+os.Getenv("PATH"))
	d.process = start(t, d.env, append(p.prefix, bin+"dockerd",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "-p", filepath.Join(dir, "docker.pid"), "-H", d.host,
		"--log-level=warn", "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=native")...)
	d.waitUntil(t, func() error {
		if r := try(t, d.env, dockerClient(), "version"); r.code != 0 {
			return fmt.Errorf("docker version: %s", r.stderr)
		}
		return nil
	})
	return d
}

// TestTodayDocker: docker 29 comes to the mirror for every registry that has a hosts.toml, pushes after a login, and loads a
// platform of a bundle that has signatures in it.
func TestTodayDocker(t *testing.T) {
	today(t, true, "dockerd")
	p := newPlace(t)
	c := newCertificates(t, distant)
	data := filepath.Join(tempDir(t), "data")

	// What the mirror has comes by another one on the same folder, with a signature.
	staging := startMirrorAt(t, testport.Address(t), data, "--offline")
	digest := push(t, helloIndex(t, ociFormat, "hello from the hub"), staging.addr+"/library/airmirror-hello:1").String()
	sign(t, staging.addr+"/library/airmirror-hello", digest)
	push(t, helloIndex(t, ociFormat, "hello from quay"), staging.addr+"/quay.io/org/hello:1")
	bundle := filepath.Join(tempDir(t), "bundle.tar")
	staging.ask(t, "export", "--bundle", bundle, "airmirror-hello:1")
	staging.stop(t)
	run(t, environment(t), "sh", "-c", fmt.Sprintf("echo '%s' | %s user add %s --password-stdin --data %s", secret, mirrorBin, robot, data))

	mirror := site{server: p.start(t, c, data, ""), ca: c.ca()}
	printed := filepath.Join(tempDir(t), "printed")
	mirror.client(t, "docker", printed, false)
	run(t, environment(t), "sh", "-c", "cp -R "+printed+"/etc/docker/. "+filepath.Dir(filepath.Dir(p.certs)))
	docker := startDocker29(t, p)
	if driver := docker.do(t, "info", "--format", "{{.DriverStatus}}"); !strings.Contains(driver, "io.containerd.snapshotter.v1") {
		t.Fatalf("it has no containerd image store: %s", driver)
	}
	// They are not run: it sets up containers with a time namespace, which the runc of Debian does not know.
	for _, image := range []string{"airmirror-hello:1", "quay.io/org/hello:1"} {
		docker.do(t, "pull", image)
		docker.do(t, "create", "--network", "none", image)
	}

	ours := p.addr + "/team/hello:1"
	docker.do(t, "tag", "quay.io/org/hello:1", ours)
	refuses(t, docker.env, "", dockerClient(), "push", ours)
	docker.env = append(docker.env, mirror.loggedIn(t)...)
	docker.env = append(docker.env, "DOCKER_HOST="+docker.host)
	docker.do(t, "push", ours)

	docker.do(t, "image", "rm", "--force", "airmirror-hello:1")
	answer := run(t, docker.env, "curl", "--silent", "--show-error", "--unix-socket", strings.TrimPrefix(docker.host, "unix://"), "--header", "Content-Type: application/x-tar",
		"--data-binary", "@"+bundle, "http://docker/v1.48/images/load?platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22amd64%22%7D")
	if strings.Contains(answer, "errorDetail") || strings.Contains(answer, `"message"`) || !strings.Contains(answer, "airmirror-hello:1") {
		t.Errorf("docker load --platform: %s", answer)
	}
	docker.do(t, "create", "--network", "none", "airmirror-hello:1")
}
