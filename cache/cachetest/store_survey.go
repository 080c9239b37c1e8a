package cachetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeSurveyTests = []storeCase{
	{"EmptyStore", func(s *storeTest) {
		if v := s.survey(); len(v.repos)+len(v.manifests)+len(v.tags)+len(v.blobs) != 0 {
			s.t.Errorf("survey of an empty store: %+v", v)
		}
	}},
	{"Everything", testSurvey},
	{"Refs", testSurveyRefs},
	{"ConsistentView", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		after := make(chan error)
		s.must(s.Survey(s.ctx, func(v mirror.Survey) error {
			go func() { after <- s.DeleteManifest(s.ctx, repoA, m.Digest) }()
			s.must(<-after) // writers do not wait for the survey
			tags, manifests := 0, 0
			for range v.Tags() {
				tags++
			}
			for range v.Manifests() {
				manifests++
			}
			if tags != 1 || manifests != 1 {
				s.t.Errorf("%d tags and %d manifests; want the state at the start of the survey", tags, manifests)
			}
			return nil
		}))
	}},
	{"Errors", func(s *storeTest) {
		s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		wrong := errors.New("wrong")
		if err := s.Survey(s.ctx, func(mirror.Survey) error { return wrong }); !errors.Is(err, wrong) {
			s.t.Errorf("survey returned %v, want %v", err, wrong)
		}
		cancelled, cancel := context.WithCancel(s.ctx)
		cancel()
		err := s.Survey(cancelled, func(mirror.Survey) error { return nil })
		if !errors.Is(err, context.Canceled) {
			s.t.Errorf("survey returned %v, want %v", err, context.Canceled)
		}
	}},
	{"StoppedIterators", func(s *storeTest) {
		for i := range 5 {
			s.pushImage(repoA, mirror.Pushed, image{config: fmt.Sprint(i)}, fmt.Sprint("v", i))
		}
		s.must(s.Survey(s.ctx, func(v mirror.Survey) error {
			for range v.Manifests() {
				break
			}
			for range v.Tags() {
				break
			}
			for range v.Blobs() {
				break
			}
			return nil
		}))
	}},
}

// surveyCopy is a copy of a survey.
type surveyCopy struct {
	repos     []mirror.SurveyedRepo
	manifests []mirror.SurveyedManifest
	tags      []mirror.SurveyedTag
	blobs     []mirror.SurveyedBlob
}

// survey copies a survey and checks its order.
func (s *storeTest) survey() surveyCopy {
	s.t.Helper()
	return s.copySurvey(func(f func(mirror.Survey) error) error { return s.Survey(s.ctx, f) })
}

func (s *storeTest) copySurvey(survey func(func(mirror.Survey) error) error) (got surveyCopy) {
	s.t.Helper()
	s.must(survey(func(v mirror.Survey) error {
		got.repos = slices.Clone(v.Repos())
		for m, err := range v.Manifests() {
			s.must(err)
			copied := *m
			copied.Blobs, copied.Children, copied.Owned = slices.Clone(m.Blobs), slices.Clone(m.Children), slices.Clone(m.Owned)
			got.manifests = append(got.manifests, copied)
		}
		for tag, err := range v.Tags() {
			s.must(err)
			got.tags = append(got.tags, tag)
		}
		for b, err := range v.Blobs() {
			s.must(err)
			copied := *b
			copied.Repos = slices.Clone(b.Repos)
			got.blobs = append(got.blobs, copied)
		}
		return nil
	}))
	for what, sorted := range map[string]bool{
		"repositories": slices.IsSortedFunc(got.repos, func(a, b mirror.SurveyedRepo) int { return order(a.Repo.String(), b.Repo.String()) }),
		"manifests": slices.IsSortedFunc(got.manifests, func(a, b mirror.SurveyedManifest) int {
			return order(fmt.Sprintf("%9d %s", a.Repo, a.Digest), fmt.Sprintf("%9d %s", b.Repo, b.Digest))
		}),
		"tags": slices.IsSortedFunc(got.tags, func(a, b mirror.SurveyedTag) int {
			return order(fmt.Sprintf("%9d %s", a.Repo, a.Name), fmt.Sprintf("%9d %s", b.Repo, b.Name))
		}),
		"blobs": slices.IsSortedFunc(got.blobs, func(a, b mirror.SurveyedBlob) int { return order(string(a.Digest), string(b.Digest)) }),
	} {
		if !sorted {
			s.t.Errorf("%s are not in order", what)
		}
	}
	return got
}

// order compares two strings. Equal ones are out of order.
func order(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// surveyBlob returns blob d of a survey, or the zero value if it is not stored.
func (s *storeTest) surveyBlob(d digest.Digest) mirror.SurveyedBlob {
	s.t.Helper()
	for _, b := range s.survey().blobs {
		if b.Digest == d {
			return b
		}
	}
	return mirror.SurveyedBlob{}
}

func testSurvey(s *storeTest) {
	before := time.Now()
	base := s.push(repoA2, "base") // repoA2 is linked to a blob but has no manifest, so it is not in the survey
	child := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"base", "layer", "layer"}}, "v1", "latest")
	parent := index(mirror.Pushed, child, image{config: "sparse"}.manifest(mirror.Pushed))
	s.must(s.PutManifest(s.ctx, repoA, parent, "multi"))
	referrer := s.pushImage(repoA, mirror.Pushed, image{config: "sig", subject: child.Digest, artifactType: "application/x.sig"})
	mirrored := image{config: "far", layers: []string{"base"}}.manifest(mirror.Mirrored)
	s.must(s.PutManifest(s.ctx, repoB, mirrored, "v1"))
	errOf(s.Manifest(s.ctx, repoB, mirrored.Digest))
	after := time.Now()
	got := s.survey()

	repos := []mirror.SurveyedRepo{{Repo: repoA, Origin: mirror.Pushed}, {Repo: repoB, Origin: mirror.Mirrored}}
	if !slices.Equal(got.repos, repos) {
		s.t.Errorf("repositories are %+v, want %+v", got.repos, repos)
	}
	var tags []string
	for _, tag := range got.tags {
		tags = append(tags, fmt.Sprint(tag.Repo, tag.Name, tag.Digest, tag.Origin))
	}
	want := []string{
		fmt.Sprint(0, "latest", child.Digest, mirror.Pushed), fmt.Sprint(0, "multi", parent.Digest, mirror.Pushed),
		fmt.Sprint(0, "v1", child.Digest, mirror.Pushed), fmt.Sprint(1, "v1", mirrored.Digest, mirror.Mirrored),
	}
	if !slices.Equal(tags, want) {
		s.t.Errorf("tags are %q, want %q", tags, want)
	}
	if len(got.manifests) != 4 {
		s.t.Errorf("%d manifests, want 4", len(got.manifests))
	}
	for _, m := range got.manifests {
		var want mirror.SurveyedManifest
		switch m.Digest {
		case child.Digest:
			want = mirror.SurveyedManifest{Blobs: digests("{}", "base", "layer"), ArtifactType: "application/vnd.oci.image.config.v1+json"}
		case parent.Digest:
			want = mirror.SurveyedManifest{Children: []digest.Digest{child.Digest, image{config: "sparse"}.manifest("").Digest}}
		case referrer.Digest:
			want = mirror.SurveyedManifest{Blobs: digests("sig"), Subject: child.Digest, ArtifactType: "application/x.sig"}
		case mirrored.Digest:
			want = mirror.SurveyedManifest{Repo: 1, Blobs: digests("far", "base"), ArtifactType: "application/vnd.oci.image.config.v1+json"}
		}
		if m.Repo != want.Repo || m.Subject != want.Subject || m.ArtifactType != want.ArtifactType ||
			!slices.Equal(m.Blobs, want.Blobs) || !slices.Equal(m.Children, want.Children) || !slices.Equal(m.Owned, want.Owned) {
			s.t.Errorf("manifest is %+v, want %+v", m, want)
		}
		if m.Added.Before(before) || m.Added.After(after) || m.Size == 0 || m.MediaType == "" || m.Origin != repos[m.Repo].Origin {
			s.t.Errorf("manifest is %+v", m)
		}
		if used := !m.Used.IsZero(); used != (m.Digest == mirrored.Digest) {
			s.t.Errorf("manifest %s was used at %v", m.Digest, m.Used)
		}
	}
	users := map[digest.Digest]int{
		base: 2, digest.FromString("layer"): 1, digest.FromString("{}"): 1, digest.FromString("sig"): 1,
		child.Digest: 2, parent.Digest: 1, referrer.Digest: 1, mirrored.Digest: 1,
	}
	if len(got.blobs) != len(users) {
		s.t.Errorf("%d blobs, want %d", len(got.blobs), len(users))
	}
	for _, b := range got.blobs {
		repos := []int{0}
		switch b.Digest {
		case base:
			repos = []int{0, 1}
		case mirrored.Digest:
			repos = []int{1}
		}
		if b.Users != users[b.Digest] || !slices.Equal(b.Repos, repos) || b.Size == 0 ||
			b.Added.Before(before) || b.Used.Before(b.Added) || b.Used.After(after) {
			s.t.Errorf("blob is %+v, want %d users in %v", b, users[b.Digest], repos)
		}
	}
}

func digests(blobs ...string) (list []digest.Digest) {
	for _, blob := range blobs {
		list = append(list, digest.FromString(blob))
	}
	return list
}
