package proxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// pushConfigured pushes an image with a config and one layer.
func (p *place) pushConfigured(tag string, image v1.Image, layer string) digest.Digest {
	p.t.Helper()
	config, err := json.Marshal(image)
	p.must(err)
	p.push(app, string(config))
	p.push(app, layer)
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, digest.FromBytes(config), len(config), v1.MediaTypeImageLayer, digest.FromString(layer), len(layer))
	man, _, err := p.PutManifest(p.t.Context(), mirror.Put{Repo: app, MediaType: v1.MediaTypeImageManifest, Tags: []string{tag}, Bytes: []byte(body)})
	p.must(err)
	return man.Digest
}

func TestInspect(t *testing.T) {
	p := start(t, proxy.Options{})
	created := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	d := p.pushConfigured("v1", v1.Image{
		Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Created: &created,
		Config:  v1.ImageConfig{User: "nobody", Env: []string{"A=1", strings.Repeat("x", 9000)}, Entrypoint: []string{"/run\x1b[2J"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}, Labels: map[string]string{"l": "v"}},
		History: []v1.History{{CreatedBy: "COPY . ."}, {CreatedBy: "CMD", EmptyLayer: true}},
	}, "shared layer")
	p.pushConfigured("v2", v1.Image{Author: "other"}, "shared layer")
	p.must(p.Pin(t.Context(), byTag("v1")))
	sum, err := p.Inspect(t.Context(), byTag("v1"), true)
	p.must(err)
	if sum.Digest != d || sum.Tag != "v1" || sum.Origin != mirror.Pushed || !sum.Pinned || sum.Updated.IsZero() || !strings.Contains(sum.Manifest, `"schemaVersion":2`) || fmt.Sprint(sum.UsedBy.Tags) != "[v1]" {
		t.Errorf("%+v", sum)
	}
	image := sum.Platforms[0]
	if len(sum.Platforms) != 1 || image.Platform != "linux/amd64" || !image.Complete || !image.Stored || image.Digest != d {
		t.Errorf("%+v", sum.Platforms)
	}
	layer := mirror.ImageLayer{Digest: digest.FromString("shared layer"), MediaType: v1.MediaTypeImageLayer, Size: 12, Stored: true, Shared: 1}
	if len(image.Layers) != 1 || image.Layers[0] != layer {
		t.Errorf("layers %+v, want %+v", image.Layers, layer)
	}
	c := image.Config
	if c.User != "nobody" || !c.Created.Equal(created) || c.Env[0] != "A=1" || len(c.Env[1]) > 4100 || c.ExposedPorts[0] != "80/tcp" || c.Labels["l"] != "v" {
		t.Errorf("config %+v", c)
	}
	if len(image.History) != 2 || image.History[0].CreatedBy != "COPY . ." || !image.History[1].EmptyLayer {
		t.Errorf("history %+v", image.History)
	}
	if _, err := p.Inspect(t.Context(), byTag("v3"), false); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		t.Errorf("an image that is not stored: %v", err)
	}
}

// TestInspectAnIndex checks what is shown of platforms, attestations and referrers.
func TestInspectAnIndex(t *testing.T) {
	p := start(t, proxy.Options{})
	amd := on("linux", "amd64", p.origin.image(app, []string{"amd"}))
	arm := on("linux", "arm64", p.origin.image(app, []string{"arm"}))
	attestation := on("unknown", "unknown", p.origin.about(app, amd, "attestation", false))
	index := p.origin.index(app, []v1.Descriptor{amd, arm, attestation}, "v1")
	_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{Platforms: []string{"linux/amd64"}})
	p.must(err)
	signature := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.dev.cosign.artifact.sig.v1+json","config":{"mediaType":%q,"digest":%q,"size":2},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
		v1.MediaTypeImageManifest, v1.MediaTypeEmptyJSON, digest.FromString("{}"), amd.MediaType, amd.Digest, amd.Size))
	p.push(app, "{}")
	signed, _, err := p.PutManifest(t.Context(), mirror.Put{Repo: app, MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(signature), Bytes: signature})
	p.must(err)
	sbom := p.tag(mirror.SubjectTag(index.Digest) + ".sbom")
	p.must(p.SetMode(t.Context(), mirror.Offline))

	got, err := p.Inspect(t.Context(), byTag("v1"), false)
	p.must(err)
	if got.Digest != index.Digest || len(got.Platforms) != 2 || got.Checked.IsZero() || got.Manifest != "" {
		t.Fatalf("%+v", got)
	}
	if a, b := got.Platforms[0], got.Platforms[1]; !a.Complete || a.Platform != "linux/amd64" || b.Stored || b.Complete || b.Platform != "linux/arm64" || b.Digest != arm.Digest {
		t.Errorf("%+v and %+v", a, b)
	}
	kinds := map[digest.Digest]mirror.ReferrerKind{}
	for _, r := range got.Referrers {
		kinds[r.Digest] = r.Kind
	}
	if kinds[signed.Digest] != mirror.SignatureReferrer || kinds[attestation.Digest] != mirror.AttestationReferrer || kinds[sbom] != mirror.SBOMReferrer {
		t.Errorf("referrers %+v", got.Referrers)
	}
	for image, err := range p.Images(t.Context(), mirror.ImageMatch{}) {
		p.must(err)
		switch want := (mirror.Attached{Signed: true, SBOM: true}); {
		case image.Tag == "v1" && image.Digest == amd.Digest && image.Attached != want:
			t.Errorf("the list has %+v, want %+v", image, want)
		case image.Tag != "v1" && image.Attached != (mirror.Attached{}):
			t.Errorf("the list has %+v", image)
		}
	}
	child, err := p.Inspect(t.Context(), byDigest(amd.Digest), false)
	p.must(err)
	if len(child.UsedBy.Indexes) != 1 || child.UsedBy.Indexes[0] != index.Digest {
		t.Errorf("%s is part of %+v", amd.Digest, child.UsedBy)
	}
}

// TestInspectIsNoUse checks that looking at an image sends no request and does not count as a use, also if content of it is
// missing or damaged.
func TestInspectIsNoUse(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.image(app, []string{"layer"}, "v1").Digest
		p.get(byTag("v1"), d)
		p.pull("layer")
		later(time.Hour)
		uses := func() string {
			text := ""
			for _, d := range []digest.Digest{d, digest.FromString("layer"), digest.FromString("{}")} {
				at, err := p.store.LastUsed(t.Context(), app, d)
				p.must(err)
				text += at.String() + " "
			}
			return text
		}
		before := uses()
		p.origin.set(func(_ context.Context, call string) error {
			t.Errorf("a request to the upstream: %s", call)
			return errDown
		})
		if _, err := p.Inspect(t.Context(), byTag("v1"), true); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Inspect(t.Context(), byTag("v2"), true); err == nil {
			t.Error("an image that is not stored was inspected")
		}
		if _, err := p.ImagePage(t.Context(), mirror.ImageQuery{Limit: 9, Sort: mirror.SortBySize}); err != nil {
			t.Fatal(err)
		}
		later(time.Hour)
		if after := uses(); after != before {
			t.Errorf("used at %s, before at %s", after, before)
		}
	})
}

// TestInspectForeignConfigs checks that a config that is too large or no JSON is not shown, and the rest is.
func TestInspectForeignConfigs(t *testing.T) {
	p := start(t, proxy.Options{})
	p.pushConfigured("large", v1.Image{Author: strings.Repeat("x", 2<<20)}, "layer")
	got, err := p.Inspect(t.Context(), byTag("large"), false)
	p.must(err)
	if image := got.Platforms[0]; image.Config != nil || !strings.Contains(image.Error, "too large") || len(image.Layers) != 1 {
		t.Errorf("%+v", image)
	}
}
