//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestARegistryMovesIn: what a distribution registry keeps in its folder is linked into the mirror and not copied, what
// a running one serves is copied, and both run from there when the registry is gone.
func TestARegistryMovesIn(t *testing.T) {
	old := startUpstream(t)
	docker := startDocker(t, old.addr)
	digest := push(t, helloIndex(t, ociFormat, "hello from OCI"), old.addr+"/team/oci:1").String()
	push(t, helloIndex(t, dockerFormat, "hello from Docker"), old.addr+"/team/sub/docker:1")
	big, layer := bigIndex(t, 8<<20)
	bigDigest := push(t, big, old.addr+"/big:latest").String()
	docker.do(t, "pull", old.addr+"/team/sub/docker:1")
	docker.do(t, "tag", old.addr+"/team/sub/docker:1", old.addr+"/team/pushed:1")
	docker.do(t, "push", old.addr+"/team/pushed:1")
	crane(t, "tag", old.addr+"/team/oci:1", "same")
	root := filepath.Join(filepath.Dir(old.config), "data")

	fromFolder, fromAddress := startMirror(t, "--offline"), startMirror(t)
	out := fromAddress.ask(t, "sync", "--from", "http://"+old.addr, "--repo", "team/**", "--repo", "big")
	if !strings.Contains(out, "4 repositories, 5 tags") {
		t.Errorf("mirror sync --from printed\n%s", out)
	}
	old.stop(t)
	out = fromFolder.ask(t, "sync", "--registry-root", root)
	if !strings.Contains(out, "4 repositories, 5 tags") || !strings.Contains(out, "linked instead of copied") {
		t.Errorf("mirror sync --registry-root printed\n%s", out)
	}
	wantOneFile(t, filepath.Join(root, "docker/registry/v2/blobs/sha256", layer.Hex[:2], layer.Hex, "data"),
		filepath.Join(fromFolder.data, "blobs/sha256", layer.Hex[:2], layer.Hex))

	for name, mirror := range map[string]*server{"folder": fromFolder, "address": fromAddress} {
		t.Run(name, func(t *testing.T) {
			for image, want := range map[string]string{"/team/oci:1": digest, "/team/oci:same": digest, "/big:latest": bigDigest} {
				wantWhole(t, mirror.addr+image, want)
			}
			for image, greeting := range map[string]string{
				"/team/oci:1": "hello from OCI", "/team/sub/docker:1": "hello from Docker", "/team/pushed:1": "hello from Docker",
			} {
				docker.do(t, "pull", mirror.addr+image)
				docker.prints(t, mirror.addr+image, greeting)
			}
			again := mirror.ask(t, "sync", "--registry-root", root)
			if !strings.Contains(again, "0 B new in 0 files") {
				t.Errorf("the same again printed\n%s", again)
			}
		})
	}
}

// wantOneFile checks that two names are of one file.
func wantOneFile(t *testing.T, path, other string) {
	t.Helper()
	one, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.Stat(other)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(one, two) {
		t.Errorf("%s and %s are two files", path, other)
	}
}
