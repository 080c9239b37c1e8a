//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestAnUpstreamThatGoesAndComesBack: once it counts as gone nobody waits for it, and nobody has to say that it is back.
func TestAnUpstreamThatGoesAndComesBack(t *testing.T) {
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub), "--tag-ttl=1ms")
	digest := push(t, helloIndex(t, ociFormat, "held"), hub.addr+"/library/airmirror-hello:1").String()
	wantWhole(t, mirror.addr+"/library/airmirror-hello:1", digest)
	if mirror.status(t).gone(t, "docker.io") {
		t.Error("the upstream counts as gone before it went")
	}

	hub.stop(t)
	misses := 0
	eventually(t, "the upstream counts as gone", func() error {
		misses++
		wantMiss(t, mirror.addr, fmt.Sprintf("/v2/library/airmirror-miss-%d/manifests/1", misses))
		if !mirror.status(t).gone(t, "docker.io") {
			return fmt.Errorf("not after %d misses: %+v", misses, mirror.status(t))
		}
		return nil
	})
	if out := mirror.ask(t, "status"); !strings.Contains(out, " down, ") {
		t.Errorf("mirror status does not say that the upstream is gone:\n%s", out)
	}
	wantSoon(t, mirror.addr, heldPath)
	wantMiss(t, mirror.addr, missPath)
	wantWhole(t, mirror.addr+"/library/airmirror-hello:1", digest)

	hub.restart(t)
	moved := push(t, helloIndex(t, ociFormat, "moved"), hub.addr+"/library/airmirror-hello:1").String()
	eventually(t, "the tag that moved is served", func() error {
		if got := crane(t, "digest", mirror.addr+"/library/airmirror-hello:1"); got != moved {
			return fmt.Errorf("it is %s, want %s", got, moved)
		}
		return nil
	})
	if mirror.status(t).gone(t, "docker.io") {
		t.Error("the upstream still counts as gone")
	}
	wantWhole(t, mirror.addr+"/library/airmirror-hello:1", moved)
}
