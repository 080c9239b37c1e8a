package cachetest

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

var storeCatalogTests = []storeCase{
	{"Summaries", testSummaries},
	{"Attached", testAttached},
	{"Users", func(s *storeTest) {
		shared := image{config: "config", layers: []string{"layer"}}
		man := s.pushImage(repoA, mirror.Pushed, shared, "a")
		s.pushImage(repoA, mirror.Pushed, image{config: "other", layers: []string{"layer"}}, "b")
		s.pushImage(repoB, mirror.Pushed, shared, "a")
		digests := []digest.Digest{digest.FromString("layer"), digest.FromString("other"), man.Digest, digest.FromString("nothing")}
		for most, want := range map[int][]int{9: {3, 1, 0, 0}, 2: {2, 1, 0, 0}} {
			got, err := s.Users(s.ctx, digests, most)
			if s.must(err); !slices.Equal(got, want) {
				s.t.Errorf("%v users of %v, up to %d; want %v", got, digests, most, want)
			}
		}
	}},
	{"RepoOrigin", func(s *storeTest) {
		for i, origin := range []mirror.Origin{mirror.Pushed, mirror.Mirrored, mirror.Imported} {
			repo := []mirror.Repo{repoA, repoA2, repoB}[i]
			_, err := s.RepoOrigin(s.ctx, repo)
			s.wantCode(err, mirror.CodeNameUnknown)
			s.push(repo, "{}") // a blob does not create a repository
			_, err = s.RepoOrigin(s.ctx, repo)
			s.wantCode(err, mirror.CodeNameUnknown)
			s.pushImage(repo, origin, image{config: "{}"})
			for _, next := range []mirror.Origin{mirror.Mirrored, mirror.Pushed, mirror.Imported} {
				s.pushImage(repo, next, image{config: string(next)})
				if got, err := s.RepoOrigin(s.ctx, repo); got != origin || err != nil {
					s.t.Errorf("origin of %s is %q, %v; want that of the first manifest, %q", repo, got, err, origin)
				}
			}
		}
	}},
	{"Repos", func(s *storeTest) {
		s.wantRepos("", 9)
		hosted := mirror.Repo{Host: "docker.io:443", Path: "z"}
		for _, repo := range []mirror.Repo{repoB, hosted, repoA2, repoA} {
			s.pushImage(repo, mirror.Pushed, image{config: "{}"})
		}
		s.wantRepos("", 9, repoA, repoA2, repoB, hosted)
		s.wantRepos("", 2, repoA, repoA2)
		s.wantRepos("", 0)
		s.wantRepos(repoA2.String(), 1, repoB)
		s.wantRepos("docker.io/library/a1", 1, repoA2)
		s.wantRepos(hosted.String(), 9)
	}},
	{"Tags", func(s *storeTest) {
		_, err := s.Tags(s.ctx, repoA, "", 9)
		s.wantCode(err, mirror.CodeNameUnknown)
		s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "b", "B", "a", "a.1", "a-1", "10", "9")
		s.pushImage(repoA2, mirror.Pushed, image{config: "{}"}, "other")
		s.wantTags(repoA, "", 99, "10", "9", "B", "a", "a-1", "a.1", "b")
		s.wantTags(repoA, "", 3, "10", "9", "B")
		s.wantTags(repoA, "B", 2, "a", "a-1")
		s.wantTags(repoA, "C", 2, "a", "a-1")
		s.wantTags(repoA, "b", 2)
		s.wantTags(repoA, "", 0)
	}},
	{"RepositoryWithoutManifests", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		s.wantTags(repoA, "", 9)
		s.wantRepos("", 9, repoA)
		if got, err := s.RepoOrigin(s.ctx, repoA); got != mirror.Pushed || err != nil {
			s.t.Errorf("origin is %q, %v; want a local repository", got, err)
		}
	}},
	{"Referrers", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		s.wantReferrers(repoA, m.Digest)
		signature := image{config: "{}", layers: []string{"signature"}, subject: m.Digest,
			artifactType: "application/vnd.signature", annotations: map[string]string{"by": "somebody"}}
		plain := image{config: "{}", layers: []string{"plain"}, subject: m.Digest}
		signed, other := s.pushImage(repoA, mirror.Pushed, signature), s.pushImage(repoA, mirror.Pushed, plain)
		s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"referrer of a referrer"}, subject: signed.Digest})
		s.must(s.PutManifest(s.ctx, repoA, signed)) // again, which changes nothing
		first := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: signed.Digest, Size: int64(len(signed.Bytes)),
			ArtifactType: "application/vnd.signature", Annotations: map[string]string{"by": "somebody"}}
		second := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: other.Digest, Size: int64(len(other.Bytes)),
			ArtifactType: v1.MediaTypeImageConfig}
		s.wantReferrers(repoA, m.Digest, first, second)
		s.wantReferrers(repoB, m.Digest)
		s.must(s.DeleteManifest(s.ctx, repoA, m.Digest)) // the subject need not be stored
		s.wantReferrers(repoA, m.Digest, first, second)
		s.must(s.DeleteManifest(s.ctx, repoA, signed.Digest))
		s.wantReferrers(repoA, m.Digest, second)
	}},
	{"ReferrersInPages", func(s *storeTest) {
		subject := digest.FromString("subject")
		var all []digest.Digest
		for i := range 7 {
			m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", subject: subject,
				annotations: map[string]string{"i": strings.Repeat(strconv.Itoa(i), 1000)}})
			all = append(all, m.Digest)
		}
		slices.Sort(all)
		for _, tt := range []struct{ n, size, want int }{
			{99, 1 << 20, 7}, {7, 1 << 20, 7}, {6, 1 << 20, 6}, {1, 1 << 20, 1}, {99, 3000, 2}, {99, 10, 1}, {99, 0, 1}, {0, 10, 0},
		} {
			var got []digest.Digest
			for after, more := digest.Digest(""), true; more; {
				list, goesOn, err := s.Referrers(s.ctx, repoA, subject, after, tt.n, tt.size)
				s.must(err)
				if len(list) > tt.want || goesOn && len(list) != tt.want {
					s.t.Errorf("page of %d, want %d", len(list), tt.want)
				}
				for _, desc := range list {
					after = desc.Digest
					got = append(got, after)
				}
				more = goesOn && len(list) > 0
			}
			if want := all[:min(7, 7*tt.n)]; !slices.Equal(got, want) {
				s.t.Errorf("up to %d of %d bytes: %v, want %v", tt.n, tt.size, got, want)
			}
		}
	}},
}

func (s *storeTest) wantRepos(after string, n int, want ...mirror.Repo) {
	s.t.Helper()
	got, err := s.Repos(s.ctx, after, n)
	if err != nil || !slices.Equal(got, want) {
		s.t.Errorf("%d repositories after %q: %v, %v; want %v", n, after, got, err, want)
	}
}

func (s *storeTest) wantTags(repo mirror.Repo, after string, n int, want ...string) {
	s.t.Helper()
	got, err := s.Tags(s.ctx, repo, after, n)
	if err != nil || !slices.Equal(got, want) {
		s.t.Errorf("%d tags after %q: %q, %v; want %q", n, after, got, err, want)
	}
}

func (s *storeTest) wantReferrers(repo mirror.Repo, subject digest.Digest, want ...v1.Descriptor) {
	s.t.Helper()
	slices.SortFunc(want, func(a, b v1.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	got, _, err := s.Referrers(s.ctx, repo, subject, "", 99, 1<<20)
	if err != nil || !slices.EqualFunc(got, want, func(a, b v1.Descriptor) bool { return reflect.DeepEqual(a, b) }) {
		s.t.Errorf("referrers of %s in %s:\n%+v, %v; want\n%+v", subject, repo, got, err, want)
	}
}
