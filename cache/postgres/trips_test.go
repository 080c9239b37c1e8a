package postgres_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/cache/cachetest/generate"
	"airmirror/cache/files"
	"airmirror/cache/postgres"
	"airmirror/mirror"
)

// TestRoundTripsOfImages counts how often requests wait for the server: each time is the delay of the network.
func TestRoundTripsOfImages(t *testing.T) {
	url, folder := postgres.Database(t), t.TempDir()
	var trips atomic.Int64
	open := func() mirror.Store {
		blobs, err := files.Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		s, err := cache.New(blobs, postgres.OpenCounted(t, url, &trips), cache.Options{Grace: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	count := func(what string, most int64, f func()) {
		t.Helper()
		before := trips.Load()
		f()
		got := trips.Load() - before
		t.Logf("%s: %d round trips", what, got)
		if got > most {
			t.Errorf("%s takes %d round trips, want at most %d", what, got, most)
		}
	}

	s := open()
	options := generate.Options{Repos: 2, LayerBytes: 100}
	push(t, s, options.Image(1)) // its repository gets a number
	image := options.Image(3)
	count("the push of a config, two layers and a manifest", 9, func() { push(t, s, image) })
	count("the lookup of a blob", 1, func() {
		_, err := s.StatBlob(t.Context(), image.Repo, digest.FromBytes(image.Blobs[0]))
		must(t, err)
	})
	must(t, s.Close())

	s = open() // with empty caches, but for the number of the repository
	_, err := s.Tag(t.Context(), image.Repo, options.Image(1).Tag)
	must(t, err)
	count("the pull of a manifest by its tag", 2, func() {
		tag, err := s.Tag(t.Context(), image.Repo, image.Tag)
		must(t, err)
		_, err = s.Manifest(t.Context(), image.Repo, tag.Digest)
		must(t, err)
	})
	count("the next pull of the manifest by its tag", 2, func() {
		tag, err := s.Tag(t.Context(), image.Repo, image.Tag)
		must(t, err)
		_, err = s.Manifest(t.Context(), image.Repo, tag.Digest)
		must(t, err)
	})
	must(t, s.Close())
}

// push pushes an image.
func push(t *testing.T, s mirror.Store, image generate.Image) {
	t.Helper()
	for _, blob := range image.Blobs {
		u, err := s.StartUpload(t.Context(), image.Repo, digest.SHA256)
		must(t, err)
		_, err = u.Append(bytes.NewReader(blob))
		must(t, err)
		must(t, u.Commit(t.Context(), digest.FromBytes(blob)))
	}
	m := mirror.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: image.Digest, Bytes: image.Manifest, Origin: mirror.Pushed}
	must(t, s.PutManifest(t.Context(), image.Repo, m, image.Tag))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
