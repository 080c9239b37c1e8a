package cache_test

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
)

func BenchmarkCachedManifest(b *testing.B) {
	s, m := benchStore(b)
	for b.Loop() {
		if _, err := s.Manifest(b.Context(), repo, m.Digest); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCachedManifestParallel(b *testing.B) {
	s, m := benchStore(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Manifest(b.Context(), repo, m.Digest); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkCachedTag(b *testing.B) {
	s, _ := benchStore(b)
	for b.Loop() {
		if _, err := s.Tag(b.Context(), repo, "v1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBlob(b *testing.B) {
	s, _ := benchStore(b)
	d := digest.FromString("{}")
	for b.Loop() {
		blob, err := s.Blob(b.Context(), repo, d)
		if err != nil {
			b.Fatal(err)
		}
		blob.Close()
	}
}

// BenchmarkPointTags moves a hundred thousand tags, as the import of a large bundle does.
func BenchmarkPointTags(b *testing.B) {
	s, m := benchStore(b)
	other := image("elsewhere", mirror.Mirrored)
	if err := s.PutManifest(b.Context(), repo, other); err != nil {
		b.Fatal(err)
	}
	tags := make([]mirror.ImportedTag, 100_000)
	for i := range tags {
		tags[i] = mirror.ImportedTag{Repo: repo, Tag: fmt.Sprint("carried", i*7919%100_000), Origin: mirror.Imported}
	}
	from, to := m.Digest, other.Digest
	for b.Loop() {
		from, to = to, from
		for i := range tags {
			tags[i].Digest = to
		}
		if _, err := s.PointTags(b.Context(), tags, false); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPush pushes a small image: a blob, a manifest and a tag.
func BenchmarkPush(b *testing.B) {
	s, _ := benchStore(b)
	for i := 0; b.Loop(); i++ {
		config := fmt.Sprint("config ", i)
		if err := receive(b.Context(), s, config); err != nil {
			b.Fatal(err)
		}
		if err := s.PutManifest(b.Context(), repo, image(config, mirror.Pushed), fmt.Sprint("v", i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStatBlob(b *testing.B) {
	s, _ := benchStore(b)
	d := digest.FromString("{}")
	for b.Loop() {
		if _, err := s.StatBlob(b.Context(), repo, d); err != nil {
			b.Fatal(err)
		}
	}
}

func benchStore(b *testing.B) (*cache.Store, mirror.Manifest) {
	s := newStore(b, openFiles(b, b.TempDir()), openBolt(b, b.TempDir()), cache.Options{})
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	m := image("{}", mirror.Pushed)
	if err := receive(b.Context(), s, "{}"); err != nil {
		b.Fatal(err)
	}
	if err := s.PutManifest(b.Context(), repo, m, "v1"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return s, m
}
