//go:build e2e

package e2e_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// sourceEnvironment is one in which the project can be built with what is cached, besides everything else.
func sourceEnvironment(t *testing.T, more ...string) []string {
	t.Helper()
	for _, variable := range []string{"GOCACHE", "GOMODCACHE"} {
		more = append(more, variable+"="+strings.TrimSpace(run(t, os.Environ(), "go", "env", variable)))
	}
	return environment(t, more...)
}

// byTLS puts TLS in front of an address, and returns the URL and the file of the authority to trust.
func byTLS(t *testing.T, addr string) (front, authority string) {
	t.Helper()
	server := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr}))
	t.Cleanup(server.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server.URL, writeFile(t, tempDir(t), "authorities.crt", string(certificate))
}

// container is one that runs in the network of this machine.
type container struct {
	docker *docker
	name   string
}

// startContainer runs the image as strictly as it can be run.
func (d *docker) startContainer(t *testing.T, name, image string, options ...string) *container {
	t.Helper()
	args := append([]string{"run", "--detach", "--name", name, "--network", "host", "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--health-interval", "1s"}, options...)
	d.do(t, append(args, image)...)
	t.Cleanup(func() {
		if t.Failed() {
			r := try(t, d.env, dockerClient(), "logs", name)
			t.Logf("log of the container %s:\n%s%s", name, r.stdout, tail(r.stderr, 4<<10))
		}
		try(t, d.env, dockerClient(), "rm", "--force", name)
	})
	c := &container{d, name}
	eventually(t, name+" is healthy", func() error {
		if status := c.inspect(t, "{{.State.Status}} {{.State.Health.Status}}"); status != "running healthy" {
			return fmt.Errorf("it is %s", status)
		}
		return nil
	})
	return c
}

func (c *container) inspect(t *testing.T, format string) string {
	t.Helper()
	return strings.TrimSpace(c.docker.do(t, "inspect", "--format", format, c.name))
}

func (c *container) exec(t *testing.T, args ...string) string {
	t.Helper()
	return c.docker.do(t, append([]string{"exec", c.name}, args...)...)
}

// unitSystemCalls are those that the systemd unit lets the mirror make.
func unitSystemCalls(t *testing.T) (allowed []string) {
	t.Helper()
	unit, err := os.ReadFile("../../../deploy/systemd/mirror.service")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(unit)) {
		sets, isFilter := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter=")
		if !isFilter {
			continue
		}
		sets, denied := strings.CutPrefix(sets, "~")
		for _, set := range strings.Fields(sets) {
			for _, call := range systemCallSet(t, set) {
				all[call] = !denied
			}
		}
	}
	for call, ok := range all {
		if ok {
			allowed = append(allowed, call)
		}
	}
	return allowed
}

// systemCallSet lists a set of system calls, and those in it.
func systemCallSet(t *testing.T, set string) (calls []string) {
	t.Helper()
	for line := range strings.Lines(run(t, environment(t), "systemd-analyze", "syscall-filter", "--no-pager", set)) {
		switch name := strings.TrimSpace(line); {
		case name == set || name == "" || strings.HasPrefix(name, "#"):
		case strings.HasPrefix(name, "@"):
			calls = append(calls, systemCallSet(t, name)...)
		default:
			calls = append(calls, name)
		}
	}
	return calls
}

// asSystemdFilters writes a seccomp profile that lets through what the unit does; all else fails as it does there.
func asSystemdFilters(t *testing.T) (path string) {
	t.Helper()
	profile, err := json.Marshal(map[string]any{
		"defaultAction": "SCMP_ACT_ERRNO",
		"syscalls":      []map[string]any{{"names": unitSystemCalls(t), "action": "SCMP_ACT_ALLOW"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, tempDir(t), "seccomp.json", string(profile))
}

// TestTheImage: the image that `make image` builds fetches by TLS what it does not hold, as nobody, on a root file system
// that nothing can be written to; another one goes on with its volume, and hands over a bundle. That one may make no more
// system calls than the systemd unit allows.
func TestTheImage(t *testing.T) {
	need(t, "root", "make", "go", "dockerd", "docker", "systemd-analyze")
	hub := startUpstream(t)
	digest := push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1").String()
	front, authority := byTLS(t, hub.addr)
	addr := testport.Address(t)
	docker := startDocker(t, addr)

	const name = "airmirror-e2e"
	run(t, sourceEnvironment(t, "DOCKER_HOST="+docker.host), "make", "-C", "../../..", "--no-print-directory", "image",
		"BIN="+tempDir(t), "IMAGE="+name, "DOCKER="+dockerClient(), "CA_FILE="+authority)

	online := docker.startContainer(t, "online", name, "--volume", "kept:/data",
		"--env", "MIRROR_LISTEN="+addr, "--env", "MIRROR_UPSTREAM=docker.io="+front)
	wantWhole(t, addr+"/library/airmirror-hello:1", digest)
	pid := online.inspect(t, "{{.State.Pid}}")
	status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "\nUid:\t65532\t65532\t65532\t65532\n") {
		t.Errorf("it does not run as nobody:\n%s", status)
	}
	docker.do(t, "stop", "online")
	if code := online.inspect(t, "{{.State.ExitCode}}"); code != "0" {
		t.Errorf("it ended with exit code %s after docker stop, want 0", code)
	}

	hub.stop(t)
	offline := docker.startContainer(t, "offline", name, "--volume", "kept:/data", "--volume", "disk:/bundles", "--security-opt", "seccomp="+asSystemdFilters(t),
		"--env", "MIRROR_LISTEN="+addr, "--env", "MIRROR_OFFLINE=true")
	wantWhole(t, addr+"/library/airmirror-hello:1", digest)
	docker.do(t, "pull", "airmirror-hello:1")
	if got := offline.exec(t, "mirror", "export", "--bundle", "/bundles/plant.tar", "library/airmirror-hello:1"); !strings.Contains(got, "contains  1 image") {
		t.Errorf("export printed %q", got)
	}
	offline.exec(t, "mirror", "sync", "--offline", "--bundle", "/bundles/plant.tar")
}
