package proxy_test

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func TestContentStoredRemovesWants(t *testing.T) {
	p := start(t, proxy.Options{Offline: true})
	manifest, layer := digest.FromString("manifest"), digest.FromString("layer")
	p.missing(byTag("v1"))
	p.missing(byTag("v2"))
	p.missing(byDigest(manifest))
	_, _ = p.read(app, layer)
	p.ContentStored(app, manifest, "v1")
	p.ContentStored(app, layer)
	p.ContentStored(mirror.Repo{Host: app.Host, Path: "other"}, manifest, "v2")
	if wants := p.Wants(); len(wants) != 1 || wants[0].Ref != byTag("v2").String() {
		t.Errorf("%+v", wants)
	}
}

func TestContentStoredForgetsNegativeAnswers(t *testing.T) {
	p := start(t, proxy.Options{})
	image := emptyImage(p.origin)
	d := digest.FromBytes(image)
	p.missing(byTag("v1"))
	before := p.origin.count("")
	p.missing(byTag("v1"))
	if p.origin.count("") != before {
		t.Fatal("an upstream's word is not believed")
	}
	p.ContentStored(app, d, "v1")
	p.missing(byTag("v1"))
	if p.origin.count("") == before {
		t.Error("a negative answer is still cached for stored content")
	}
}

// TestResolveWants checks that content which was stored without a call of ContentStored removes its wants, and no
// others.
func TestResolveWants(t *testing.T) {
	p := start(t, proxy.Options{Offline: true})
	data := emptyImage(p.origin)
	d := digest.FromBytes(data)
	for _, ref := range []mirror.Ref{byTag("v1"), byTag("v2"), byDigest(d), byDigest(digest.FromString("other"))} {
		p.missing(ref)
	}
	_, _ = p.read(app, digest.FromString("layer"))
	p.ResolveWants(t.Context())
	if wants := p.Wants(); len(wants) != 5 {
		t.Fatalf("of nothing, %+v is left", wants)
	}
	p.must(p.store.PutManifest(t.Context(), app, mirror.Manifest{Digest: d, Bytes: data, Origin: mirror.Mirrored}, "v1"))
	p.ResolveWants(t.Context())
	if wants := p.Wants(); len(wants) != 3 {
		t.Errorf("%+v is left", wants)
	}
}
