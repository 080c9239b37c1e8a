package mirror_test

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

func TestWhatArrivedIsWantedNoMore(t *testing.T) {
	p := start(t, mirror.Options{Offline: true})
	manifest, layer := digest.FromString("manifest"), digest.FromString("layer")
	p.missing(byTag("v1"))
	p.missing(byTag("v2"))
	p.missing(byDigest(manifest))
	_, _ = p.read(app, layer)
	p.Arrived(app, manifest, "v1")
	p.Arrived(app, layer)
	p.Arrived(mirror.Repo{Host: app.Host, Path: "other"}, manifest, "v2")
	if wants := p.Wants(); len(wants) != 1 || wants[0].Ref != byTag("v2").String() {
		t.Errorf("%+v", wants)
	}
}

func TestWhatArrivedWasUnknownInVain(t *testing.T) {
	p := start(t, mirror.Options{})
	image := emptyImage(p.origin)
	d := digest.FromBytes(image)
	p.missing(byTag("v1"))
	before := p.origin.count("")
	p.missing(byTag("v1"))
	if p.origin.count("") != before {
		t.Fatal("an upstream's word is not believed")
	}
	p.Arrived(app, d, "v1")
	p.missing(byTag("v1"))
	if p.origin.count("") == before {
		t.Error("an upstream's earlier word is believed of what arrived")
	}
}
