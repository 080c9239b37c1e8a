package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func TestImages(t *testing.T) {
	p := start(t, proxy.Options{})
	amd := on("linux", "amd64", p.origin.image(app, []string{"shared", "amd64"}))
	arm := on("linux", "arm64", p.origin.image(app, []string{"shared", "arm64"}))
	attestation := on("unknown", "unknown", p.origin.about(app, amd, "attestation", false))
	index := p.origin.index(app, []v1.Descriptor{amd, arm, attestation}, "v1")
	alone := p.origin.image(app, []string{"alone"}, "alone")
	p.stat(byTag("v1"), index.Digest)
	p.stat(byTag("alone"), alone.Digest)
	p.stat(byDigest(amd.Digest), amd.Digest)
	p.must(p.FetchBlob(t.Context(), app, digest.FromString("shared"), nil)) // which has landed then
	p.tagPushed()

	check := func(key string, want mirror.Image) {
		t.Helper()
		got, ok := p.images()[key]
		want.Repo = app.String()
		want.Tag, want.Platform, _ = strings.Cut(key, " ")
		if got.Updated.IsZero() {
			t.Errorf("%s: no time", key)
		}
		want.Updated, want.LastUsed = got.Updated, got.LastUsed
		if !ok || got != want {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
	whole, half := int64(len("{}sharedamd64")), int64(len("{}amd64"))
	check("v1 linux/amd64", mirror.Image{Digest: amd.Digest, Index: index.Digest, Origin: mirror.Mirrored, Size: whole, Missing: half - 2})
	check("alone ", mirror.Image{Digest: alone.Digest, Origin: mirror.Mirrored, Size: 7, Missing: 5})
	check("pushed ", mirror.Image{Digest: p.images()["pushed "].Digest, Origin: mirror.Pushed, Size: 2, Complete: true})
	if n := len(p.images()); n != 3 {
		t.Errorf("%d images, want 3: nothing is stored for linux/arm64", n)
	}

	_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{Platforms: []string{"linux/amd64"}})
	p.must(err)
	check("v1 linux/amd64", mirror.Image{Digest: amd.Digest, Index: index.Digest, Origin: mirror.Mirrored, Size: whole, Complete: true})
	p.must(p.SetMode(t.Context(), mirror.Offline))
	if _, err := p.Manifest(t.Context(), byDigest(arm.Digest)); err == nil {
		t.Error("a platform that was not fetched is listed")
	}
	check("v1 linux/arm64", mirror.Image{Digest: arm.Digest, Index: index.Digest, Origin: mirror.Mirrored}) // a client wants it
	p.get(byDigest(amd.Digest), amd.Digest)
}

// tagPushed pushes an image of the config {}.
func (p *place) tagPushed() {
	p.t.Helper()
	p.push(app, "{}")
	p.tag("pushed")
}

func TestImagesAreOrderedAcrossPages(t *testing.T) {
	p := start(t, proxy.Options{})
	var want []string
	d := p.origin.image(app, nil).Digest
	man, err := p.origin.manifest(byDigest(d))
	p.must(err)
	for _, path := range []string{"a", "b", "c/d"} {
		repo := mirror.Repo{Host: "origin.test", Path: path}
		var tags []string
		for i := range 300 {
			tags = append(tags, strings.Repeat("t", i%3+1)+digest.FromString(string(rune(i))).Encoded()[:8])
		}
		p.must(p.store.PutManifest(t.Context(), repo, man, tags...))
		slices.Sort(tags)
		for _, tag := range tags {
			want = append(want, ofTag(repo, tag).String())
		}
	}
	list := func(match func(mirror.Repo) bool) (got []string) {
		for image, err := range p.Images(t.Context(), mirror.ImageMatch{Repo: match}) {
			p.must(err)
			got = append(got, image.Repo+":"+image.Tag)
		}
		return got
	}
	if got := list(nil); !slices.Equal(got, want) {
		t.Errorf("%d images, want %d in order", len(got), len(want))
	}
	if got := list(func(repo mirror.Repo) bool { return repo.Path == "b" }); !slices.Equal(got, want[300:600]) {
		t.Errorf("%d images of b, want 300", len(got))
	}
	for range p.Images(t.Context(), mirror.ImageMatch{}) {
		break // a caller may stop early
	}
	status := p.Status()
	if status.Mode != mirror.Auto || len(status.Upstreams) != 1 || status.Wants != 0 {
		t.Errorf("%+v", status)
	}
}

// TestImagesReadsOnlyNamedTags lists two tags of a repository that has many, and a tag that it does not have.
func TestImagesReadsOnlyNamedTags(t *testing.T) {
	p := start(t, proxy.Options{})
	man, err := p.origin.manifest(byDigest(p.origin.image(app, nil).Digest))
	p.must(err)
	var tags []string
	for i := range 500 {
		tags = append(tags, fmt.Sprintf("v%03d", i))
	}
	p.must(p.store.PutManifest(t.Context(), app, man, tags...))
	named := []string{"v007", "v099", "v499x"}
	var considered, listed []string
	match := mirror.ImageMatch{
		Tags: func(mirror.Repo) ([]string, bool) { return named, true },
		Name: func(ref mirror.Ref) bool {
			considered = append(considered, ref.Tag)
			return true
		},
	}
	for image, err := range p.Images(t.Context(), match) {
		p.must(err)
		listed = append(listed, image.Tag)
	}
	if !slices.Equal(listed, named[:2]) || !slices.Equal(considered, named) {
		t.Errorf("listed %v, after looking at %d names, want %v of %v", listed, len(considered), named[:2], named)
	}
}

// TestFetchRecordsNoUse checks that a fetch does not count as a use of an image: only clients decide what may be
// evicted.
func TestFetchRecordsNoUse(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.image(app, []string{"layer"}, "v1").Digest
		began := time.Now().Add(-time.Minute)
		used := func() [3]time.Duration {
			var at [3]time.Duration // after the test began
			for i, d := range []digest.Digest{d, digest.FromString("layer"), digest.FromString("{}")} {
				last, err := p.store.LastUsed(t.Context(), app, d)
				if p.must(err); !last.IsZero() {
					at[i] = last.Sub(began)
				}
			}
			return at
		}
		fetch := func() {
			_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{Referrers: true})
			p.must(err)
			p.must(p.FetchBlob(t.Context(), app, digest.FromString("layer"), nil))
		}
		fetch()
		if used() != [3]time.Duration{} {
			t.Errorf("used at %s, want no use", used())
		}
		p.get(byTag("v1"), d)
		p.pull("layer")
		p.pull("{}")
		before := used()
		later(time.Hour)
		fetch()
		if after := used(); after != before || before[1] == 0 {
			t.Errorf("used at %s, want %s", after, before)
		}
	})
}
