package cachetest

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// storeSweepRecentTests have a use for a blob that is linked and needed by nobody.
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
	{"StatElsewhere", func(s *storeTest) { // who may not read it learns nothing that needs it to stay
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
		s.wantBlob(repoA, "layer", true) // so that who asked can push another image over them
		s.wantBlob(repoA, "base", true)
		s.pushImage(repoA, mirror.Pushed, image{config: "next", layers: []string{"layer", "base"}}, "v1")
	}},
}

// recentCase lets something happen in repo that makes the blob fresh, which was pushed to repoA before.
func recentCase(name string, repo mirror.Repo, happens func(s *storeTest)) storeCase {
	return storeCase{name, func(s *storeTest) {
		d := s.push(repoA, "a blob")
		before := time.Now()
		if fresh := s.surveyBlob(d).Fresh; !fresh.Before(before) {
			s.t.Errorf("fresh at %v, before %v", fresh, before)
		}
		happens(s)
		after := time.Now()
		if fresh := s.surveyBlob(d).Fresh; fresh.Before(before) || fresh.After(after) {
			s.t.Errorf("fresh at %v, want between %v and %v", fresh, before, after)
		}
		s.wantDeleted(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: before}), 0, 0)
		if stat, err := s.StatBlob(s.ctx, repo, d); err != nil || !stat.Stored || !stat.Linked {
			s.t.Errorf("%+v, %v after it was fresh", stat, err)
		}
		s.wantDeleted(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: time.Now()}), 0, 0, "a blob")
	}}
}
