package main

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestPulledImageIsServedWhileUpstreamIsDown(t *testing.T) {
	up := newOrigin(t)
	img := up.image("library/app:v1")
	s := newSubject(t, up.URL)
	s.pull("library/app:v1", img)
	up.Close()
	s.pull("library/app:v1", img)
	s.pull("library/app@"+hash(t, img), img)

	t.Run("under each of its names", func(t *testing.T) {
		for _, path := range []string{"/v2/app/manifests/v1", "/v2/docker.io/library/app/manifests/v1", "/v2/library/app/manifests/v1?ns=docker.io"} {
			_, resp := s.get(200, path)
			if got := resp.Header.Get("Docker-Content-Digest"); got != hash(t, img) {
				t.Errorf("%s is %s", path, got)
			}
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		s.stop()
		s.start(up.URL)
		s.pull("library/app:v1", img)
	})
	t.Run("and misses are unknown", func(t *testing.T) {
		body, _ := s.get(404, "/v2/library/app/manifests/v2")
		if !bytes.Contains(body, []byte("MANIFEST_UNKNOWN")) {
			t.Errorf("answer: %s", body)
		}
		s.get(404, "/v2/other/app/manifests/v1")
		s.get(404, blobPath("library/app", hashOf("absent")))
	})
}

func TestPullOfOnePlatform(t *testing.T) {
	up := newOrigin(t)
	index, err := random.Index(512, 1, 3)
	must(t, err)
	must(t, remote.WriteIndex(reference(t, up.URL, "library/multi:v1"), index))
	s := newSubject(t, up.URL)
	manifest, err := index.IndexManifest()
	must(t, err)
	chosen, err := index.Image(manifest.Manifests[1].Digest)
	must(t, err)
	s.get(200, "/v2/library/multi/manifests/v1")
	s.pull("library/multi@"+manifest.Manifests[1].Digest.String(), chosen)
	up.Close()
	raw, err := index.RawManifest()
	must(t, err)
	if body, _ := s.get(200, "/v2/library/multi/manifests/v1"); !bytes.Equal(body, raw) {
		t.Error("the index came back changed")
	}
	s.pull("library/multi@"+manifest.Manifests[1].Digest.String(), chosen)
	s.get(404, "/v2/library/multi/manifests/"+manifest.Manifests[0].Digest.String())
}

func TestTagWithinTTLIsNotRevalidated(t *testing.T) {
	up := newOrigin(t)
	img := up.image("library/app:v1")
	s := newSubject(t, up.URL, fresh(time.Hour), incomplete)
	s.pull("library/app:v1", img)
	before := up.total()
	s.pull("library/app:v1", img)
	if asked := up.total() - before; asked != 0 {
		t.Errorf("a fresh image was asked for %d times", asked)
	}
}

func TestStaleTagFollowsUpstream(t *testing.T) {
	up := newOrigin(t)
	old := up.image("library/app:v1")
	s := newSubject(t, up.URL)
	s.pull("library/app:v1", old)
	moved := up.image("library/app:v1")
	s.pull("library/app:v1", moved)
	up.Close()
	s.pull("library/app:v1", moved)
	s.pull("library/app@"+hash(t, old), old)
}

func TestTagDeletedUpstreamIsKept(t *testing.T) {
	up := newOrigin(t)
	img := up.image("library/app:v1")
	s := newSubject(t, up.URL)
	s.pull("library/app:v1", img)
	must(t, remote.Delete(reference(t, up.URL, "library/app:v1")))
	s.pull("library/app:v1", img)
}

func TestUpstreamTimeout(t *testing.T) {
	up := newOrigin(t)
	img := up.image("library/app:v1")
	s := newSubject(t, up.URL)
	s.pull("library/app:v1", img)
	s.stop()

	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in its backlog, and says nothing
	must(t, err)
	defer silent.Close()
	s.start("http://"+silent.Addr().String(), upstreamTimeout(time.Hour))
	within(t, "pull of a stored tag", func() { s.get(200, "/v2/library/app/manifests/v1") })
	within(t, "HEAD of a client that pushes", func() { s.do(404, "HEAD", blobPath("team/new", hashOf("absent"))) })
	s.stop()

	s.start("http://"+silent.Addr().String(), upstreamTimeout(time.Second))
	within(t, "miss by tag", func() { s.get(404, "/v2/library/app/manifests/v2") })
	within(t, "miss by digest", func() { s.get(404, blobPath("library/app", hashOf("absent"))) })
	within(t, "push", func() { push(t, s.URL, "team/new:v1", img) })
}

func TestPushedTagWinsOverUpstream(t *testing.T) {
	up := newOrigin(t)
	theirs := up.image("library/app:v1")
	up.image("library/app:v2")
	s := newSubject(t, up.URL)
	s.pull("library/app:v1", theirs)
	ours, err := random.Image(1<<10, 1)
	must(t, err)
	push(t, s.URL, "library/app:v1", ours)
	up.image("library/app:v1")
	s.pull("library/app:v1", ours)
	s.get(200, "/v2/library/app/manifests/v2") // a mirrored repository goes on being mirrored
}

// TestLocalRepositoriesAreNotFetched prevents dependency confusion: a local name must not be requested from a registry where
// anyone can create it.
func TestLocalRepositoriesAreNotFetched(t *testing.T) {
	up := newOrigin(t)
	s := newSubject(t, up.URL)
	ours, err := random.Image(1<<10, 1)
	must(t, err)
	push(t, s.URL, "team/app:v1", ours)
	theirs := up.image("team/app:v2")
	before := up.total()
	s.get(404, "/v2/team/app/manifests/v2")
	s.get(404, "/v2/team/app/manifests/"+hash(t, theirs))
	layers, err := theirs.Layers()
	must(t, err)
	d, err := layers[0].Digest()
	must(t, err)
	s.get(404, blobPath("team/app", d))
	if asked := up.total() - before; asked != 0 {
		t.Errorf("the upstream got %d requests", asked)
	}
}

func TestNamesSelectUpstreams(t *testing.T) {
	hub, other := newOrigin(t), newOrigin(t)
	fromHub, fromOther := hub.image("org/app:v1"), other.image("org/app:v1")
	s := newSubject(t, hub.URL, alsoUpstream("registry.example.com="+other.URL))
	s.pull("org/app:v1", fromHub)
	s.pull("registry.example.com/org/app:v1", fromOther)
	if _, resp := s.get(200, "/v2/org/app/manifests/v1?ns=registry.example.com"); resp.Header.Get("Docker-Content-Digest") != hash(t, fromOther) {
		t.Error("ns leads elsewhere")
	}
	body, _ := s.get(404, "/v2/org/app/manifests/v1?ns="+strings.TrimPrefix(hub.URL, "http://"))
	if !bytes.Contains(body, []byte("--upstream")) {
		t.Errorf("an upstream that is not configured is refused with %s", body)
	}
	body, _ = s.get(200, "/v2/_catalog")
	if got := strings.TrimSpace(string(body)); got != `{"repositories":["org/app","registry.example.com/org/app"]}` {
		t.Errorf("catalog: %s", got)
	}
}

func TestHeadOfMissingBlobUsesUpstream(t *testing.T) {
	up := newOrigin(t)
	content, d := up.blob("library/app:v1", 1000)
	s := newSubject(t, up.URL, incomplete)
	s.get(200, "/v2/library/app/manifests/v1")
	_, resp := s.do(200, "HEAD", blobPath("library/app", d))
	if resp.ContentLength != int64(len(content)) {
		t.Errorf("size %d", resp.ContentLength)
	}
	if n := up.count("GET " + blobPath("library/app", d)); n != 0 {
		t.Errorf("HEAD transferred the blob %d times", n)
	}
}

// TestDamagedBlobIsFetchedAgain truncates the file of a stored blob, and removes the file of another.
func TestDamagedBlobIsFetchedAgain(t *testing.T) {
	up := newOrigin(t)
	content, d := up.blob("library/app:v1", 100_000)
	path := blobPath("library/app", d)
	s := newSubject(t, up.URL)
	s.get(200, "/v2/library/app/manifests/v1")
	s.get(200, path)
	file := filepath.Join(s.dir, "blobs", d.Algorithm, d.Hex[:2], d.Hex)
	for name, damage := range map[string]func() error{
		"cut short": func() error { return os.Truncate(file, 10) },
		"lost":      func() error { return os.Remove(file) },
	} {
		t.Run(name, func(t *testing.T) {
			s.stop() // waits for the transfer to land
			must(t, damage())
			s.start(up.URL)
			if got, _ := s.get(200, path); !bytes.Equal(got, content) {
				t.Error("the blob came changed")
			}
		})
	}
}

// TestStaleResponsesHaveWarning checks that responses that could not be revalidated have a warning with the reason.
func TestStaleResponsesHaveWarning(t *testing.T) {
	up := newOrigin(t)
	d := hash(t, up.image("library/app:v1"))
	m := newSubject(t, up.URL)
	paths := map[string]bool{
		"/v2/library/app/manifests/v1":   true,
		"/v2/library/app/tags/list":      true,
		"/v2/library/app/referrers/" + d: true,
		"/v2/library/app/manifests/" + d: false, // content is what its digest says
		"/v2/_catalog":                   false, // of this mirror
	}
	for path := range paths {
		if _, resp := m.get(http.StatusOK, path); resp.Header.Get("Warning") != "" {
			t.Errorf("%s: Warning %q, and the upstream answers", path, resp.Header.Get("Warning"))
		}
	}
	m.stop()
	m.start(up.URL, offline)
	for path, stale := range paths {
		_, resp := m.get(http.StatusOK, path)
		if want := `299 - "stale: the mirror is offline"`; stale && resp.Header.Get("Warning") != want || !stale && resp.Header.Get("Warning") != "" {
			t.Errorf("%s: Warning %q", path, resp.Header.Get("Warning"))
		}
	}
}
