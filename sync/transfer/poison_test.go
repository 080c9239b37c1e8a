package transfer_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"airmirror/mirror"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// poisoner pushes random manifests that no tool makes.
type poisoner struct {
	*site
	t        *rapid.T
	pushed   []v1.Descriptor // manifests
	blobs    []v1.Descriptor
	accepted map[string]digest.Digest // by tag
}

// texts are untrusted texts in an image.
var texts = rapid.OneOf(
	rapid.SampledFrom([]string{
		"", "linux", "amd64", "unknown", "v8/../../x", "linux\x1b]0;pwned\a\x1b[2J\nteam/safe:1  yes", "li\u202enux", "\u2028", "\x00", "\u0085\u009b31m", "a/b,c", "é\U000e0041",
		strings.Repeat("y", 1000), strings.Repeat("ü\x1b", 1500), strings.Repeat("\u202e", 400),
	}),
	rapid.String(),
)

// manifestTypes are media types of pushed manifests and of what they name.
var manifestTypes = rapid.SampledFrom([]string{
	v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, mirror.MediaTypeDockerManifest, mirror.MediaTypeDockerManifestList, "application/vnd.example",
	"application/vnd.oci.artifact.manifest.v1+json",
})

var blobTypes = rapid.SampledFrom([]string{
	v1.MediaTypeImageLayer, v1.MediaTypeImageConfig, v1.MediaTypeImageManifest, v1.MediaTypeEmptyJSON, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	"application/vnd.docker.container.image.v1+json", "text/plain",
})

// named draws a descriptor of stored content, with right or wrong values, or of missing content.
func (p *poisoner) named(mediaTypes *rapid.Generator[string], rather []v1.Descriptor) v1.Descriptor {
	all := append(slices.Clone(rather), slices.Concat(p.pushed, p.blobs)...)
	desc := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("missing"), Size: 7}
	if len(all) > 0 && rapid.IntRange(0, 9).Draw(p.t, "there") > 0 {
		desc = rapid.SampledFrom(all).Draw(p.t, "named")
	}
	switch rapid.IntRange(0, 9).Draw(p.t, "lie") {
	case 0:
		desc.Size = rapid.Int64Range(0, 100).Draw(p.t, "size")
	case 1, 2:
		desc.MediaType = mediaTypes.Draw(p.t, "type")
	}
	if rapid.Bool().Draw(p.t, "texts") {
		desc.Annotations = map[string]string{texts.Draw(p.t, "key"): texts.Draw(p.t, "value")}
		desc.ArtifactType = texts.Draw(p.t, "artifact type")
	}
	return desc
}

// document draws a manifest.
func (p *poisoner) document() (mediaType string, data []byte) {
	mediaType = manifestTypes.Draw(p.t, "media type")
	doc := map[string]any{"schemaVersion": 2, "mediaType": mediaType}
	if rapid.Bool().Draw(p.t, "annotated") {
		doc["annotations"] = map[string]string{texts.Draw(p.t, "key"): texts.Draw(p.t, "value")}
		doc["artifactType"] = texts.Draw(p.t, "artifact type")
	}
	if rapid.IntRange(0, 3).Draw(p.t, "refers") == 0 {
		doc["subject"] = p.named(manifestTypes, p.pushed)
	}
	if strings.Contains(mediaType, "index") || strings.Contains(mediaType, "list") {
		children := []v1.Descriptor{}
		for range rapid.IntRange(0, 3).Draw(p.t, "children") {
			child := p.named(manifestTypes, p.pushed)
			if rapid.Bool().Draw(p.t, "with platform") {
				child.Platform = &v1.Platform{OS: texts.Draw(p.t, "os"), Architecture: texts.Draw(p.t, "architecture"), Variant: texts.Draw(p.t, "variant"), OSVersion: texts.Draw(p.t, "version")}
			}
			children = append(children, child)
		}
		doc["manifests"] = children
	} else {
		doc["config"] = p.named(blobTypes, p.blobs)
		layers := []v1.Descriptor{}
		for range rapid.IntRange(0, 2).Draw(p.t, "layers") {
			layers = append(layers, p.named(blobTypes, p.blobs))
		}
		doc["layers"] = layers
	}
	data, err := json.Marshal(doc)
	if err != nil {
		p.t.Fatal(err)
	}
	return mediaType, data
}

// push pushes a manifest by a tag or by its digest.
func (p *poisoner) push(mediaType string, data []byte, tags ...string) {
	man, _, err := p.PutManifest(p.site.t.Context(), mirror.Put{Repo: app, MediaType: mediaType, Bytes: data, Tags: tags})
	if err != nil {
		if mirror.CodeOf(err) == mirror.CodeUnknown {
			p.t.Fatalf("push: %v", err)
		}
		return
	}
	desc := v1.Descriptor{MediaType: man.MediaType, Digest: man.Digest, Size: int64(len(data))}
	p.pushed = append(p.pushed, desc)
	if rapid.IntRange(0, 4).Draw(p.t, "also a blob") == 0 {
		p.blob(app, string(data))
	}
	for _, tag := range tags {
		p.accepted[app.String()+":"+tag] = man.Digest
	}
}

// TestExportAnyPushedManifest checks that export includes everything that is complete of any pushed manifest, reports
// the rest, and that another mirror can import the bundle.
func TestExportAnyPushedManifest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		from := newSite(t, transfer.Options{})
		p := &poisoner{site: from, t: rt, accepted: map[string]digest.Digest{}}
		good := from.image(base, mirror.Pushed, "linux/amd64", []string{"good"}, "good")
		for _, text := range []string{"{}", "a layer", `{"os":"\u001b[2J","architecture":["x"]}`, ""} {
			p.blobs = append(p.blobs, from.blob(app, text))
		}
		for i := range rapid.IntRange(1, 8).Draw(rt, "manifests") {
			mediaType, data := p.document()
			p.push(mediaType, data, fmt.Sprint("t", i))
		}
		if depth := rapid.SampledFrom([]int{0, 0, 16, 17, 80}).Draw(rt, "nesting"); len(p.pushed) > 0 {
			inner := rapid.SampledFrom(p.pushed).Draw(rt, "innermost")
			for i := range depth {
				data, _ := json.Marshal(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{inner}, Annotations: map[string]string{"n": fmt.Sprint(i)}})
				var tags []string
				if i == depth-1 {
					tags = []string{"nested"}
				}
				p.push(v1.MediaTypeImageIndex, data, tags...)
				inner = p.pushed[len(p.pushed)-1]
			}
		}
		p.carried(good.Digest)
		from.stop() // t.Cleanup runs after all iterations only
		from.stop = func() {}
	})
}

// carried exports everything and imports it into another mirror.
func (p *poisoner) carried(good digest.Digest) {
	t := p.site.t
	req := transfer.ExportRequest{All: true, Referrers: rapid.Bool().Draw(p.t, "referrers")}
	left := map[string]bool{}
	if _, err := p.Plan(t.Context(), req, nil, new(progress.Reporter), func(e transfer.Event) {
		if e.Kind == transfer.KindSkipped {
			left[e.Name] = true
		}
	}); err != nil {
		p.t.Fatalf("plan: %v", err)
	}
	data, doc, err := p.tryExport(req)
	if err != nil {
		p.t.Fatalf("export: %v", err)
	}
	to := newSite(t, transfer.Options{})
	defer func() { to.stop(); to.stop = func() {} }()
	if _, _, err := to.tryTake(strings.NewReader(string(data)), transfer.ImportRequest{}); err != nil {
		p.t.Fatalf("import: %v", err)
	}
	to.has(base, good)
	if got := to.tag(base, "good"); got != good {
		p.t.Errorf("the good image arrived as %q", got)
	}
	in := map[string]bool{}
	for _, image := range doc.Images {
		in[image.Repository+":"+image.Tag] = true
	}
	for name, d := range p.accepted {
		_, tag, _ := strings.Cut(name, ":")
		switch got := to.tag(app, tag); {
		case in[name] == left[name]:
			p.t.Errorf("%s is in the bundle: %t, skipped: %t", name, in[name], left[name])
		case in[name] && got != d:
			p.t.Errorf("%s arrived as %q, want %s", name, got, d)
		case left[name] && got != "":
			p.t.Errorf("%s was skipped, but imported as %s", name, got)
		}
	}
}
