package cachetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeSweepTests = []storeCase{
	{"Image", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer", "layer"}}, "v1")
		s.wantManifest(repoA, m) // which may be cached from now on
		s.wantTag(repoA, "v1", m.Digest, mirror.Pushed)
		result := s.sweepOne(deleteRequest(repoA, []string{"v1"}, m))
		s.wantDeleted(result, 1, 1, string(m.Bytes), "{}", "layer")
		s.wantCode(errOf(s.Manifest(s.ctx, repoA, m.Digest)), mirror.CodeManifestUnknown)
		s.wantTag(repoA, "v1", "", "")
		for _, blob := range []string{"{}", "layer"} {
			s.wantBlob(repoA, blob, false)
			s.wantStat(repoA, digest.FromString(blob), mirror.BlobStat{})
		}
		s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer"}}, "v1") // it can be pushed again
		s.wantBlob(repoA, "layer", true)
	}},
	{"SharedBlobs", func(s *storeTest) {
		old := s.pushImage(repoA, mirror.Pushed, image{config: "old", layers: []string{"base", "both"}}, "v1")
		s.pushImage(repoA, mirror.Pushed, image{config: "new", layers: []string{"base"}}, "v1")
		s.pushImage(repoB, mirror.Pushed, image{config: "other", layers: []string{"both"}}, "v1")
		result := s.sweepOne(deleteRequest(repoA, nil, old))
		s.wantDeleted(result, 0, 1, string(old.Bytes), "old")
		s.wantBlob(repoA, "base", true)
		s.wantBlob(repoB, "both", true)
		s.wantBlob(repoA, "both", false) // no manifest of repoA needs it
	}},
	{"SameInTwoRepositories", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		s.pushImage(repoB, mirror.Pushed, image{config: "{}"}, "v1")
		s.wantDeleted(s.sweepOne(deleteRequest(repoA, []string{"v1"}, m)), 1, 1)
		s.wantManifest(repoB, m)
		s.wantBlob(repoB, "{}", true)
		s.wantDeleted(s.sweepOne(deleteRequest(repoB, []string{"v1"}, m)), 1, 1, string(m.Bytes), "{}")
	}},
	{"IndexWithChildren", func(s *storeTest) {
		one := s.pushImage(repoA, mirror.Pushed, image{config: "one", layers: []string{"base"}})
		two := s.pushImage(repoA, mirror.Pushed, image{config: "two", layers: []string{"base"}})
		both := index(mirror.Pushed, one, two)
		s.must(s.PutManifest(s.ctx, repoA, both, "v1"))
		result := s.sweepOne(deleteRequest(repoA, []string{"v1"}, one, both, two))
		s.wantDeleted(result, 1, 3, string(both.Bytes), string(one.Bytes), string(two.Bytes), "one", "two", "base")
	}},
	{"Referrer", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		sig := s.pushImage(repoA, mirror.Pushed, image{config: "sig", subject: m.Digest})
		c := deleteRequest(repoA, nil, sig)
		if result := s.sweepOne(c); !strings.Contains(result.Kept, "which is kept") {
			s.t.Errorf("a referrer whose subject is kept: %+v", result)
		}
		c.Referrers = true
		s.wantDeleted(s.sweepOne(c), 0, 1, string(sig.Bytes), "sig")
		if list, _, err := s.Referrers(s.ctx, repoA, m.Digest, "", 10, 1<<20); err != nil || len(list) != 0 {
			s.t.Errorf("referrers are %v, %v after the only one was deleted", list, err)
		}
		s.wantManifest(repoA, m)
		sig = s.pushImage(repoA, mirror.Pushed, image{config: "sig", subject: m.Digest})
		s.wantDeleted(s.sweepOne(deleteRequest(repoA, []string{"v1"}, m, sig)), 1, 2, string(sig.Bytes), "sig", string(m.Bytes), "{}")
	}},
	{"Incomplete", func(s *storeTest) {
		m := image{config: "{}", layers: []string{"layer"}}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
		s.receive(repoA, "{}")
		s.wantDeleted(s.sweepOne(deleteRequest(repoA, []string{"v1"}, m)), 1, 1, string(m.Bytes), "{}")
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{})
	}},
	{"TagWithoutImage", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1", "v2")
		c := deleteRequest(repoA, nil)
		c.Tags = []mirror.ObservedTag{{Name: "v1", Digest: m.Digest}}
		s.wantDeleted(s.sweepOne(c), 1, 0)
		s.wantTag(repoA, "v1", "", "")
		s.wantTag(repoA, "v2", m.Digest, mirror.Pushed)
		s.wantManifest(repoA, m)
	}},
	{"AlreadyDeleted", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		rest := s.pushImage(repoA, mirror.Pushed, image{config: "rest"}, "v2")
		c := deleteRequest(repoA, []string{"v1"}, m)
		s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		s.wantDeleted(s.sweepOne(c), 0, 0)
		c = deleteRequest(repoA, []string{"v2"}, m, rest)
		c.Tags[0].Digest = rest.Digest
		s.must(s.DeleteTag(s.ctx, repoA, "v2"))
		s.wantDeleted(s.sweepOne(c), 0, 1, string(rest.Bytes), "rest")
	}},
	{"Repositories", func(s *storeTest) {
		local := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		far := image{config: "far"}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoB, far, "v1", "v2"))
		s.sweepOne(deleteRequest(repoA, []string{"v1"}, local))
		if origin, err := s.RepoOrigin(s.ctx, repoA); err != nil || origin != mirror.Pushed {
			s.t.Errorf("origin of %s is %s, %v; want it kept, so that no upstream can take it over", repoA, origin, err)
		}
		s.sweepOne(deleteRequest(repoB, []string{"v1"}, far)) // the tag v2 keeps it
		if _, err := s.RepoOrigin(s.ctx, repoB); err != nil {
			s.t.Error(err)
		}
		s.sweepOne(deleteRequest(repoB, []string{"v1", "v2"}, far))
		s.wantCode(errOf(s.RepoOrigin(s.ctx, repoB)), mirror.CodeNameUnknown)
		s.pushImage(repoB, mirror.Mirrored, image{config: "far"})
		s.must(s.DeleteManifest(s.ctx, repoB, image{config: "far"}.manifest("").Digest))
		s.must(errOf(s.RepoOrigin(s.ctx, repoB)))
		s.sweepOne(deleteRequest(repoB, nil))
		s.wantCode(errOf(s.RepoOrigin(s.ctx, repoB)), mirror.CodeNameUnknown)
	}},
	{"Blobs", func(s *storeTest) {
		s.push(repoA, "unused")
		s.push(repoB, "unused")
		s.pushImage(repoA, mirror.Pushed, image{config: "used"}, "v1")
		deleted := s.pushImage(repoA, mirror.Pushed, image{config: "left"})
		s.must(s.DeleteManifest(s.ctx, repoA, deleted.Digest))
		c := mirror.DeleteRequest{Blobs: append(digests("unused", "used", "left", "never seen"), deleted.Digest), Before: time.Now()}
		s.wantDeleted(s.sweepOne(c), 0, 0, "unused", "left", string(deleted.Bytes))
		s.wantBlob(repoA, "used", true)
		s.wantBlob(repoB, "unused", false)
	}},
	{"ManyBlobs", func(s *storeTest) {
		var blobs []string
		for i := range 300 {
			blobs = append(blobs, fmt.Sprint("blob ", i))
			s.push(repoA, blobs[i])
		}
		result := s.sweepOne(mirror.DeleteRequest{Blobs: digests(blobs...), Before: time.Now()})
		s.wantDeleted(result, 0, 0, blobs...)
		if result.Longest <= 0 {
			s.t.Errorf("the longest transaction took %v", result.Longest)
		}
	}},
	{"ManyRequests", func(s *storeTest) {
		var plan []mirror.DeleteRequest
		for i := range 200 {
			m := s.pushImage(repoA, mirror.Pushed, image{config: fmt.Sprint(i)}, fmt.Sprint("v", i))
			c := deleteRequest(repoA, []string{fmt.Sprint("v", i)}, m)
			if i%3 == 1 {
				c.Tags = nil // the tag keeps the manifest
			}
			plan = append(plan, c)
		}
		for i, result := range s.sweep(plan...) {
			if kept := i%3 == 1; kept != (result.Kept != "") || kept != (result.Manifests == 0) || kept != (len(result.Blobs) == 0) {
				s.t.Errorf("%d: %+v", i, result)
			}
			if want := digest.FromString(fmt.Sprint(i)); i%3 != 1 && !slices.Contains(result.Blobs, want) {
				s.t.Errorf("%d: %v were deleted, not %s: results are out of order", i, result.Blobs, want)
			}
		}
	}},
	{"Canceled", func(s *storeTest) {
		s.push(repoA, "a blob")
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		err := s.Sweep(ctx, slices.Values([]mirror.DeleteRequest{{Blobs: digests("a blob"), Before: time.Now()}}), nil)
		if !errors.Is(err, context.Canceled) {
			s.t.Errorf("sweep returned %v, want %v", err, context.Canceled)
		}
		s.wantBlob(repoA, "a blob", true)
	}},
}

// deleteRequest requests the deletion of manifests as they are now, and of tags that point at the index among them
// or, without an index, at the first.
func deleteRequest(repo mirror.Repo, tags []string, manifests ...mirror.Manifest) mirror.DeleteRequest {
	c := mirror.DeleteRequest{Repo: repo, Before: time.Now()}
	var tagged digest.Digest
	for _, m := range manifests {
		c.Manifests = append(c.Manifests, mirror.ObservedManifest{Digest: m.Digest, Used: c.Before})
		if tagged == "" || mirror.IsIndex(m.MediaType) {
			tagged = m.Digest
		}
	}
	for _, tag := range tags {
		c.Tags = append(c.Tags, mirror.ObservedTag{Name: tag, Digest: tagged})
	}
	return c
}

// sweep executes delete requests and returns the results.
func (s *storeTest) sweep(plan ...mirror.DeleteRequest) (result []mirror.DeleteResult) {
	s.t.Helper()
	s.must(s.Sweep(s.ctx, slices.Values(plan), func(one mirror.DeleteResult) { result = append(result, one) }))
	if len(result) != len(plan) {
		s.t.Fatalf("%d results of %d requests", len(result), len(plan))
	}
	return result
}

func (s *storeTest) sweepOne(c mirror.DeleteRequest) mirror.DeleteResult {
	s.t.Helper()
	return s.sweep(c)[0]
}

// wantDeleted checks what a result says that was deleted.
func (s *storeTest) wantDeleted(result mirror.DeleteResult, tags, manifests int, blobs ...string) {
	s.t.Helper()
	size := 0
	for _, blob := range blobs {
		size += len(blob)
	}
	if result.Kept != "" || result.Tags != tags || result.Manifests != manifests || result.Bytes != int64(size) {
		s.t.Errorf("result is %+v, want %d tags, %d manifests, %d bytes", result, tags, manifests, size)
	}
	want := digests(blobs...)
	slices.Sort(want)
	slices.Sort(result.Blobs)
	if !slices.Equal(result.Blobs, want) {
		s.t.Errorf("deleted blobs are %v, want %v", result.Blobs, want)
	}
}
