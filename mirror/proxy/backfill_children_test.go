package proxy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

var other = mirror.Repo{Host: "origin.test", Path: "org/other"}

// platformImage makes an image whose config says its platform.
func (o *origin) platformImage(arch string, layers ...string) v1.Descriptor {
	doc := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: o.put(`{"os":"linux","architecture":"` + arch + `"}`)}
	doc.Config.MediaType, doc.SchemaVersion = v1.MediaTypeImageConfig, 2
	for _, layer := range layers {
		doc.Layers = append(doc.Layers, o.put(layer))
	}
	return on("linux", arch, o.add(app, v1.MediaTypeImageManifest, doc))
}

// whole fails the test unless the child of an index can, or cannot, be pulled from a repository offline.
func (p *place) whole(repo mirror.Repo, child v1.Descriptor, want bool, contents ...string) {
	p.t.Helper()
	p.must(p.SetMode(p.t.Context(), mirror.Offline))
	_, err := p.Manifest(p.t.Context(), mirror.Ref{Repo: repo, Digest: child.Digest})
	if (err == nil) != want {
		p.t.Errorf("%s@%s: %v", repo, child.Digest, err)
	}
	for _, content := range contents {
		if _, err := p.read(repo, digest.FromString(content)); (err == nil) != want {
			p.t.Errorf("%q in %s: %v", content, repo, err)
		}
	}
	p.must(p.SetMode(p.t.Context(), mirror.Auto))
}

// TestBackfillOfAChildThatAClientHas checks that the child of an index is completed if a client pulled it from another
// repository and therefore sends only a HEAD request for the index. Children that nobody pulled are not fetched.
func TestBackfillOfAChildThatAClientHas(t *testing.T) {
	for name, nested := range map[string]bool{"a child": false, "a child of a nested index": true} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, completing(true, false))
				amd, arm := p.origin.platformImage("amd64", "amd"), p.origin.platformImage("arm64", "arm")
				list := p.origin.index(app, []v1.Descriptor{amd, arm})
				p.get(byDigest(list.Digest), list.Digest)
				p.get(byDigest(amd.Digest), amd.Digest)
				p.pull("amd")
				later(time.Second)

				children := []v1.Descriptor{amd, arm}
				if nested {
					children = []v1.Descriptor{list}
				}
				index := p.origin.index(other, append(children, on("windows", "amd64", p.origin.image(other, []string{"w"}))), "v1")
				answer, err := p.StatManifest(t.Context(), ofTag(other, "v1"))
				if p.must(err); answer.Digest != index.Digest {
					t.Fatalf("v1 is %s", answer.Digest)
				}
				later(time.Second)
				p.whole(other, amd, true, "amd", `{"os":"linux","architecture":"amd64"}`)
				p.whole(other, arm, false, "arm")
				if n := p.Status().Backfill; n != 0 {
					t.Errorf("%d images in the backfill queue", n)
				}
				if n := p.origin.count("blob origin.test/org/other"); n != 0 {
					t.Errorf("%d transfers of stored blobs", n)
				}
			})
		})
	}
}

// TestIndexGivesNoRightToItsChildren checks that an index does not make manifests readable that its registry does not
// have, even if they are stored here.
func TestIndexGivesNoRightToItsChildren(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, completing(true, false))
		secret := p.origin.platformImage("amd64", "secret")
		p.get(byDigest(secret.Digest), secret.Digest)
		later(time.Second)
		p.origin.set(func(_ context.Context, call string) error {
			if strings.Contains(call, "org/other") && !strings.Contains(call, "org/other:") {
				return mirror.Errorf(mirror.CodeManifestUnknown, "not in this repository")
			}
			return nil
		})
		p.origin.index(other, []v1.Descriptor{secret}, "v1")
		_, err := p.StatManifest(t.Context(), ofTag(other, "v1"))
		p.must(err)
		later(time.Minute)
		p.whole(other, secret, false, "secret")
		if n := p.Status().Backfill; n != 0 {
			t.Errorf("%d images in the backfill queue", n)
		}
		if n := p.origin.count("manifest origin.test/org/other@" + secret.Digest.String()); n != 1 {
			t.Errorf("%d upstream requests", n)
		}
	})
}

// TestBackfillOfChildrenSurvivesFailuresAndRestarts checks that a child is completed after failures and restarts,
// unless its index was deleted.
func TestBackfillOfChildrenSurvivesFailuresAndRestarts(t *testing.T) {
	for name, deleted := range map[string]bool{"kept": false, "deleted": true} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, completing(true, false))
				amd := p.origin.platformImage("amd64", "amd")
				p.get(byDigest(amd.Digest), amd.Digest)
				later(time.Second)
				p.origin.set(func(_ context.Context, call string) error {
					if strings.Contains(call, "org/other@") {
						return errDown
					}
					return nil
				})
				index := p.origin.index(other, []v1.Descriptor{amd}, "v1")
				_, err := p.StatManifest(t.Context(), ofTag(other, "v1"))
				p.must(err)
				later(time.Second)
				if n := p.Status().Backfill; n != 1 {
					t.Fatalf("%d images in the backfill queue, want 1", n)
				}
				p.restart()
				if deleted {
					p.must(p.Delete(t.Context(), mirror.Ref{Repo: other, Digest: index.Digest}))
				}
				p.origin.set(nil)
				later(time.Minute)
				p.whole(other, amd, !deleted, "amd")
				if n := p.Status().Backfill; n != 0 {
					t.Errorf("%d images in the backfill queue", n)
				}
			})
		})
	}
}

// TestBackfillOfAMovedTag checks that the platforms that were pulled of the old image are completed of the new one,
// after a HEAD request only. Nothing is fetched of an image that nobody pulled.
func TestBackfillOfAMovedTag(t *testing.T) {
	for name, tt := range map[string]struct{ index, pulled bool }{
		"an image": {false, true}, "an index": {true, true}, "an image that was asked about": {false, false}, "an index that was asked about": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				opts := completing(true, false)
				opts.TagTTL = nil // asked every time
				p := start(t, opts)
				build := func(day string) (image, arm, root v1.Descriptor) {
					image, arm = p.origin.platformImage("amd64", day), p.origin.platformImage("arm64", day+" arm")
					if root = image; tt.index {
						root = p.origin.index(app, []v1.Descriptor{image, arm})
					}
					p.origin.mu.Lock()
					defer p.origin.mu.Unlock()
					p.origin.tags[byTag("v1").String()] = root.Digest
					return image, arm, root
				}
				image, _, root := build("monday")
				p.stat(byTag("v1"), root.Digest)
				if tt.pulled {
					p.get(byDigest(image.Digest), image.Digest)
					p.pull("monday")
				}
				later(time.Second)
				image, arm, root := build("tuesday")
				p.stat(byTag("v1"), root.Digest)
				later(time.Second)
				if tt.index || tt.pulled { // the client requested the manifest of the image
					p.whole(app, image, tt.pulled, "tuesday")
				}
				p.whole(app, arm, false, "tuesday arm")
				if n := p.origin.count("blob origin.test/org/app " + digest.FromString("tuesday").String()); (n == 1) != tt.pulled {
					t.Errorf("the layer was fetched %d times", n)
				}
			})
		})
	}
}
