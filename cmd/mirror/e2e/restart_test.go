//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestContentSurvivesARestart(t *testing.T) {
	for how, end := range map[string]func(t *testing.T, s *server){
		"SIGTERM": func(t *testing.T, s *server) { s.stopCleanly(t) },
		"kill -9": func(_ *testing.T, s *server) { s.kill() },
	} {
		t.Run(how, func(t *testing.T) {
			hub := startUpstream(t)
			mirror := startMirror(t, mirrorOf(hub))
			hello, app := mirror.addr+"/library/airmirror-hello:1", mirror.addr+"/team/app:1"
			mirrored := push(t, helloIndex(t, ociFormat, "from the hub"), hub.addr+"/library/airmirror-hello:1").String()
			wantWhole(t, hello, mirrored)
			pushed := push(t, helloIndex(t, dockerFormat, "from the team"), app).String()
			hub.stop(t)

			end(t, mirror)
			mirror.restarted(t, mirrorOf(hub))
			wantWhole(t, hello, mirrored)
			wantWhole(t, app, pushed)
		})
	}
}

// TestKilledAtEveryPointOfAPush: what was acknowledged before is there, and the interrupted image is either whole or
// unknown. The same push then succeeds.
func TestKilledAtEveryPointOfAPush(t *testing.T) {
	mirror := startMirror(t, "--offline")
	kept := push(t, helloIndex(t, ociFormat, "acknowledged"), mirror.addr+"/team/kept:1").String()

	for n, killed := 1, true; killed; n++ {
		reference := fmt.Sprintf("%s/team/app-%d:1", mirror.addr, n)
		index := helloIndex(t, ociFormat, rand.Text())
		fuse := &fuse{RoundTripper: &http.Transport{DisableKeepAlives: true}, server: mirror, left: n}
		err := fuse.push(t, index, reference)
		if killed = mirror.stop(t) != 0; !killed && err != nil {
			t.Fatalf("a push with nothing in its way: %v", err)
		}
		mirror = mirror.restarted(t, "--offline")

		wantWhole(t, mirror.addr+"/team/kept:1", kept)
		if r := try(t, environment(t), craneBin, "digest", reference); r.code == 0 {
			wantWhole(t, reference, strings.TrimSpace(r.stdout))
		}
		wantWhole(t, reference, push(t, index, reference).String())
	}
}

// TestKilledAtEveryPointOfAPullThrough: what had come through before is there, and what was interrupted comes through
// after all.
func TestKilledAtEveryPointOfAPullThrough(t *testing.T) {
	hub := startUpstream(t)
	link := newLink(t, hub)
	mirror := startMirror(t, link.flag)
	whole := map[string]string{}

	for n, killed := 1, true; killed; n++ {
		path := fmt.Sprintf("/library/airmirror-hello-%d:1", n)
		digest := push(t, helloIndex(t, ociFormat, incompressible(256<<10)), hub.addr+path).String()
		link.set(&fuse{RoundTripper: http.DefaultTransport, server: mirror, left: n})
		_ = try(t, environment(t), craneBin, "validate", "--remote", mirror.addr+path) // fails if the fuse blows
		killed = mirror.stop(t) != 0                                                   // transfers go on without the client
		mirror = mirror.restarted(t, link.flag)
		wantWhole(t, mirror.addr+path, digest)
		whole[path] = digest
	}

	mirror.stopCleanly(t)
	hub.stop(t)
	mirror = mirror.restarted(t, "--offline")
	for path, digest := range whole {
		wantWhole(t, mirror.addr+path, digest)
	}
}
