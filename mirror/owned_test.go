package mirror

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestOwned has manifests of every kind yield all that their JSON names, each in its role.
func TestOwned(t *testing.T) {
	const (
		layer   = v1.MediaTypeImageLayerGzip
		foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
		cache   = "application/vnd.buildkit.cacheconfig.v0"
		schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
		oras    = "application/vnd.cncf.oras.artifact.manifest.v1+json"
		future  = "application/vnd.future+json"
	)
	a, b, c := digestA.String(), digestB.String(), digest.SHA512.FromString("c").String()
	desc := func(mediaType, d string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, mediaType, d)
	}
	image := `{"schemaVersion":2,"config":` + desc(v1.MediaTypeImageConfig, a)
	for name, tt := range map[string]struct {
		mediaType, doc string
		want           string // role, digest and size of each
	}{
		"image":                    {v1.MediaTypeImageManifest, image + `,"layers":[` + desc(layer, b) + `]}`, "0a1 0b1"},
		"nondistributable layer":   {v1.MediaTypeImageManifest, image + `,"layers":[` + desc(foreign, b) + `,` + desc(layer, c) + `]}`, "0a1 0c1 1b1"},
		"one in upper case":        {v1.MediaTypeImageManifest, image + `,"layers":[` + desc(strings.ToUpper(foreign), b) + `]}`, "0a1 1b1"},
		"image with other fields":  {v1.MediaTypeImageManifest, image + `,"blobs":[` + desc(layer, b) + `],"x":[{"y":{"digest":"` + c + `"}}]}`, "0a1 4b1 4c-1"},
		"layer with another field": {v1.MediaTypeImageManifest, image + `,"layers":[{"digest":"` + b + `","size":1,"toc":{"digest":"` + c + `","size":7}}]}`, "0a1 0b1 4c7"},
		"twice the same":           {v1.MediaTypeImageManifest, image + `,"x":` + desc(layer, a) + `}`, "0a1"},
		"subject":                  {v1.MediaTypeImageManifest, image + `,"subject":` + desc(v1.MediaTypeImageManifest, b) + `}`, "0a1"},
		"subject and more":         {v1.MediaTypeImageManifest, image + `,"subject":` + desc(v1.MediaTypeImageManifest, b) + `,"x":` + desc(layer, c) + `}`, "0a1 4c1"},
		"index": {v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + desc(v1.MediaTypeImageManifest, a) + `,{"digest":"` + b + `","size":1},` +
			desc(schema1, c) + `]}`, "2a1 2b1 2c1"},
		"BuildKit cache": {v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + desc(layer, a) + `,` + desc(v1.MediaTypeImageManifest, b) + `,` +
			desc(cache, c) + `]}`, "2b1 3a1 3c1"},
		"index with other fields":     {v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"blobs":[` + desc(layer, a) + `]}`, "4a1"},
		"draft artifact":              {mediaTypeOCIArtifactDraft, `{"blobs":[` + desc(layer, a) + `],"layers":[` + desc(layer, b) + `]}`, "0a1 4b1"},
		"ORAS artifact":               {oras, `{"artifactType":"x","blobs":[` + desc(layer, a) + `],"subject":` + desc(v1.MediaTypeImageManifest, b) + `}`, "4a1"},
		"ORAS, malformed subject":     {oras, `{"blobs":[` + desc(layer, a) + `],"subject":{"digest":"` + b + `","size":-1}}`, "4a1 4b-1"},
		"schema 1":                    {schema1, `{"schemaVersion":1,"fsLayers":[{"blobSum":"` + a + `"},{"blobSum":"` + b + `"}]}`, "4a-1 4b-1"},
		"tomorrow":                    {future, `{"a":{"b":[[{"c":` + desc(layer, a) + `}]]},"digest":"` + c + `"}`, "4a1 4c-1"},
		"in other words":              {future, `{"Digest":"` + a + `","x":{"\u0064\u0049gest" : "` + b + `"}}`, "4b-1 4a-1"},
		"an array":                    {future, `[{"digest":"` + a + `"}]`, "4a-1"},
		"a field twice":               {future, `{"config":{"digest":"` + a + `"},"config":{"digest":"` + b + `","digest":"` + c + `"}}`, "4a-1 4b-1 4c-1"},
		"what is no digest":           {future, `{"digest":"sha256:../../x","x":{"digest":["` + a + `"]},"y":{"blobSum":7},"z":"digest"}`, ""},
		"sizes that are none":         {future, `{"x":{"digest":"` + a + `","size":-3},"y":{"size":"7","digest":"` + b + `"}}`, "4a-1 4b-1"},
		"not JSON":                    {future, `{"digest":"` + a + `"`, ""},
		"a subject only at the top":   {future, `{"x":{"subject":{"digest":"` + a + `","size":1}}}`, "4a1"},
		"a layer named like one more": {v1.MediaTypeImageManifest, image + `,"annotations":{"org.opencontainers.image.base.digest":"` + b + `"}}`, "0a1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, refs, err := ParseManifest(tt.mediaType, []byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]string{a: "a", b: "b", c: "c"}
			var got []string
			for role, desc := range refs.Owned() {
				got = append(got, fmt.Sprint(int(role))+names[desc.Digest.String()]+fmt.Sprint(desc.Size))
			}
			if !reflect.DeepEqual(got, append([]string(nil), strings.Fields(tt.want)...)) {
				t.Errorf("owns %q, want %q", got, tt.want)
			}
		})
	}
}

// TestOwnedIsLimited checks the limit for manifests of unknown types: all that they name is written in one transaction.
func TestOwnedIsLimited(t *testing.T) {
	var doc strings.Builder
	for i := range maxDescriptors + 1 {
		fmt.Fprintf(&doc, `{"digest":%q},`, digest.FromString(fmt.Sprint(i)))
	}
	many := "[" + doc.String() + "0]"
	if _, _, err := ParseManifest("application/vnd.future", []byte(many)); CodeOf(err) != CodeManifestInvalid {
		t.Errorf("%d digests: %v", maxDescriptors+1, err)
	}
	same := "[" + strings.Repeat(`{"digest":"`+digestA.String()+`"},`, maxDescriptors+1) + "0]"
	if _, refs, err := ParseManifest("application/vnd.future", []byte(same)); err != nil || len(refs.Named) != 1 {
		t.Errorf("one digest many times: %d, %v", len(refs.Named), err)
	}
}

// TestOwnedTakesLinearTime: nesting does not make reading slower.
func TestOwnedTakesLinearTime(t *testing.T) {
	fastest := func(size, depth int) time.Duration {
		deep := strings.Repeat(`{"x":[`, depth/2) + strings.Repeat(" ", size-8*depth) + strings.Repeat("]}", depth/2)
		least := time.Hour
		for range 5 {
			began := time.Now()
			if _, _, err := ParseManifest("application/vnd.future", []byte(deep)); err != nil {
				t.Fatal(err)
			}
			least = min(least, time.Since(began))
		}
		return least
	}
	const depth = 9000
	var quarter, whole time.Duration
	for range 10 { // a busy machine can slow down one measurement, but not make a quadratic one linear
		quarter, whole = fastest(MaxManifestSize/4, depth/4), fastest(MaxManifestSize, depth)
		if whole <= 10*quarter { // 4 times is linear, 16 times is quadratic
			return
		}
	}
	t.Errorf("a manifest of 4 times the size takes %v instead of %v", whole, quarter)
}
