//go:build e2e

package e2e_test

import (
	"runtime"
	"strings"
	"testing"
)

// TestSyncedImagesRunWithoutTheUpstream: a list of images is fetched ahead of need, for this platform alone.
func TestSyncedImagesRunWithoutTheUpstream(t *testing.T) {
	hub := startUpstream(t)
	mirror := startMirror(t, mirrorOf(hub), "--tag-ttl=1ms")
	docker := startDocker(t, mirror.addr)
	push(t, helloIndex(t, ociFormat, "the first"), hub.addr+"/library/airmirror-first:1")
	push(t, helloIndex(t, dockerFormat, "the second"), hub.addr+"/library/airmirror-second:2")
	list := writeFile(t, tempDir(t), "images.txt", "# what we run\nairmirror-first:1\ndocker.io/library/airmirror-second:2 # by its full name\n")
	here := "linux/" + runtime.GOARCH

	out := mirror.ask(t, "sync", "--file", list, "--platform", here)
	if !strings.Contains(out, "2 images: 2 complete") {
		t.Errorf("mirror sync printed:\n%s", out)
	}
	for _, image := range []string{"airmirror-first:1", "airmirror-second:2"} {
		mirror.wantComplete(t, image, here)
	}

	hub.stop(t)
	for image, greeting := range map[string]string{"airmirror-first:1": "the first", "airmirror-second:2": "the second"} {
		docker.do(t, "pull", image)
		docker.prints(t, image, greeting)
	}
}

// TestWantsAreFetchedWhereThereIsANetwork: what a client was refused on the inside is fetched on the outside.
func TestWantsAreFetchedWhereThereIsANetwork(t *testing.T) {
	hub := startUpstream(t)
	staging := startMirror(t, mirrorOf(hub))
	inside := startMirror(t, "--mode=offline")
	docker := startDocker(t, inside.addr)
	digest := push(t, helloIndex(t, ociFormat, "wanted"), hub.addr+"/library/airmirror-wanted:1").String()

	if r := try(t, docker.env, dockerClient(), "pull", "airmirror-wanted:1"); r.code == 0 {
		t.Fatalf("docker pulled what nobody holds:\n%s", r.stdout)
	}
	var wants []struct {
		Ref     string `json:"reference"`
		Clients []string
	}
	inside.askJSON(t, &wants, "wants")
	if len(wants) != 1 || wants[0].Ref != "docker.io/library/airmirror-wanted:1" || len(wants[0].Clients) != 1 {
		t.Errorf("wanted are %+v, want docker.io/library/airmirror-wanted:1 by one client", wants)
	}

	file := writeFile(t, tempDir(t), "wants.json", inside.ask(t, "wants", "--json"))
	staging.ask(t, "sync", "--wants", file)
	hub.stop(t)
	staging.wantComplete(t, "airmirror-wanted:1")
	wantWhole(t, staging.addr+"/library/airmirror-wanted:1", digest)
}
