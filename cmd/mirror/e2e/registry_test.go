//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// upstream is a distribution registry, the one that Debian ships, in the place of Docker Hub.
type upstream struct {
	*process
	addr, config string
}

// startUpstream starts one, with these lines of configuration beside.
func startUpstream(t *testing.T, config ...string) *upstream {
	t.Helper()
	need(t, "docker-registry")
	dir := tempDir(t)
	u := &upstream{addr: testport.Address(t)}
	u.config = writeFile(t, dir, "config.yml", fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}}
http: {addr: %q}
%s
`, filepath.Join(dir, "data"), u.addr, strings.Join(config, "\n")))
	u.restart(t)
	return u
}

// restart starts a registry anew, on its address and with what it holds.
func (u *upstream) restart(t *testing.T) {
	t.Helper()
	u.process = start(t, environment(t), "docker-registry", "serve", u.config)
	u.waitReady(t, u.addr)
}

// waitReady waits until the process answers as a registry, or fails the test if it ends instead.
func (p *process) waitReady(t *testing.T, addr string) {
	t.Helper()
	p.waitUntil(t, func() error {
		err := answers("http://" + addr + "/v2/")
		if status := (statusError{}); errors.As(err, &status) && status.StatusCode == http.StatusUnauthorized {
			return nil
		}
		return err
	})
}

// statusError is an answer that is not 200.
type statusError struct{ *http.Response }

func (e statusError) Error() string {
	return fmt.Sprintf("GET %s: %s", e.Request.URL, e.Status)
}

// answers returns an error unless the URL answers 200.
func answers(url string) error {
	client := http.Client{Timeout: patience / 30, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return statusError{response}
	}
	return nil
}

// server is a running `mirror serve`.
type server struct {
	*process
	addr, data string
}

// startMirror starts a mirror with a data folder and a port of its own, and these flags beside.
func startMirror(t *testing.T, flags ...string) *server {
	t.Helper()
	return startMirrorAt(t, testport.Address(t), filepath.Join(tempDir(t), "data"), flags...)
}

// startMirrorAt starts a mirror on a given address and data folder.
func startMirrorAt(t *testing.T, addr, data string, flags ...string) *server {
	t.Helper()
	return startMirrorWith(t, environment(t), addr, data, flags...)
}

// startMirrorWith is startMirrorAt in a given environment.
func startMirrorWith(t *testing.T, env []string, addr, data string, flags ...string) *server {
	t.Helper()
	s := &server{addr: addr, data: data}
	s.process = start(t, env, serve(addr, data, flags...)...)
	s.waitReady(t, addr)
	return s
}

// startMirrorIn is startMirrorAt in a network of its own, which [isolatedNetwork] made.
func startMirrorIn(t *testing.T, inside []string, addr, data string, flags ...string) *server {
	t.Helper()
	s := &server{addr: addr, data: data}
	env := environment(t)
	s.process = start(t, env, append(inside, serve(addr, data, flags...)...)...)
	s.waitUntil(t, func() error {
		if r := try(t, env, append(inside, craneBin, "catalog", addr)...); r.code != 0 {
			return errors.New(r.stderr)
		}
		return nil
	})
	return s
}

func serve(addr, data string, flags ...string) []string {
	return append([]string{mirrorBin, "serve", "--listen", addr, "--data", data}, flags...)
}

// restarted starts a mirror on the address and the data of one that has ended.
func (s *server) restarted(t *testing.T, flags ...string) *server {
	t.Helper()
	return startMirrorAt(t, s.addr, s.data, flags...)
}

// stopCleanly ends the mirror as a service manager does, and demands that it takes that well.
func (s *server) stopCleanly(t *testing.T) {
	t.Helper()
	if code := s.stop(t); code != 0 {
		t.Errorf("mirror ended with exit code %d after SIGTERM, want 0\n%s", code, s.output(t))
	}
}

// mirrorOf is the flag that makes a mirror reach docker.io's names through this upstream.
func mirrorOf(u *upstream) string { return "--upstream=docker.io=http://" + u.addr }
