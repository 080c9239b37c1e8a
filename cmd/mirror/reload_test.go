package main

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSIGHUPReloadsUpstreams checks that a server uses the new upstreams after SIGHUP.
func TestSIGHUPReloadsUpstreams(t *testing.T) {
	first, second := newOrigin(t), newOrigin(t)
	first.image("team/app:v1")
	second.image("team/app:v2")
	dir := t.TempDir()
	file := filepath.Join(dir, "mirror.yaml")
	write := func(text string) { must(t, os.WriteFile(file, []byte(text), 0o600)) }
	upstreamAt := func(o *origin) string {
		return "knownUpstreams: false\nupstreams: [{host: docker.io, endpoints: [{url: \"" + o.URL + "\"}]}]\n"
	}
	write(upstreamAt(first))
	p := spawn(t, filepath.Join(dir, "data"), "--config", file)
	get := func(tag string) int {
		resp, err := http.Get(p.url + "/v2/team/app/manifests/" + tag)
		must(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	if v1, v2 := get("v1"), get("v2"); v1 != 200 || v2 != 404 {
		t.Fatalf("v1 %d, v2 %d", v1, v2)
	}
	write(upstreamAt(second))
	must(t, p.Process.Signal(syscall.SIGHUP))
	eventually(t, "the other upstream is asked", func() bool { return get("v2") == 200 })
	if v1 := get("v1"); v1 != 200 {
		t.Errorf("what was held is not: %d", v1)
	}
}
