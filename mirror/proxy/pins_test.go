package proxy_test

import (
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func TestPins(t *testing.T) {
	p := start(t, proxy.Options{})
	amd := on("linux", "amd64", p.origin.image(app, []string{"amd64"}))
	index := p.origin.index(app, []v1.Descriptor{amd}, "v1")
	p.stat(byTag("v1"), index.Digest)
	p.tagPushed()

	if err := p.Pin(t.Context(), byTag("pushed"), byTag("v2")); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		t.Errorf("pin of a reference that is not stored: %v", err)
	}
	p.pinned()
	p.must(p.Pin(t.Context(), byTag("v1"), byDigest(index.Digest)))
	p.pinned(byTag("v1"), byDigest(index.Digest))
	if !p.images()["v1 "].Pinned || p.images()["pushed "].Pinned {
		t.Errorf("%+v", p.images())
	}
	p.restart()
	p.must(p.store.SetState(t.Context(), mirror.PinState, map[string][]byte{byTag("v1").String(): []byte(`{"since":"2020-01-01T00:00:00Z"}`)}))
	before, err := p.Pins(t.Context())
	p.must(err)
	p.must(p.Pin(t.Context(), byTag("v1")))
	again, err := p.Pins(t.Context())
	p.must(err)
	if again[0] != before[0] || again[0].Digest != index.Digest || again[0].Since.Year() != 2020 {
		t.Errorf("pinned again: %+v, was %+v", again[0], before[0])
	}
	if err := p.Unpin(t.Context(), byTag("v1"), byTag("pushed")); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		t.Errorf("unpin of a reference that is not pinned: %v", err)
	}
	p.pinned(byTag("v1"), byDigest(index.Digest))
	p.must(p.store.DeleteTag(t.Context(), app, "v1"))
	pins, err := p.Pins(t.Context())
	if p.must(err); pins[0].Ref != byTag("v1").String() || pins[0].Digest != "" {
		t.Errorf("a pin of deleted content: %+v", pins[0])
	}
	p.must(p.Unpin(t.Context(), byTag("v1"), byDigest(index.Digest)))
	p.pinned()
}

// pinned fails the test unless exactly these are pinned.
func (p *place) pinned(want ...mirror.Ref) {
	p.t.Helper()
	pins, err := p.Pins(p.t.Context())
	p.must(err)
	names := map[string]bool{}
	for _, pin := range pins {
		names[pin.Ref] = true
	}
	for _, ref := range want {
		if !names[ref.String()] {
			p.t.Errorf("%s is not pinned", ref)
		}
	}
	if len(pins) != len(want) {
		p.t.Errorf("%d pins, want %d", len(pins), len(want))
	}
}
