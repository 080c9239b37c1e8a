//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// gap is a mirror that reaches its upstream, and one in a network without a route: what is in the one comes into the
// other in files only.
type gap struct {
	hub             *upstream
	staging, inside *server
	network         []string // what is put in front of a command that runs inside
	disk            string   // the folder that is carried
}

func newGap(t *testing.T) *gap {
	t.Helper()
	g := &gap{hub: startUpstream(t), network: isolatedNetwork(t), disk: tempDir(t)}
	g.staging = startMirror(t, mirrorOf(g.hub), "--tag-ttl=1ms")
	g.inside = startMirrorIn(t, g.network, testport.Address(t), filepath.Join(tempDir(t), "data"), "--offline")
	return g
}

// file is a path on the disk that is carried.
func (g *gap) file(name string) string { return filepath.Join(g.disk, name) }

// takeIn imports a bundle by a command that runs inside.
func (g *gap) takeIn(t *testing.T, args ...string) string {
	t.Helper()
	return g.do(t, append([]string{mirrorBin, "sync", "--data", g.inside.data}, args...)...)
}

// do runs a command inside, which must succeed.
func (g *gap) do(t *testing.T, argv ...string) string {
	t.Helper()
	return run(t, environment(t), append(g.network, argv...)...)
}

// imageOver makes an image for this machine's platform: a layer that others may share, a static busybox, and the greeting
// that it prints, which is a few hundred bytes.
func imageOver(t *testing.T, shared v1.Layer, greeting string) v1.ImageIndex {
	t.Helper()
	layers := []v1.Layer{shared, busyboxLayer(t, ociFormat), fileLayer(t, ociFormat, "greeting", 0o644, []byte(greeting))}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, ociFormat.index), mutate.IndexAddendum{
		Add:        platform{image(t, ociFormat, runtime.GOARCH, "/bin/busybox", layers...)},
		Descriptor: linux(runtime.GOARCH),
	})
}

// sizeOf is how many bytes a file has.
func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestAcrossTheGap is one story: what the staging mirror holds is carried inside and runs there; then what is new in it,
// which is little; then what a client inside requested without success.
func TestAcrossTheGap(t *testing.T) {
	const shared, most = 16 << 20, 1 << 20 // bytes: of the layer that stays, and of what a small change may cost
	g := newGap(t)
	outside, inside := startDocker(t, g.staging.addr), startDocker(t, g.inside.addr, g.network...)
	base := fileLayer(t, ociFormat, "shared", 0o644, []byte(incompressible(shared)))
	for tag, greeting := range map[string]string{"1": "the first", "2": "the second", "3": "the third"} {
		push(t, imageOver(t, base, greeting), g.hub.addr+"/library/airmirror-app:"+tag)
	}
	push(t, helloIndex(t, ociFormat, "wanted inside"), g.hub.addr+"/library/airmirror-wanted:1")

	// runs pulls an image in the network without a route, and runs it.
	runs := func(t *testing.T, image, greeting string) {
		t.Helper()
		inside.do(t, "pull", image)
		inside.prints(t, image, greeting)
	}

	t.Run("everything", func(t *testing.T) {
		pushed := g.staging.addr + "/team/hello:1"
		outside.do(t, "pull", "airmirror-app:1")
		outside.do(t, "tag", "airmirror-app:1", pushed)
		outside.do(t, "push", pushed)
		g.staging.ask(t, "export", "--bundle", g.file("1.tar"), "--to", "plant-7", "airmirror-app:1", "team/hello:1")
		g.takeIn(t, "--bundle", g.file("1.tar"), "--receipt", g.file("receipt.json"))

		runs(t, "airmirror-app:1", "the first")
		runs(t, g.inside.addr+"/team/hello:1", "the first")
		containerd, podman := startContainerd(t, g.inside.addr), newPodman(t, g.inside.addr)
		const image = "docker.io/library/airmirror-app:1"
		run(t, containerd.env, append(g.network, "ctr", "--address", containerd.address, "images", "pull",
			"--hosts-dir", containerd.hosts, "--snapshotter", "native", image)...)
		containerd.prints(t, image, "the first")
		run(t, podman.env, append(g.network, "podman", "pull", image)...)
		podman.prints(t, image, "the first")
	})

	t.Run("what was not sent before", func(t *testing.T) {
		g.staging.ask(t, "export", "--bundle", g.file("2.tar"), "--to", "plant-7", "--since", "last", "airmirror-app:2")
		if size := sizeOf(t, g.file("2.tar")); size >= most {
			t.Errorf("the bundle with one layer of a few hundred bytes that is new has %d bytes, want less than %d", size, most)
		}
		g.takeIn(t, "--bundle", g.file("2.tar"))
		runs(t, "airmirror-app:2", "the second")
	})

	t.Run("what the receipt lacks", func(t *testing.T) {
		g.staging.ask(t, "export", "--bundle", g.file("3.tar"), "--have", g.file("receipt.json"), "airmirror-app:3")
		if size := sizeOf(t, g.file("3.tar")); size >= most {
			t.Errorf("the bundle with one layer of a few hundred bytes that is new has %d bytes, want less than %d", size, most)
		}
		g.takeIn(t, "--bundle", g.file("3.tar"))
		runs(t, "airmirror-app:3", "the third")

		elsewhere := startMirror(t, "--offline")
		r := try(t, environment(t), mirrorBin, "sync", "--data", elsewhere.data, "--bundle", g.file("3.tar"))
		if r.code == 0 || !strings.Contains(r.stderr, "of content that is not stored") {
			t.Errorf("a mirror that lacks what the bundle builds on ends with exit code %d and says\n%s", r.code, r.stderr)
		}
		if held := blobsOf(t, elsewhere.data); len(held) > 0 {
			t.Errorf("it kept %v", held)
		}
	})

	t.Run("what was wanted", func(t *testing.T) {
		if r := try(t, inside.env, dockerClient(), "pull", "airmirror-wanted:1"); r.code == 0 {
			t.Fatalf("docker pulled what nobody inside holds:\n%s", r.stdout)
		}
		writeFile(t, g.disk, "wants.json", g.inside.ask(t, "wants", "--json"))
		g.staging.ask(t, "export", "--bundle", g.file("wanted.tar"), "--wants", g.file("wants.json"))
		g.takeIn(t, "--bundle", g.file("wanted.tar"))

		runs(t, "airmirror-wanted:1", "wanted inside")
		var left []json.RawMessage
		if g.inside.askJSON(t, &left, "wants"); len(left) > 0 {
			t.Errorf("still wanted are %s", left)
		}
	})
}

// blobsOf are the files of blobs below a data folder, with their sizes.
func blobsOf(t *testing.T, data string) map[string]int64 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "blobs/sha256/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, file := range files {
		sizes[filepath.Base(file)] = sizeOf(t, file)
	}
	return sizes
}
