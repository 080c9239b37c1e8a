//go:build e2e

package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// skopeo runs a skopeo command that must succeed. It asks for a login nowhere and takes any image for trusted.
func skopeo(t *testing.T, args ...string) string {
	t.Helper()
	need(t, "skopeo")
	return run(t, environment(t), append([]string{"skopeo", "--insecure-policy"}, args...)...)
}

// copyIntact copies an image with all its platforms and fails if a byte of a manifest would change on the way.
func copyIntact(t *testing.T, from, to string) {
	t.Helper()
	skopeo(t, "copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false", from, to)
}

// layoutDigest is the digest of the only image in an OCI layout.
func layoutDigest(t *testing.T, dir string) string {
	t.Helper()
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("%s holds %d images, want 1", dir, len(manifest.Manifests))
	}
	return manifest.Manifests[0].Digest.String()
}

func TestSkopeoCopiesOutOfTheMirrorAndBackIn(t *testing.T) {
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub))
	digest := push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1").String()

	dir := filepath.Join(tempDir(t), "layout")
	copyIntact(t, "docker://"+mirror.addr+"/library/airmirror-hello:1", "oci:"+dir+":1")
	if got := layoutDigest(t, dir); got != digest {
		t.Errorf("the copy's digest is %s, want %s", got, digest)
	}

	copyIntact(t, "oci:"+dir+":1", "docker://"+mirror.addr+"/team/app:1")
	var app struct{ Digest string }
	inspected := skopeo(t, "inspect", "--tls-verify=false", "docker://"+mirror.addr+"/team/app:1")
	if err := json.Unmarshal([]byte(inspected), &app); err != nil {
		t.Fatal(err)
	}
	if app.Digest != digest {
		t.Errorf("the pushed image's digest is %s, want %s", app.Digest, digest)
	}
}
