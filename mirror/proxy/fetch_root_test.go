package proxy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// roots are the images that are listed by a digest.
func (p *place) roots() (roots []digest.Digest) {
	p.t.Helper()
	for image, err := range p.Images(p.t.Context(), mirror.ImageMatch{}) {
		p.must(err)
		if image.Root != "" {
			roots = append(roots, image.Root)
		}
		if (image.Root != "") == (image.Tag != "") {
			p.t.Errorf("%+v has not one name", image)
		}
	}
	return roots
}

func TestFetchByDigestMakesARoot(t *testing.T) {
	p := start(t, proxy.Options{})
	pulled := p.origin.image(app, []string{"pulled"}).Digest
	named := p.origin.image(app, []string{"named"}).Digest
	p.get(byDigest(pulled), pulled) // a client makes no root
	_, err := p.Fetch(t.Context(), byDigest(pulled), mirror.FetchOptions{})
	p.must(err)
	if roots := p.roots(); len(roots) != 0 {
		t.Errorf("roots: %v", roots)
	}
	_, err = p.Fetch(t.Context(), byDigest(named), mirror.FetchOptions{Root: true})
	p.must(err)
	if roots := p.roots(); len(roots) != 1 || roots[0] != named {
		t.Errorf("roots: %v, want %s", roots, named)
	}
	p.restart()
	p.must(p.Pin(t.Context(), byDigest(pulled)))
	p.must(p.Unpin(t.Context(), byDigest(pulled)))
	if roots := p.roots(); len(roots) != 2 {
		t.Errorf("roots: %v, want the pinned ones as well", roots)
	}
	p.must(p.Delete(t.Context(), byDigest(named)))
	if roots := p.roots(); len(roots) != 1 || roots[0] != pulled {
		t.Errorf("roots: %v, want %s", roots, pulled)
	}
}

// TestPinsOfOlderVersionsBecomeRoots checks the migration of pins from versions without roots.
func TestPinsOfOlderVersionsBecomeRoots(t *testing.T) {
	p := start(t, proxy.Options{})
	d := p.origin.image(app, []string{"pinned"}).Digest
	p.get(byDigest(d), d)
	p.must(p.store.SetState(t.Context(), mirror.PinState, map[string][]byte{byDigest(d).String(): []byte("{}"), byDigest(digest.FromString("gone")).String(): []byte("{}")}))
	if roots := p.roots(); len(roots) != 0 {
		t.Fatalf("roots: %v", roots)
	}
	p.restart()
	if roots := p.roots(); len(roots) != 1 || roots[0] != d {
		t.Errorf("roots: %v, want %s", roots, d)
	}
}

func TestFetchByTagAndDigest(t *testing.T) {
	p := start(t, proxy.Options{})
	old := p.origin.image(app, []string{"old"}, "v1").Digest
	p.origin.image(app, []string{"new"}, "v1")
	ref := mirror.Ref{Repo: app, Tag: "v1", Digest: old}
	got, err := p.Fetch(t.Context(), ref, mirror.FetchOptions{Root: true})
	if p.must(err); got.Digest != old || p.origin.count("resolve "+byTag("v1").String()) != 0 {
		t.Errorf("fetched %s, want %s, by its digest", got.Digest, old)
	}
	if tag, err := p.store.Tag(t.Context(), app, "v1"); err != nil || tag.Digest != old {
		t.Errorf("%+v, %v; want the tag to point at %s", tag, err, old)
	}
	if roots := p.roots(); len(roots) != 0 {
		t.Errorf("%v are listed by their digests, though they have a tag", roots)
	}
	p.must(p.store.DeleteTag(t.Context(), app, "v1"))
	if roots := p.roots(); len(roots) != 1 || roots[0] != old {
		t.Errorf("roots: %v, want %s", roots, old)
	}

	p.tagPushed()
	mine := p.images()["pushed "].Digest
	_, err = p.Fetch(t.Context(), mirror.Ref{Repo: app, Tag: "pushed", Digest: old}, mirror.FetchOptions{Root: true})
	if err == nil || !strings.Contains(err.Error(), mine.String()) || !strings.Contains(err.Error(), old.String()) {
		t.Errorf("a pushed tag that points elsewhere: %v", err)
	}
	if tag, err := p.store.Tag(t.Context(), app, "pushed"); err != nil || tag.Digest != mine {
		t.Errorf("%+v, %v", tag, err)
	}
}

func TestShortenedDigests(t *testing.T) {
	one, two := digest.Digest("sha256:abcdef"+strings.Repeat("0", 58)), digest.Digest("sha256:abcdef"+strings.Repeat("1", 58))
	for text, want := range map[string]string{
		"abcdef0": one.String(), "sha256:abcdef1": two.String(), one.String(): one.String(),
		"abcdef":         "ambiguous: it may be " + one.String() + " or " + two.String(),
		"sha256:123456":  "no digest begins with",
		"abcde":          "too short",
		"sha256:abcdeg0": "invalid digest", "md5:abcdef0": "invalid digest", "": "invalid digest",
	} {
		d, err := mirror.ChooseDigest(text, []digest.Digest{one, two, one})
		got := d.String()
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	p := start(t, proxy.Options{})
	d := p.origin.image(app, []string{"layer"}, "v1").Digest
	p.get(byTag("v1"), d)
	for _, text := range []string{d.Encoded()[:12], d.String()[:19], d.String()} {
		if got, err := p.FindDigest(t.Context(), app, text); err != nil || got != d {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

// configured makes an image with a config that names a platform.
func (o *origin) configured(repo mirror.Repo, config string, tags ...string) v1.Descriptor {
	desc := o.put(config)
	desc.MediaType = v1.MediaTypeImageConfig
	doc := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: desc, Layers: []v1.Descriptor{o.put("layer of " + config)}}
	doc.SchemaVersion = 2
	return o.add(repo, v1.MediaTypeImageManifest, doc, tags...)
}

func TestPlatformOfAConfig(t *testing.T) {
	p := start(t, proxy.Options{})
	p.origin.configured(app, `{"os":"linux","architecture":"arm","variant":"v6"}`, "arm")
	amd := p.origin.configured(app, `{"os":"linux","architecture":"amd64"}`, "amd")
	p.origin.configured(app, `{"rootfs":{}}`, "none")
	p.origin.index(app, []v1.Descriptor{amd}, "index") // without a platform
	for _, tt := range []struct {
		tag, platform, err string
	}{
		{"amd", "linux/arm64", "has no platform linux/arm64: it is for linux/amd64"},
		{"index", "linux/arm64", "has no platform linux/arm64: it is for linux/amd64"},
		{"amd", "linux/x86_64", ""}, {"index", "linux/amd64", ""}, {"arm", "linux/arm/v7", ""}, {"arm", "linux/armhf", ""}, {"none", "linux/s390x", ""},
	} {
		dry, dryErr := p.Fetch(t.Context(), byTag(tt.tag), mirror.FetchOptions{Platforms: []string{tt.platform}, DryRun: true})
		_, err := p.Fetch(t.Context(), byTag(tt.tag), mirror.FetchOptions{Platforms: []string{tt.platform}})
		for _, err := range []error{err, dryErr} {
			if (err == nil) != (tt.err == "") || err != nil && (!strings.Contains(err.Error(), tt.err) || mirror.CodeOf(err) != mirror.CodeManifestUnknown) {
				t.Errorf("%s for %s: %v, want %q", tt.tag, tt.platform, err, tt.err)
			}
		}
		if tt.err != "" && (dry.New != 0 || p.origin.count("blob "+digest.FromString(`layer of {"os":"linux","architecture":"amd64"}`).String()) != 0) {
			t.Errorf("%s for %s: its layer was fetched, or would be: %+v", tt.tag, tt.platform, dry)
		}
	}
	for key, complete := range map[string]bool{"amd linux/amd64": true, "index linux/amd64": true, "arm linux/arm/v6": true, "none ": true} {
		if image, ok := p.images()[key]; !ok || image.Complete != complete {
			t.Errorf("%s: %+v", key, image)
		}
	}
}

// TestIncompleteCountsAgree checks that the listing, the status and a verification count the same incomplete images.
func TestIncompleteCountsAgree(t *testing.T) {
	p := start(t, proxy.Options{})
	agree := func(when string, want int) {
		t.Helper()
		listed := 0
		for _, image := range p.images() {
			if !image.Complete {
				listed++
			}
		}
		verified, _ := p.verify(mirror.VerifyOptions{Fast: true})
		status := p.Status()
		if listed != want || verified.Incomplete != want || status.Incomplete != want || status.IncompleteError != "" {
			t.Errorf("%s: %d are listed, a verification counts %d, the status %d (%s); want %d", when, listed, verified.Incomplete, status.Incomplete, status.IncompleteError, want)
		}
	}
	agree("nothing is stored", 0)
	amd := on("linux", "amd64", p.origin.image(app, []string{"amd64"}))
	arm := on("linux", "arm64", p.origin.image(app, []string{"arm64"}))
	index := p.origin.index(app, []v1.Descriptor{amd, arm}, "v1")
	p.stat(byTag("v1"), index.Digest)
	agree("only the index is stored", 1)
	_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{Platforms: []string{"linux/amd64"}})
	p.must(err)
	agree("another platform was not fetched", 0)
	_, err = p.Fetch(t.Context(), byDigest(p.origin.image(app, []string{"root"}).Digest), mirror.FetchOptions{Root: true})
	p.must(err)
	agree("by digest", 0)
	p.must(os.Remove(p.path(digest.FromString("root"))))
	p.must(os.Remove(p.path(amd.Digest)))
	agree("files are lost", 2)
	_, _ = p.verify(mirror.VerifyOptions{Repair: true})
	agree("it was repaired", 0)
	_, err = p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
	p.must(err)
	agree("the other platform came", 0)
	p.must(os.Remove(p.path(arm.Digest)))
	p.origin.set(down)
	_, _ = p.verify(mirror.VerifyOptions{Repair: true})
	agree("a manifest could not be repaired", 1)
}
