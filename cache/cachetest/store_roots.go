package cachetest

import (
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// storeRootTests test manifests that were stored by digest.
var storeRootTests = []storeCase{
	{"Roots", func(s *storeTest) {
		one := s.pushImage(repoA, mirror.Imported, image{config: "1"})
		two := s.pushImage(repoA, mirror.Mirrored, image{config: "2"}, "v2")
		s.pushImage(repoA, mirror.Imported, image{config: "3"})
		other := s.pushImage(repoA2, mirror.Imported, image{config: "1"})
		s.wantRoots(repoA)
		began := time.Now().Add(-time.Minute)
		s.pointTags(false, nil, rootOf(repoA, one), rootOf(repoA, two), rootOf(repoA2, other))
		s.wantRoots(repoA, one, two)
		s.wantRoots(repoA2, other)
		s.wantRoots(repoB)
		for _, r := range s.listRoots(repoA, "", 9) {
			if r.Tagged != (r.Digest == two.Digest) || r.Added.Before(began) {
				s.t.Errorf("%+v, tagged is %s", r, two.Digest)
			}
		}
		before := s.listRoots(repoA, "", 9)
		s.pointTags(false, nil, rootOf(repoA, one)) // again
		if again := s.listRoots(repoA, "", 9); !slices.Equal(again, before) {
			s.t.Errorf("%+v, were %+v", again, before)
		}
		first := s.listRoots(repoA, "", 1)
		if rest := s.listRoots(repoA, first[0].Digest, 9); len(first) != 1 || len(rest) != 1 || first[0] != before[0] || rest[0] != before[1] {
			s.t.Errorf("in pages: %+v and %+v, in one %+v", first, rest, before)
		}
	}},
	{"RootsNeedManifests", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Imported, image{config: "1"})
		_, err := s.PointTags(s.ctx, []mirror.ImportedTag{rootOf(repoA, m), rootOf(repoB, m)}, false)
		s.wantCode(err, mirror.CodeManifestUnknown)
		s.wantRoots(repoA) // all or none are pointed
	}},
	{"RootsAreDeletedWithManifests", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Imported, image{config: "1"}, "v1")
		s.pointTags(false, nil, rootOf(repoA, m))
		s.must(s.DeleteTag(s.ctx, repoA, "v1"))
		s.wantRoots(repoA, m)
		s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		s.wantRoots(repoA)
		s.must(s.PutManifest(s.ctx, repoA, m))
		s.wantRoots(repoA)
	}},
	{"SkipChildren", func(s *storeTest) {
		child := s.pushImage(repoA, mirror.Imported, image{config: "1"})
		s.must(s.PutManifest(s.ctx, repoA, index(mirror.Imported, child), "multi"))
		skipping := rootOf(repoA, child)
		skipping.SkipChildren = true
		s.pointTags(false, nil, skipping)
		s.wantRoots(repoA)
		s.pointTags(false, nil, rootOf(repoA, child))
		s.wantRoots(repoA, child)
		alone := s.pushImage(repoB, mirror.Imported, image{config: "1"})
		skipping.Repo = repoB // its index is in another repository
		s.pointTags(false, nil, skipping)
		s.wantRoots(repoB, alone)
	}},
	{"SurveyedRoots", func(s *storeTest) {
		one := s.pushImage(repoA, mirror.Imported, image{config: "1"})
		s.pushImage(repoA, mirror.Imported, image{config: "2"})
		s.pushImage(repoB, mirror.Imported, image{config: "1"})
		s.pointTags(false, nil, rootOf(repoA, one))
		var found []digest.Digest
		s.must(s.Survey(s.ctx, func(survey mirror.Survey) error {
			for m, err := range survey.Manifests() {
				s.must(err)
				if !m.Root.IsZero() {
					if found = append(found, m.Digest); m.Repo != 0 || !m.Root.Equal(s.listRoots(repoA, "", 1)[0].Added) {
						s.t.Errorf("%+v", m)
					}
				}
			}
			return nil
		}))
		if !slices.Equal(found, []digest.Digest{one.Digest}) {
			s.t.Errorf("found %v, want %s", found, one.Digest)
		}
	}},
	{"Manifests", func(s *storeTest) {
		var all []digest.Digest
		for _, config := range []string{"1", "2", "3", "4"} {
			all = append(all, s.pushImage(repoA, mirror.Imported, image{config: config}).Digest)
		}
		s.pushImage(repoA2, mirror.Imported, image{config: "5"})
		slices.Sort(all)
		s.wantManifests(repoA, "", 9, all...)
		s.wantManifests(repoA, "", 2, all[:2]...)
		for _, d := range all {
			s.wantManifests(repoA, d.String()[:20], 9, d)
			s.wantManifests(repoA, d.String(), 9, d)
		}
		s.wantManifests(repoA, "sha512:", 9)
		s.wantManifests(repoB, "", 9)
	}},
}

func rootOf(repo mirror.Repo, m mirror.Manifest) mirror.ImportedTag {
	return mirror.ImportedTag{Repo: repo, Digest: m.Digest}
}

func (s *storeTest) listRoots(repo mirror.Repo, after digest.Digest, n int) []mirror.Root {
	s.t.Helper()
	roots, err := s.Roots(s.ctx, repo, after, n)
	s.must(err)
	return roots
}

// wantRoots checks which manifests of a repository are roots.
func (s *storeTest) wantRoots(repo mirror.Repo, want ...mirror.Manifest) {
	s.t.Helper()
	var got, digests []digest.Digest
	for _, r := range s.listRoots(repo, "", 99) {
		got = append(got, r.Digest)
	}
	for _, m := range want {
		digests = append(digests, m.Digest)
	}
	slices.Sort(digests)
	if !slices.Equal(got, digests) {
		s.t.Errorf("roots of %s are %v, want %v", repo, got, digests)
	}
}

func (s *storeTest) wantManifests(repo mirror.Repo, begin string, n int, want ...digest.Digest) {
	s.t.Helper()
	got, err := s.Manifests(s.ctx, repo, begin, n)
	s.must(err)
	if !slices.Equal(got, want) {
		s.t.Errorf("manifests of %s that begin with %q: %v, want %v", repo, begin, got, want)
	}
}
