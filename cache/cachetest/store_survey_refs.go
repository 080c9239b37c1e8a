package cachetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// testSurveyRefs surveys what belongs to a reference, or needs it, in each direction.
func testSurveyRefs(s *storeTest) {
	names := make(map[digest.Digest]string)
	named := func(name string, m mirror.Manifest) mirror.Manifest {
		names[m.Digest] = name
		return m
	}
	put := func(name string, m mirror.Manifest, tags ...string) mirror.Manifest {
		s.must(s.PutManifest(s.ctx, repoA, m, tags...))
		return named(name, m)
	}
	one := named("one", s.pushImage(repoA, mirror.Pushed, image{config: "one", layers: []string{"base"}}, "one"))
	two := named("two", s.pushImage(repoA, mirror.Pushed, image{config: "two", layers: []string{"base"}}, "two"))
	both := put("both", index(mirror.Pushed, one, two), "both")
	put("outer", index(mirror.Pushed, both), "outer")
	signature := named("signature", s.pushImage(repoA, mirror.Pushed, image{config: "signature", subject: one.Digest}))
	named("tagged", s.pushImage(repoA, mirror.Pushed, image{config: "tagged"}, mirror.SubjectTag(two.Digest)+".sig"))
	named("other", s.pushImage(repoA, mirror.Pushed, image{config: "other", layers: []string{"base"}}, "other"))
	named("elsewhere", s.pushImage(repoB, mirror.Pushed, image{config: "elsewhere", layers: []string{"base"}}, "one"))

	for _, c := range []struct {
		refs      []mirror.Ref
		manifests string
		blobs     string // with the number of their users
	}{
		{[]mirror.Ref{{Repo: repoA, Tag: "other"}}, "other", "base:2 other:1"},
		{[]mirror.Ref{{Repo: repoA, Tag: "one"}}, "both one outer signature", "base:4 one:1 signature:1"},
		{[]mirror.Ref{{Repo: repoA, Digest: two.Digest}}, "both outer tagged two", "base:4 tagged:1 two:1"},
		{[]mirror.Ref{{Repo: repoA, Tag: "both"}}, "both one outer signature tagged two", "base:4 one:1 signature:1 tagged:1 two:1"},
		{[]mirror.Ref{{Repo: repoA, Digest: signature.Digest}}, "both one outer signature", "signature:1"},
		{[]mirror.Ref{{Repo: repoA, Tag: mirror.SubjectTag(two.Digest) + ".sig"}}, "both outer tagged two", "tagged:1"},
		{[]mirror.Ref{{Repo: repoA, Tag: "other"}, {Repo: repoB, Tag: "one"}}, "elsewhere other", "base:3 elsewhere:1 other:1"},
		{[]mirror.Ref{{Repo: repoA2, Tag: "none"}, {Repo: repoA, Tag: "none"}, {Repo: repoB, Digest: one.Digest}}, "", ""},
	} {
		got := s.copySurvey(func(f func(mirror.Survey) error) error { return s.SurveyRefs(s.ctx, c.refs, f) })
		var manifests, blobs []string
		tags := make(map[string]bool)
		for _, m := range got.manifests {
			manifests = append(manifests, names[m.Digest])
			if m.Size == 0 || m.MediaType == "" || m.Added.IsZero() || m.Origin != mirror.Pushed {
				s.t.Errorf("manifest is %+v", m)
			}
			tags[names[m.Digest]] = names[m.Digest] != "signature"
		}
		for _, b := range got.blobs {
			for _, blob := range []string{"base", "one", "two", "signature", "tagged", "other", "elsewhere"} {
				if b.Digest == digest.FromString(blob) {
					// Of more users than manifests in the view, not all need be counted.
					blobs = append(blobs, fmt.Sprint(blob, ":", min(b.Users, len(got.manifests)+1)))
				}
			}
		}
		for _, t := range got.tags {
			delete(tags, names[t.Digest])
		}
		maps.DeleteFunc(tags, func(_ string, tagged bool) bool { return !tagged })
		slices.Sort(manifests)
		slices.Sort(blobs)
		if text := strings.Join(manifests, " "); text != c.manifests || len(tags) > 0 {
			s.t.Errorf("manifests for %v are %q, want %q; without their tags: %v", c.refs, text, c.manifests, tags)
		}
		if text := strings.Join(blobs, " "); text != c.blobs {
			s.t.Errorf("blobs for %v are %q, want %q", c.refs, text, c.blobs)
		}
	}
}
