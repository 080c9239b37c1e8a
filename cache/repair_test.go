package cache_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
)

// TestManifestsThatLoseTheirFileStayKnown checks that the record and the tags of a manifest stay until its file is
// stored again.
func TestManifestsThatLoseTheirFileStayKnown(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(*shelf)
	}{
		{"another byte", func(s *shelf) {
			s.overwrite(s.mirrored.Digest, strings.Replace(string(s.mirrored.Bytes), "never", "Never", 1)+" ")
		}},
		{"same size", func(s *shelf) { s.overwrite(s.mirrored.Digest, strings.Repeat("x", len(s.mirrored.Bytes))) }},
		{"gone", func(s *shelf) { s.remove(s.mirrored.Digest) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := stock(t)
			if _, err := s.Manifest(t.Context(), repo, s.mirrored.Digest); err != nil { // from the cache
				t.Fatal(err)
			}
			tt.damage(s)
			defects := s.defects(mirror.CheckOptions{})
			if len(defects) != 1 || !defects[0].Manifest || len(defects[0].Repos) != 1 {
				t.Fatalf("%+v", defects)
			}
			if remains := s.mend(); len(remains) != 1 || remains[0].Kind != mirror.Missing || !remains[0].Manifest {
				t.Errorf("%+v", remains)
			}
			_, err := s.Manifest(t.Context(), repo, s.mirrored.Digest)
			wantCode(t, err, mirror.CodeManifestUnknown)
			wantTag(t, s.Store, "mirrored", s.mirrored.Digest)
			putManifest(t, s.Store, s.mirrored)
			if _, err := s.Manifest(t.Context(), repo, s.mirrored.Digest); err != nil {
				t.Error(err)
			}
			s.finds(mirror.CheckOptions{})
			s.must(cache.Check(t.Context(), s.blobs, s.index))
		})
	}
}

// TestPushReplacesQuarantinedContent pushes a blob again after its damaged file, with the same name and size, was moved
// to the quarantine.
func TestPushReplacesQuarantinedContent(t *testing.T) {
	s := stock(t)
	s.overwrite(digest.FromString("pushed"), "pushes")
	s.mend()
	s.must(receive(t.Context(), s.Store, "pushed"))
	blob, err := s.Blob(t.Context(), repo, digest.FromString("pushed"))
	s.must(err)
	defer blob.Close()
	if content, err := io.ReadAll(blob); err != nil || string(content) != "pushed" {
		t.Errorf("%q, %v", content, err)
	}
}

// TestRepairKeepsAccessToNeededBlobs checks that repositories which need a lost blob keep their links, so that one
// download restores it for all of them, and that no other repository does.
func TestRepairKeepsAccessToNeededBlobs(t *testing.T) {
	s := stock(t)
	d, other := digest.FromString("pushed"), mirror.Repo{Host: "docker.io", Path: "library/other"}
	_, err := s.Mount(t.Context(), other, repo, d)
	s.must(err)
	s.remove(d)
	if repaired, err := s.Repair(t.Context(), mirror.Defect{Kind: mirror.Missing, Digest: d}); !repaired || err != nil {
		t.Errorf("repaired %t, %v", repaired, err)
	}
	for in, linked := range map[mirror.Repo]bool{repo: true, other: false} {
		if stat, err := s.StatBlob(t.Context(), in, d); err != nil || stat.Stored || stat.Linked != linked {
			t.Errorf("%s: %+v, %v", in, stat, err)
		}
	}
}

// TestRepairIsCanceled cancels a repair while it reads a large file: nothing has changed.
func TestRepairIsCanceled(t *testing.T) {
	s := stock(t)
	s.overwrite(digest.FromString("pushed"), "pushes")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if repaired, err := s.Repair(ctx, mirror.Defect{Kind: mirror.Damaged, Digest: digest.FromString("pushed")}); repaired || err == nil {
		t.Errorf("repaired %t, %v", repaired, err)
	}
	s.finds(mirror.CheckOptions{}, mirror.Damaged)
}
