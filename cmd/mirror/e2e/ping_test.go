//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// TestDockerNeedsTheChallengeOfThePing shows why GET /v2/ is answered with 401 where anonymous clients may pull and users may
// push: behind a proxy that answers it with 200, dockerd with its classic image store sends no credentials at all. A login with a
// wrong password succeeds then, and a push with the right one fails.
func TestDockerNeedsTheChallengeOfThePing(t *testing.T) {
	mirror := startMirrorWith(t, environment(t), testport.Address(t), tempDir(t), "--offline")
	push(t, helloIndex(t, ociFormat, "hello from the team"), mirror.addr+"/team/hello:1")
	mirror.addUser(t)
	to := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: mirror.addr})
		r.SetXForwarded() // tokens are issued by the proxy as well
		r.Out.Host = r.In.Host
	}}
	to.ModifyResponse = func(resp *http.Response) error {
		if resp.Request.URL.Path == "/v2/" {
			resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
		}
		return nil
	}
	proxy := httptest.NewServer(to)
	t.Cleanup(proxy.Close)
	open := strings.TrimPrefix(proxy.URL, "http://")
	docker := startDocker(t, mirror.addr)
	login := func(address, password string) []string {
		return []string{"sh", "-c", fmt.Sprintf("echo '%s' | %s login --username %s --password-stdin %s", password, dockerClient(), robot, address)}
	}

	run(t, docker.env, login(open, "guess")...)
	run(t, docker.env, login(open, secret)...)
	docker.do(t, "pull", open+"/team/hello:1")
	docker.do(t, "tag", open+"/team/hello:1", open+"/team/pushed:1")
	refuses(t, docker.env, "", dockerClient(), "push", open+"/team/pushed:1")

	refuses(t, docker.env, "unauthorized", login(mirror.addr, "guess")...)
	run(t, docker.env, login(mirror.addr, secret)...)
	docker.do(t, "tag", open+"/team/hello:1", mirror.addr+"/team/pushed:1")
	docker.do(t, "push", mirror.addr+"/team/pushed:1")
}
