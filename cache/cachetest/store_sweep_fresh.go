package cachetest

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// storeFreshTests have a use for a blob that is linked and needed by nobody.
var storeFreshTests = []storeCase{
	freshCase("Stat", repoA, func(s *storeTest) {
		s.ok(second(s.StatBlob(s.ctx, repoA, digest.FromString("a blob"))))
	}),
	freshCase("Read", repoA, func(s *storeTest) { s.readable(repoA, "a blob", true) }),
	freshCase("PushedAgain", repoA, func(s *storeTest) { s.push(repoA, "a blob") }),
	freshCase("ReceivedAgain", repoA, func(s *storeTest) { s.receive(repoA, "a blob") }),
	freshCase("MountedAgain", repoA, func(s *storeTest) {
		s.ok(second(s.Mount(s.ctx, repoA, mirror.Repo{}, digest.FromString("a blob"))))
	}),
	freshCase("Mounted", repoB, func(s *storeTest) {
		s.ok(second(s.Mount(s.ctx, repoB, repoA, digest.FromString("a blob"))))
	}),
	freshCase("PushedElsewhere", repoB, func(s *storeTest) { s.push(repoB, "a blob") }),
	freshCase("Carried", repoA, func(s *storeTest) { s.receive(mirror.Repo{}, "a blob") }),
	{"StatElsewhere", func(s *storeTest) { // who may not read it learns nothing that needs it to stay
		s.push(repoA, "a blob")
		before := time.Now()
		s.ok(second(s.StatBlob(s.ctx, repoB, digest.FromString("a blob"))))
		s.went(s.sweepOne(mirror.DeleteRequest{Blobs: digests("a blob"), Before: before}), 0, 0, "a blob")
	}},
	{"OfImage", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer", "base"}}, "v1")
		s.pushImage(repoB, mirror.Pushed, image{config: "other", layers: []string{"base"}}, "v1")
		c := condemn(repoA, []string{"v1"}, m)
		for _, blob := range digests("layer", "base") {
			s.ok(second(s.StatBlob(s.ctx, repoA, blob)))
		}
		s.went(s.sweepOne(c), 1, 1, string(m.Bytes), "{}")
		s.readable(repoA, "layer", true) // so that who asked can push another image over them
		s.readable(repoA, "base", true)
		s.pushImage(repoA, mirror.Pushed, image{config: "next", layers: []string{"layer", "base"}}, "v1")
	}},
}

// freshCase lets something happen in repo that makes the blob fresh, which was pushed to repoA before.
func freshCase(name string, repo mirror.Repo, happens func(s *storeTest)) storeCase {
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
		s.went(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: before}), 0, 0)
		if stat, err := s.StatBlob(s.ctx, repo, d); err != nil || !stat.Stored || !stat.Linked {
			s.t.Errorf("%+v, %v after it was fresh", stat, err)
		}
		s.went(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: time.Now()}), 0, 0, "a blob")
	}}
}
