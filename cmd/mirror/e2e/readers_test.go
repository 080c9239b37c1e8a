//go:build e2e

package e2e_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// TestOthersReadABundle: a full bundle is taken as it is by the tools that people have. regctl is one more of them that
// reads OCI layouts in a tar, but Debian has no package of it.
//
// skopeo of Debian 12 finds only images of OCI's media types by their names in oci-archive; those of Docker's it finds in
// docker-archive, in the same file.
func TestOthersReadABundle(t *testing.T) {
	staging := startMirror(t, "--offline")
	fromHub := push(t, helloIndex(t, ociFormat, "hello from the hub"), staging.addr+"/library/airmirror-hello:1").String()
	push(t, helloIndex(t, dockerFormat, "hello from the team"), staging.addr+"/team/app:2")
	sign(t, staging.addr+"/library/airmirror-hello", fromHub)
	disk := tempDir(t)
	file := filepath.Join(disk, "plant.tar")
	run(t, environment(t), mirrorBin, "key", "generate", "--no-password", "--key", filepath.Join(disk, "mirror.key"))
	staging.ask(t, "export", "--bundle", file, "--sign", filepath.Join(disk, "mirror.key"), "airmirror-hello:1", "team/app:2")
	greetings := map[string]string{
		"docker.io/library/airmirror-hello:1": "hello from the hub",
		"docker.io/team/app:2":                "hello from the team",
	}

	t.Run("docker load", func(t *testing.T) {
		docker := startDocker(t, staging.addr)
		docker.do(t, "load", "-i", file)
		for image, greeting := range greetings {
			docker.prints(t, image, greeting)
		}
	})
	t.Run("ctr images import", func(t *testing.T) {
		containerd := startContainerd(t, staging.addr)
		containerd.ctr(t, "images", "import", "--snapshotter", "native", file)
		if got := containerd.ctr(t, "images", "ls", "-q"); len(lines(got)) != len(greetings) {
			t.Errorf("ctr imported what is no image:\n%s", got)
		}
		for image, greeting := range greetings {
			containerd.prints(t, image, greeting)
		}
	})
	t.Run("podman load", func(t *testing.T) {
		podman := newPodman(t, staging.addr)
		podman.do(t, "load", "-i", file)
		for image, greeting := range greetings {
			podman.prints(t, image, greeting)
		}
	})
	t.Run("podman pull", func(t *testing.T) {
		podman := newPodman(t, staging.addr)
		id := strings.TrimSpace(podman.do(t, "pull", "--quiet", "oci-archive:"+file+":docker.io/library/airmirror-hello:1"))
		podman.prints(t, id, "hello from the hub")
	})
	t.Run("skopeo", func(t *testing.T) {
		copyIntact(t, "oci-archive:"+file+":docker.io/library/airmirror-hello:1", "docker://"+staging.addr+"/copied/hello:1")
		wantWhole(t, staging.addr+"/copied/hello:1", fromHub)
		for image := range greetings {
			to := staging.addr + "/copied/" + filepath.Base(image)
			skopeo(t, "copy", "--dest-tls-verify=false", "docker-archive:"+file+":"+image, "docker://"+to)
			if got, want := configOf(t, to), configOf(t, staging.addr+strings.TrimPrefix(image, "docker.io")); got != want {
				t.Errorf("the copy of %s has the config %s, want %s", image, got, want)
			}
		}
	})
	t.Run("crane", func(t *testing.T) {
		layout := unpacked(t, file)
		crane(t, "push", "--index", layout, staging.addr+"/crane/all:1")
		crane(t, "pull", "--format=oci", staging.addr+"/crane/all:1", filepath.Join(tempDir(t), "layout")) // verifies all of it

		one := filepath.Join(disk, "one.tar")
		staging.ask(t, "export", "--bundle", one, "--referrers=false", "airmirror-hello:1")
		crane(t, "push", "--index", unpacked(t, one), staging.addr+"/crane/one:1")
		crane(t, "validate", "--remote", staging.addr+"/crane/one:1")
		crane(t, "push", one, staging.addr+"/crane/loaded:1") // as what docker save writes
		if got, want := configOf(t, staging.addr+"/crane/loaded:1"), configOf(t, staging.addr+"/library/airmirror-hello:1"); got != want {
			t.Errorf("the image that crane loaded has the config %s, want %s", got, want)
		}
	})
	t.Run("minisign", func(t *testing.T) {
		need(t, "minisign")
		dir := unpacked(t, file)
		verify := []string{"minisign", "-V", "-p", filepath.Join(disk, "mirror.pub"), "-m", filepath.Join(dir, "bundle.json")}
		run(t, environment(t), verify...)
		document, err := os.ReadFile(filepath.Join(dir, "bundle.json"))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, "bundle.json", strings.Replace(string(document), fromHub[:20], "sha256:000000", 1))
		if r := try(t, environment(t), verify...); r.code == 0 {
			t.Errorf("minisign verifies another document: %s", r.stdout)
		}
	})
}

// sign pushes what cosign does of an image: a manifest under a tag that says which one it signs, with a layer that is none,
// and one that refers to the image.
func sign(t *testing.T, repository, digest string) {
	t.Helper()
	layer := static.NewLayer([]byte(`{"critical":{}}`), "application/vnd.dev.cosign.simplesigning.v1+json")
	signature, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	referrer := mutate.Subject(signature, v1.Descriptor{MediaType: types.OCIImageIndex, Digest: subject, Size: 1}).(v1.Image)
	other, err := referrer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for reference, image := range map[string]v1.Image{
		repository + ":" + strings.ReplaceAll(digest, ":", "-") + ".sig": signature, repository + "@" + other.String(): referrer,
	} {
		ref, err := name.ParseReference(reference, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		transport := remote.DefaultTransport.(*http.Transport).Clone()
		defer transport.CloseIdleConnections()
		if err := remote.Write(ref, image, remote.WithTransport(transport)); err != nil {
			t.Fatalf("pushing %s: %v", reference, err)
		}
	}
}

// configOf is the config of an image for this machine's platform, which says what its layers are before they are
// compressed: a tool that compresses them anew leaves it as it is.
func configOf(t *testing.T, reference string) string {
	t.Helper()
	return crane(t, "config", "--platform", "linux/"+runtime.GOARCH, reference)
}

// unpacked returns a folder with what is in a tar.
func unpacked(t *testing.T, file string) string {
	t.Helper()
	dir := tempDir(t)
	run(t, environment(t), "tar", "-C", dir, "-xf", file)
	return dir
}

// TestTheSameContentMakesTheSameBundle: only the document says when and by whom, and that can be fixed, too.
func TestTheSameContentMakesTheSameBundle(t *testing.T) {
	index := helloIndex(t, ociFormat, "hello")
	disk := tempDir(t)
	var bundles [][]byte
	var folders []string
	for _, name := range []string{"one.tar", "other.tar"} {
		staging := startMirror(t, "--offline")
		push(t, index, staging.addr+"/library/airmirror-hello:1")
		file := filepath.Join(disk, name)
		staging.ask(t, "export", "--bundle", file, "--all")
		folders = append(folders, unpacked(t, file))

		for _, again := range []string{"a", "b"} {
			run(t, environment(t, "SOURCE_DATE_EPOCH=1700000000"), mirrorBin, "export", "--data", staging.data, "--bundle", file+again, "--all")
			content, err := os.ReadFile(file + again)
			if err != nil {
				t.Fatal(err)
			}
			bundles = append(bundles, content)
		}
	}
	if !bytes.Equal(bundles[0], bundles[1]) || !bytes.Equal(bundles[2], bundles[3]) {
		t.Error("with SOURCE_DATE_EPOCH one mirror wrote two bundles of the same content")
	}
	if r := try(t, environment(t), "diff", "-r", "--exclude=bundle.json", folders[0], folders[1]); r.code != 0 {
		t.Errorf("two mirrors wrote the same content in two ways:\n%s", r.stdout)
	}
}
