package cachetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// storeSweepKeptTests request the deletion of an image that comes into use before the sweep.
var storeSweepKeptTests = []storeCase{
	keptCase("TagMoved", "tag v1 points at", func(s *storeTest, m mirror.Manifest) {
		s.pushImage(repoA, mirror.Pushed, image{config: "next"}, "v1")
	}),
	keptCase("TagPinned", "tag v1 is pinned", func(s *storeTest, _ mirror.Manifest) {
		s.pin(mirror.Ref{Repo: repoA, Tag: "v1"})
	}),
	keptCase("OtherTag", "tag v2 points at", func(s *storeTest, m mirror.Manifest) {
		s.must(s.PutManifest(s.ctx, repoA, m, "v2"))
	}),
	keptCase("OtherTagMoved", "tag v2 points at", func(s *storeTest, m mirror.Manifest) {
		s.pushImage(repoA, mirror.Pushed, image{config: "next"}, "v2")
		s.must(s.PutManifest(s.ctx, repoA, m, "v2"))
	}),
	keptCase("Pinned", "is pinned", func(s *storeTest, m mirror.Manifest) {
		s.pin(mirror.Ref{Repo: repoA, Digest: m.Digest})
	}),
	keptCase("Protected", "is protected", func(s *storeTest, m mirror.Manifest) {
		release := s.Protect(m.Digest)
		s.Protect(m.Digest)() // the release of another protection
		s.t.Cleanup(release)
	}),
	keptCase("Read", usedSince, func(s *storeTest, m mirror.Manifest) {
		s.must(errOf(s.Manifest(s.ctx, repoA, m.Digest)))
	}),
	keptCase("PutAgain", usedSince, func(s *storeTest, m mirror.Manifest) {
		s.must(s.PutManifest(s.ctx, repoA, m))
	}),
	keptCase("DeletedAndPut", usedSince, func(s *storeTest, m mirror.Manifest) {
		s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
	}),
	keptCase("MadeRoot", rootSince, func(s *storeTest, m mirror.Manifest) {
		s.pointTags(false, nil, rootOf(repoA, m))
	}),
	keptCase("ChildOfIndex", "needs manifest", func(s *storeTest, m mirror.Manifest) {
		s.must(s.PutManifest(s.ctx, repoA, index(mirror.Pushed, m)))
	}),
	{"NoLongerKept", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		other := s.pushImage(repoA, mirror.Pushed, image{config: "other"}, "v1")
		parent := index(mirror.Pushed, m)
		s.must(s.PutManifest(s.ctx, repoA, parent, "multi"))
		s.must(s.PutManifest(s.ctx, repoA, other, "multi"))
		s.must(s.DeleteManifest(s.ctx, repoA, parent.Digest))
		s.pin(mirror.Ref{Repo: repoA, Digest: m.Digest})
		s.must(s.SetState(s.ctx, mirror.PinState, map[string][]byte{mirror.Ref{Repo: repoA, Digest: m.Digest}.String(): nil}))
		s.Protect(m.Digest, digest.FromString("{}"))()
		s.wantDeleted(s.sweepOne(deleteRequest(repoA, nil, m)), 0, 1, string(m.Bytes), "{}")
	}},
	{"OneKeepsAll", func(s *storeTest) {
		free := s.pushImage(repoA, mirror.Pushed, image{config: "free"}, "v1")
		kept := s.pushImage(repoA, mirror.Pushed, image{config: "kept"}, "v2")
		s.push(repoA, "a blob")
		c := deleteRequest(repoA, nil, free, kept)
		c.Tags = []mirror.ObservedTag{{Name: "v1", Digest: free.Digest}}
		c.Blobs = digests("a blob")
		result := s.sweepOne(c)
		if result.Kept == "" || result.Tags != 0 || result.Manifests != 0 {
			s.t.Errorf("result is %+v", result)
		}
		if !slices.Equal(result.Blobs, digests("a blob")) { // each blob is checked on its own
			s.t.Errorf("deleted blobs are %v", result.Blobs)
		}
		s.wantTag(repoA, "v1", free.Digest, mirror.Pushed)
		s.wantManifest(repoA, free)
	}},
	{"ProtectedBlobs", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer"}})
		s.push(repoA, "a blob")
		release := s.Protect(digests("layer", "a blob")...)
		s.wantDeleted(s.sweepOne(deleteRequest(repoA, nil, m)), 0, 1, string(m.Bytes), "{}")
		c := mirror.DeleteRequest{Blobs: digests("layer", "a blob"), Before: time.Now()}
		s.wantDeleted(s.sweepOne(c), 0, 0)
		s.wantBlob(repoA, "layer", true)
		s.wantProtected(digest.FromString("layer"), true)
		release()
		release()
		s.wantProtected(digest.FromString("layer"), false)
		c.Before = time.Now()
		s.wantDeleted(s.sweepOne(c), 0, 0, "layer", "a blob")
	}},
}

const usedSince, rootSince = "was used since", "was added by its digest since"

// keptCase tests an image with one blob and the tag v1. The delete request is made, then happens is called, then the
// request is executed. want is part of the reason to keep the image.
func keptCase(name, want string, happens func(s *storeTest, m mirror.Manifest)) storeCase {
	return storeCase{name, func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		c := deleteRequest(repoA, []string{"v1"}, m)
		happens(s, m)
		if want != usedSince && want != rootSince { // its use would be a reason on its own
			c.Manifests[0].Used = time.Now()
		}
		result := s.sweepOne(c)
		if !strings.Contains(result.Kept, want) || fmt.Sprint(result) != fmt.Sprint(mirror.DeleteResult{Kept: result.Kept, Longest: result.Longest}) {
			s.t.Errorf("result is %+v, want it kept because it %q", result, want)
		}
		s.wantManifest(repoA, m)
		s.wantBlob(repoA, "{}", true)
	}}
}

func (s *storeTest) pin(ref mirror.Ref) {
	s.t.Helper()
	s.wantPinned(ref, false)
	s.must(s.SetState(s.ctx, mirror.PinState, map[string][]byte{ref.String(): []byte("{}")}))
	s.wantPinned(ref, true)
}

func (s *storeTest) wantPinned(ref mirror.Ref, want bool) {
	s.t.Helper()
	s.must(s.Survey(s.ctx, func(v mirror.Survey) error {
		if got := v.Pinned(ref); got != want {
			s.t.Errorf("%s is pinned: %v, want %v", ref, got, want)
		}
		return nil
	}))
}

func (s *storeTest) wantProtected(d digest.Digest, want bool) {
	s.t.Helper()
	s.must(s.Survey(s.ctx, func(v mirror.Survey) error {
		if got := v.Protected(d); got != want {
			s.t.Errorf("%s is protected: %v, want %v", d, got, want)
		}
		return nil
	}))
}
