//go:build e2e

package e2e_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// addUser makes the robot a user of a running mirror, and waits until that has been noticed.
func (s *server) addUser(t *testing.T) {
	t.Helper()
	run(t, environment(t), "sh", "-c", fmt.Sprintf("echo '%s' | %s user add %s --password-stdin --data %s", secret, mirrorBin, robot, s.data))
	eventually(t, "the mirror wants a login", func() error {
		err := answers("http://" + s.addr + "/v2/")
		if status := (statusError{}); errors.As(err, &status) && status.StatusCode == http.StatusUnauthorized {
			return nil
		}
		return fmt.Errorf("GET /v2/: %v", err)
	})
}

// refuses runs a command that must fail and say why.
func refuses(t *testing.T, env []string, why string, argv ...string) {
	t.Helper()
	r := try(t, env, argv...)
	if r.code == 0 || !strings.Contains(r.stdout+r.stderr, why) {
		t.Errorf("%s\nexit code %d\n%s%s\nwant a failure that says %q", strings.Join(argv, " "), r.code, r.stdout, r.stderr, why)
	}
}

// TestDockerLogsInToPushAndNotToPull checks that as soon as there is a user, only that user and API tokens push, and everybody
// goes on pulling.
func TestDockerLogsInToPushAndNotToPull(t *testing.T) {
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub))
	push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1")
	docker := startDocker(t, mirror.addr)
	before, app := mirror.addr+"/team/before:1", mirror.addr+"/team/app:1"

	docker.do(t, "pull", "airmirror-hello:1")
	docker.do(t, "tag", "airmirror-hello:1", before)
	docker.do(t, "push", before)

	mirror.addUser(t)
	docker.do(t, "tag", "airmirror-hello:1", app)
	refuses(t, docker.env, "docker login", dockerClient(), "push", app)
	login := func(password string) []string {
		return []string{"sh", "-c", fmt.Sprintf("echo '%s' | %s login --username %s --password-stdin %s", password, dockerClient(), robot, mirror.addr)}
	}
	refuses(t, docker.env, "unauthorized", login("guess")...)
	run(t, docker.env, login(secret)...)
	docker.do(t, "push", app)
	docker.do(t, "logout", mirror.addr)
	refuses(t, docker.env, "docker login", dockerClient(), "push", mirror.addr+"/team/before:1")

	token := strings.TrimSpace(run(t, environment(t), mirrorBin, "token", "create", "ci", "--right", "pull", "--right", "push", "--repository", "team/**", "--quiet", "--data", mirror.data))
	run(t, docker.env, "sh", "-c", fmt.Sprintf("echo '%s' | %s login --username ci --password-stdin %s", token, dockerClient(), mirror.addr))
	docker.do(t, "tag", "airmirror-hello:1", mirror.addr+"/team/token:1")
	docker.do(t, "push", mirror.addr+"/team/token:1")
	docker.do(t, "tag", "airmirror-hello:1", mirror.addr+"/other/token:1")
	refuses(t, docker.env, "denied", dockerClient(), "push", mirror.addr+"/other/token:1")
	run(t, environment(t), mirrorBin, "token", "rm", "ci", "--data", mirror.data)
	refuses(t, docker.env, "", dockerClient(), "push", mirror.addr+"/team/token:1")
	docker.do(t, "logout", mirror.addr)

	for _, image := range []string{app, "airmirror-hello:1"} {
		docker.do(t, "image", "rm", image)
		docker.do(t, "pull", image)
	}
	hub.stop(t)
	// A daemon that is logged in to Docker Hub shows that password to whoever stands for Docker Hub.
	docker.env = append(docker.env, "DOCKER_CONFIG="+filepath.Dir(writeFile(t, tempDir(t), "config.json", fmt.Sprintf(
		`{"auths": {"https://index.docker.io/v1/": {"auth": %q}}}`, base64.StdEncoding.EncodeToString([]byte("somebody:else"))))))
	docker.do(t, "image", "rm", "airmirror-hello:1")
	docker.do(t, "pull", "airmirror-hello:1")
}

// TestEveryClientLogsIn: to a mirror that lets anybody pull, and to one that lets nobody.
func TestEveryClientLogsIn(t *testing.T) {
	for name, flags := range map[string][]string{"anybody pulls": nil, "nobody pulls": {"MIRROR_AUTH_ANONYMOUS_PULL=false"}} {
		t.Run(name, func(t *testing.T) {
			mirror := startMirrorWith(t, environment(t, flags...), testport.Address(t), filepath.Join(tempDir(t), "data"), "--offline")
			digest := push(t, helloIndex(t, ociFormat, "hello from the team"), mirror.addr+"/team/hello:1").String()
			mirror.addUser(t)
			layout := "oci:" + filepath.Join(tempDir(t), "layout") + ":1"
			credentials := robot + ":" + secret

			skopeo(t, "copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--src-creds", credentials, "docker://"+mirror.addr+"/team/hello:1", layout)
			to := []string{"skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false"}
			refuses(t, environment(t), "", append(to, layout, "docker://"+mirror.addr+"/by/skopeo:1")...)
			refuses(t, environment(t), "", append(to, "--dest-creds", robot+":guess", layout, "docker://"+mirror.addr+"/by/skopeo:1")...)
			run(t, environment(t), append(to, "--dest-creds", credentials, layout, "docker://"+mirror.addr+"/by/skopeo:1")...)

			env := environment(t)
			refuses(t, env, "UNAUTHORIZED", craneBin, "--insecure", "copy", mirror.addr+"/team/hello:1", mirror.addr+"/by/crane:1")
			run(t, env, craneBin, "auth", "login", mirror.addr, "-u", robot, "-p", secret)
			run(t, env, craneBin, "--insecure", "copy", mirror.addr+"/team/hello:1", mirror.addr+"/by/crane:1")
			if got := strings.TrimSpace(run(t, env, craneBin, "--insecure", "digest", mirror.addr+"/by/crane:1")); got != digest {
				t.Errorf("crane pushed %s, want %s", got, digest)
			}

			containerd := startContainerd(t, mirror.addr)
			image := mirror.addr + "/team/hello:1"
			containerd.ctr(t, "images", "pull", "--plain-http", "--user", credentials, "--all-platforms", "--snapshotter", "native", image)
			containerd.ctr(t, "images", "tag", image, mirror.addr+"/by/containerd:1")
			refuses(t, containerd.env, "", "ctr", "--address", containerd.address, "images", "push", "--plain-http", mirror.addr+"/by/containerd:1")
			containerd.ctr(t, "images", "push", "--plain-http", "--user", credentials, mirror.addr+"/by/containerd:1")
		})
	}
}
