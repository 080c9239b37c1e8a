package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// summaryCounter counts the names that are summarized.
type summaryCounter struct {
	mirror.Store
	summarized atomic.Int64
}

func (s *summaryCounter) Summaries(ctx context.Context, refs []mirror.Ref) ([]mirror.Summary, error) {
	s.summarized.Add(int64(len(refs)))
	return s.Store.Summaries(ctx, refs)
}

// library is a mirror with images of several repositories and platforms.
func library(t *testing.T) (*place, *summaryCounter) {
	t.Helper()
	counting := &summaryCounter{}
	p := startOver(t, proxy.Options{}, func(s mirror.Store) mirror.Store {
		counting.Store = s
		return counting
	})
	for i, path := range []string{"a", "b", "c/d"} {
		repo := mirror.Repo{Host: "origin.test", Path: path}
		amd := on("linux", "amd64", p.origin.image(repo, []string{strings.Repeat("x", 10*i+1)}))
		arm := on("linux", "arm64", p.origin.image(repo, []string{strings.Repeat("y", 30-i)}))
		p.origin.index(repo, []v1.Descriptor{amd, arm}, "multi")
		p.origin.image(repo, []string{strings.Repeat("z", 5+i)}, "single")
		for _, tag := range []string{"multi", "single"} {
			_, err := p.Fetch(t.Context(), ofTag(repo, tag), mirror.FetchOptions{})
			p.must(err)
		}
		root := p.origin.image(repo, []string{"root" + path})
		ref := mirror.Ref{Repo: repo, Digest: root.Digest}
		_, err := p.Fetch(t.Context(), ref, mirror.FetchOptions{})
		p.must(err)
		p.must(p.Pin(t.Context(), ref)) // lists it
	}
	p.must(p.SetMode(t.Context(), mirror.Offline))
	return p, counting
}

// pages reads all pages of a query and checks that each but the last is full.
func (p *place) pages(q mirror.ImageQuery) (images []mirror.Image) {
	p.t.Helper()
	for {
		page, err := p.ImagePage(p.t.Context(), q)
		p.must(err)
		images = append(images, page.Images...)
		if q.After = page.Next; q.After == "" {
			return images
		}
		if len(page.Images) != q.Limit {
			p.t.Fatalf("a page before the last one has %d images, want %d", len(page.Images), q.Limit)
		}
	}
}

// TestImagePagesAreTheList checks for each order and page size that the pages have what a complete list has.
func TestImagePagesAreTheList(t *testing.T) {
	p, _ := library(t)
	p.push(app, "{}")
	p.tag(mirror.SubjectTag(p.tag("signed")) + ".sig")
	linux, err := mirror.ParsePlatforms([]string{"linux/arm64"})
	p.must(err)
	filters := map[string]mirror.ImageFilter{
		"all": {}, "arm64": {Platforms: linux}, "pushed": {Origins: []mirror.Origin{mirror.Pushed}},
		"mirrored": {Origins: []mirror.Origin{mirror.Mirrored}}, "incomplete": {Incomplete: true}, "pinned": {Pinned: true}, "unused": {UnusedSince: time.Now().Add(time.Hour)},
		"signed": {Has: mirror.SignatureReferrer}, "unsigned": {Lacks: mirror.SignatureReferrer}, "sbom": {Has: mirror.SBOMReferrer},
	}
	matches := map[string]mirror.ImageMatch{
		"every name": {},
		"b":          {Repo: func(r mirror.Repo) bool { return r.Path == "b" }},
		"tags": {
			Name:  func(r mirror.Ref) bool { return r.Tag != "" },
			Image: func(i mirror.Image) bool { return i.Tag != "" && i.Index == "" },
		},
	}
	for _, order := range mirror.ImageSorts() {
		for name, filter := range filters {
			for matched, match := range matches {
				var want []mirror.Image
				for image, err := range p.Images(t.Context(), match) {
					if p.must(err); filter.Accepts(image) {
						want = append(want, image)
					}
				}
				slices.SortStableFunc(want, order.Compare)
				for _, reverse := range []bool{false, true} {
					for _, limit := range []int{1, 2, 5, 100} {
						got := p.pages(mirror.ImageQuery{Match: match, Filter: filter, Sort: order, Reverse: reverse, Limit: limit})
						if !slices.Equal(got, want) {
							t.Fatalf("%s of %s by %s, reverse %t, %d a page:\n%v\nwant\n%v", name, matched, order, reverse, limit, got, want)
						}
					}
					slices.Reverse(want)
				}
			}
		}
	}
}

// TestAPageOfNamesReadsNoOthers checks that a page in the order of names takes as many reads as it has images, however many
// images are stored.
func TestAPageOfNamesReadsNoOthers(t *testing.T) {
	p, counting := library(t)
	d := p.origin.image(app, []string{"small"}).Digest
	man, err := p.origin.manifest(byDigest(d))
	p.must(err)
	var tags []string
	for i := range 2000 {
		tags = append(tags, fmt.Sprintf("t%04d", i))
	}
	p.must(p.store.PutManifest(t.Context(), app, man, tags...))
	q := mirror.ImageQuery{Limit: 20, Match: mirror.ImageMatch{Repo: func(r mirror.Repo) bool { return r == app }}}
	for range 3 {
		counting.summarized.Store(0)
		page, err := p.ImagePage(t.Context(), q)
		p.must(err)
		if n := counting.summarized.Load(); n > 25 {
			t.Errorf("a page of %d images after %q read %d names", len(page.Images), q.After, n)
		}
		q.After = page.Next
	}
}

// TestASurveyServesManyLists checks that the images are not walked again for each list and each count.
func TestASurveyServesManyLists(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p, counting := library(t)
		counting.Store = slowStore{counting.Store}
		q := mirror.ImageQuery{Sort: mirror.SortBySize, Limit: 4}
		first, err := p.ImagePage(t.Context(), q)
		p.must(err)
		if first.Matches != 12 || time.Since(first.Surveyed) < time.Second {
			t.Errorf("%d images were surveyed at %s, want 12, a while ago", first.Matches, first.Surveyed)
		}
		counting.summarized.Store(0)
		q.After = first.Next
		second, err := p.ImagePage(t.Context(), q)
		p.must(err)
		counts, err := p.ImageCounts(t.Context(), nil)
		p.must(err)
		if n := counting.summarized.Load(); n > 12 || !second.Surveyed.Equal(first.Surveyed) || !counts.Surveyed.Equal(first.Surveyed) {
			t.Errorf("the second page and the counts read %d names", n)
		}
	})
}

// slowStore takes a second for each summary.
type slowStore struct{ mirror.Store }

func (s slowStore) Summaries(ctx context.Context, refs []mirror.Ref) ([]mirror.Summary, error) {
	later(time.Second)
	return s.Store.Summaries(ctx, refs)
}

// TestAnOldSurveyIsAnsweredOnce checks that counts do not wait for a long survey, and that the next ones are renewed.
func TestAnOldSurveyIsAnsweredOnce(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p, counting := library(t)
		counting.Store = slowStore{counting.Store}
		count := func() (n int, took time.Duration) {
			began := time.Now()
			counts, err := p.ImageCounts(t.Context(), nil)
			p.must(err)
			return counts.Images, time.Since(began)
		}
		if n, took := count(); n != 12 || took == 0 {
			t.Errorf("the first count is %d after %s", n, took)
		}
		man, err := p.store.Manifest(t.Context(), mirror.Repo{Host: "origin.test", Path: "a"}, p.images()["single "].Digest)
		if err != nil { // the digest is that of another repository
			man, err = p.store.Manifest(t.Context(), mirror.Repo{Host: "origin.test", Path: "c/d"}, p.images()["single "].Digest)
		}
		p.must(err)
		p.must(p.store.PutManifest(t.Context(), app, man, "new"))
		later(time.Hour)
		if n, took := count(); n != 12 || took != 0 {
			t.Errorf("an old survey counts %d after %s, want 12 at once", n, took)
		}
		later(time.Minute)
		if n, _ := count(); n != 13 {
			t.Errorf("the next survey counts %d, want 13", n)
		}
	})
}

func TestImageCounts(t *testing.T) {
	p, _ := library(t)
	p.push(app, "{}")
	p.tag("pushed")
	p.must(p.Pin(t.Context(), byTag("pushed")))
	counts, err := p.ImageCounts(t.Context(), nil)
	p.must(err)
	counts.Surveyed = time.Time{}
	want := mirror.ImageCounts{Images: 13, Complete: 13, Pinned: 4, Repositories: 4, Origins: map[mirror.Origin]int{mirror.Mirrored: 12, mirror.Pushed: 1}}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", counts, want)
	}
	some, err := p.ImageCounts(t.Context(), func(r mirror.Repo) bool { return r == app })
	p.must(err)
	if some.Images != 1 || some.Repositories != 1 || some.Origins[mirror.Pushed] != 1 {
		t.Errorf("%+v of one repository", some)
	}
}

func TestAForeignCursorIsRefused(t *testing.T) {
	p, _ := library(t)
	page, err := p.ImagePage(t.Context(), mirror.ImageQuery{Limit: 1})
	p.must(err)
	for _, q := range []mirror.ImageQuery{{After: "?"}, {After: "e30"}, {After: page.Next, Sort: mirror.SortBySize}, {After: page.Next, Reverse: true}} {
		if _, err := p.ImagePage(t.Context(), q); mirror.CodeOf(err) != mirror.CodePaginationInvalid {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
