package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/config/settings"
)

// TestWhatNeedsARestart: every other setting changes while the server runs, and README names these.
func TestWhatNeedsARestart(t *testing.T) {
	restart := []string{
		"listen", "data", "tls.redirectHTTP", "bundles.requireSignature", "bundles.destination", "verify.interval", "verify.rate", "metrics.enabled", "metrics.listen",
		"offline", "mode", "logFormat", "ignoreNondistributable",
	}
	c := serveConfig{Loaded: config.Loaded{Config: config.Default()}}
	r := newReloader(nil, nil, c, nil, zap.NewAtomicLevel(), nil, zap.NewNop())
	var needs []string
	for _, key := range settings.Keys(&c.Config) {
		if !r.follows(key.Path) {
			needs = append(needs, key.Path)
		}
	}
	slices.Sort(needs)
	slices.Sort(restart)
	if !slices.Equal(needs, restart) {
		t.Errorf("these need a restart: %v\nand these are known to: %v\nHave a part of the reloader follow a new key if it can", needs, restart)
	}
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	_, told, _ := strings.Cut(string(readme), "A restart takes what is said of ")
	told, _, _ = strings.Cut(told, ".\n")
	for _, key := range needs {
		section, _, _ := strings.Cut(key, ".")
		if !strings.Contains(told, "`"+key+"`") && !strings.Contains(told, "`"+section+"`") {
			t.Errorf("README does not say that %s needs a restart: %q", key, told)
		}
	}
}

// TestUpstreamsChangeOnSIGHUP: a server that is told to hang up asks other upstreams.
func TestUpstreamsChangeOnSIGHUP(t *testing.T) {
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
