//go:build e2e

package e2e_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// crane runs a crane command that must succeed and returns what it printed, without the newline at the end.
func crane(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(run(t, environment(t), append([]string{craneBin, "--insecure"}, args...)...))
}

// wantWhole checks that a reference has this digest, and pulls every platform and layer of it to compare their digests.
func wantWhole(t *testing.T, reference, digest string) {
	t.Helper()
	if got := crane(t, "digest", reference); got != digest {
		t.Errorf("%s is %s, want %s", reference, got, digest)
	}
	crane(t, "validate", "--remote", reference)
}

func TestCranePullsThroughTheMirror(t *testing.T) {
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub), "--tag-ttl=1ms")
	hello := mirror.addr + "/library/airmirror-hello"
	digest := push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1").String()

	dir := filepath.Join(tempDir(t), "layout")
	crane(t, "pull", "--format=oci", hello+":1", dir)
	if got := layoutDigest(t, dir); got != digest {
		t.Errorf("the copy's digest is %s, want %s", got, digest)
	}
	wantWhole(t, hello+":1", digest)

	hub.stop(t)
	wantWhole(t, hello+":1", digest)
	wantWhole(t, hello+"@"+digest, digest)
	wantWhole(t, mirror.addr+"/docker.io/library/airmirror-hello:1", digest) // the same, by its full name
}

func TestCranePushesListsAndCopies(t *testing.T) {
	mirror := startMirror(t, "--offline")
	app := mirror.addr + "/team/app"
	digest := push(t, helloIndex(t, dockerFormat, "hello from the team"), app+":1").String()
	wantWhole(t, app+":1", digest)

	crane(t, "tag", app+":1", "2")
	crane(t, "copy", app+":2", mirror.addr+"/other/app:3") // mounts the blobs, as both are in one registry
	wantWhole(t, mirror.addr+"/other/app:3", digest)

	if got, want := lines(crane(t, "ls", app)), []string{"1", "2"}; !slices.Equal(got, want) {
		t.Errorf("crane ls printed %q, want %q", got, want)
	}
	if got, want := lines(crane(t, "catalog", mirror.addr)), []string{"other/app", "team/app"}; !slices.Equal(got, want) {
		t.Errorf("crane catalog printed %q, want %q", got, want)
	}

	crane(t, "delete", app+":1")
	if got, want := lines(crane(t, "ls", app)), []string{"2"}; !slices.Equal(got, want) {
		t.Errorf("after crane delete of 1, crane ls printed %q, want %q", got, want)
	}
}

func lines(s string) []string { return slices.Sorted(strings.FieldsSeq(s)) }
