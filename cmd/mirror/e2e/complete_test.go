//go:build e2e

package e2e_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// TestAnImageIsCompleteEvenIfItsClientHadALayerAlready: dockerd fetches only the layers that it lacks, the mirror all.
func TestAnImageIsCompleteEvenIfItsClientHadALayerAlready(t *testing.T) {
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub))
	docker, another := startDocker(t, mirror.addr), startDocker(t, mirror.addr)
	base := image(t, ociFormat, runtime.GOARCH, "/bin/busybox", busyboxLayer(t, ociFormat))
	push(t, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: platform{base}, Descriptor: linux(runtime.GOARCH)}),
		hub.addr+"/library/airmirror-base:1")
	push(t, helloIndex(t, ociFormat, "on a base"), hub.addr+"/library/airmirror-hello:1")
	docker.do(t, "pull", hub.addr+"/library/airmirror-base:1") // not through the mirror

	if out := docker.do(t, "pull", "airmirror-hello:1"); strings.Count(out, "Already exists") != 1 {
		t.Errorf("docker pull should have had one of the layers:\n%s", out)
	}
	mirror.wantComplete(t, "airmirror-hello:1", "linux/"+runtime.GOARCH)

	hub.stop(t)
	another.do(t, "pull", "airmirror-hello:1")
	another.prints(t, "airmirror-hello:1", "on a base")
}
