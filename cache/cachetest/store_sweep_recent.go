package cachetest

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// storeSweepRecentTests use a blob that is linked and that no manifest needs.
var storeSweepRecentTests = []storeCase{
	recentCase("Stat", repoA, func(s *storeTest) {
		s.must(errOf(s.StatBlob(s.ctx, repoA, digest.FromString("a blob"))))
	}),
	recentCase("Read", repoA, func(s *storeTest) { s.wantBlob(repoA, "a blob", true) }),
	recentCase("PushedAgain", repoA, func(s *storeTest) { s.push(repoA, "a blob") }),
	recentCase("ReceivedAgain", repoA, func(s *storeTest) { s.receive(repoA, "a blob") }),
	recentCase("MountedAgain", repoA, func(s *storeTest) {
		s.must(errOf(s.Mount(s.ctx, repoA, mirror.Repo{}, digest.FromString("a blob"))))
	}),
	recentCase("Mounted", repoB, func(s *storeTest) {
		s.must(errOf(s.Mount(s.ctx, repoB, repoA, digest.FromString("a blob"))))
	}),
	recentCase("PushedElsewhere", repoB, func(s *storeTest) { s.push(repoB, "a blob") }),
	recentCase("ReceivedWithoutRepository", repoA, func(s *storeTest) { s.receive(mirror.Repo{}, "a blob") }),
	{"StatElsewhere", func(s *storeTest) { // a request without access does not keep it
		s.push(repoA, "a blob")
		before := time.Now()
		s.must(errOf(s.StatBlob(s.ctx, repoB, digest.FromString("a blob"))))
		s.wantDeleted(s.sweepOne(mirror.DeleteRequest{Blobs: digests("a blob"), Before: before}), 0, 0, "a blob")
	}},
	{"OfImage", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer", "base"}}, "v1")
		s.pushImage(repoB, mirror.Pushed, image{config: "other", layers: []string{"base"}}, "v1")
		c := deleteRequest(repoA, []string{"v1"}, m)
		for _, blob := range digests("layer", "base") {
			s.must(errOf(s.StatBlob(s.ctx, repoA, blob)))
		}
		s.wantDeleted(s.sweepOne(c), 1, 1, string(m.Bytes), "{}")
		s.wantBlob(repoA, "layer", true) // the client that requested them can push another image with them
		s.wantBlob(repoA, "base", true)
		s.pushImage(repoA, mirror.Pushed, image{config: "next", layers: []string{"layer", "base"}}, "v1")
	}},
}

// recentCase pushes a blob to repoA, and then calls happens, which uses the blob in repo.
func recentCase(name string, repo mirror.Repo, happens func(s *storeTest)) storeCase {
	return storeCase{name, func(s *storeTest) {
		d := s.push(repoA, "a blob")
		before := time.Now()
		if used := s.surveyBlob(d).Used; !used.Before(before) {
			s.t.Errorf("last use is %v, want before %v", used, before)
		}
		happens(s)
		after := time.Now()
		if used := s.surveyBlob(d).Used; used.Before(before) || used.After(after) {
			s.t.Errorf("last use is %v, want between %v and %v", used, before, after)
		}
		s.wantDeleted(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: before}), 0, 0)
		if stat, err := s.StatBlob(s.ctx, repo, d); err != nil || !stat.Stored || !stat.Linked {
			s.t.Errorf("%+v, %v after it was used", stat, err)
		}
		s.wantDeleted(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: time.Now()}), 0, 0, "a blob")
	}}
}
