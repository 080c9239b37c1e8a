package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"airmirror/cache"
)

// TestServerWithoutStoreIsNotReady checks that the response names the missing part of the store.
func TestServerWithoutStoreIsNotReady(t *testing.T) {
	for gone, want := range map[string]string{
		"nothing":                        "ready\n",
		cache.IndexName:                  "not ready: the index was removed or replaced\n",
		"incoming":                       "not ready: the folder of uploads is not writable: no such file or directory\n",
		"blobs":                          "not ready: the folder of blobs is not readable: no such file or directory\n",
		filepath.Join("blobs", "sha256"): "not ready: the folder of blobs is not readable: no such file or directory\n",
	} {
		t.Run(gone, func(t *testing.T) {
			dir := t.TempDir()
			p := spawn(t, dir, "--offline")
			must(t, os.RemoveAll(filepath.Join(dir, gone)))
			checkReady(t, p, want)
		})
	}
}

// checkReady compares the answer of /readyz.
func checkReady(t *testing.T, p *process, want string) {
	t.Helper()
	resp, err := http.Get(p.url + "/readyz")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if code := map[bool]int{true: 200, false: 503}[want == "ready\n"]; resp.StatusCode != code || string(text) != want {
		t.Errorf("%s %q, want %d %q", resp.Status, text, code, want)
	}
}
