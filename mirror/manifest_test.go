package mirror

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

var (
	digestA = digest.FromString("a")
	digestB = digest.FromString("b")
)

func descriptor(mediaType string, d digest.Digest) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, mediaType, d)
}

func TestParseManifest(t *testing.T) {
	config := descriptor("application/vnd.example.config", digestA)
	layer := descriptor(v1.MediaTypeImageLayerGzip, digestB)
	image := `{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `]}`
	for _, tt := range []struct {
		name, mediaType, doc string
		wantType             string
		blobs, children      int
		subject              bool
		artifactType         string
	}{
		{"image", v1.MediaTypeImageManifest, image, v1.MediaTypeImageManifest, 2, 0, false, "application/vnd.example.config"},
		{"docker image", MediaTypeDockerManifest, image, MediaTypeDockerManifest, 2, 0, false, "application/vnd.example.config"},
		{"parameters are ignored", v1.MediaTypeImageManifest + "; charset=utf-8", image, v1.MediaTypeImageManifest, 2, 0, false, "application/vnd.example.config"},
		{"type from the document", "", `{"schemaVersion":2,"mediaType":"` + MediaTypeDockerManifest + `","config":` + config + `}`, MediaTypeDockerManifest, 1, 0, false, "application/vnd.example.config"},
		{"type from the looks", "", image, v1.MediaTypeImageManifest, 2, 0, false, "application/vnd.example.config"},
		{"schema 1 from the looks", "", `{"schemaVersion":1,"fsLayers":[{"blobSum":"` + digestA.String() + `"}]}`, mediaTypeDockerSchema1, 0, 0, false, ""},
		{"signed schema 1 from the looks", "", `{"schemaVersion":1,"fsLayers":[],"signatures":[{}]}`, mediaTypeDockerSchema1Signed, 0, 0, false, ""},
		{"no layers", v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + config + `,"layers":[]}`, v1.MediaTypeImageManifest, 1, 0, false, "application/vnd.example.config"},
		{"foreign layers", v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + config + `,"layers":[` +
			descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digestB) + `,` +
			descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", digestB) + `]}`,
			v1.MediaTypeImageManifest, 1, 0, false, "application/vnd.example.config"},
		{"index", v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + descriptor(v1.MediaTypeImageManifest, digestA) + `]}`, v1.MediaTypeImageIndex, 0, 1, false, ""},
		{"empty index", v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}`, v1.MediaTypeImageIndex, 0, 0, false, ""},
		{"artifact", v1.MediaTypeImageManifest, `{"schemaVersion":2,"artifactType":"application/x","config":` + config + `,"subject":` + layer + `}`, v1.MediaTypeImageManifest, 1, 0, true, "application/x"},
		{"draft artifact", mediaTypeOCIArtifactDraft, `{"artifactType":"application/x","blobs":[` + layer + `],"subject":` + layer + `}`, mediaTypeOCIArtifactDraft, 1, 0, true, "application/x"},
		{"unknown type", "application/vnd.future+json", `{"layers":[` + layer + `],"subject":` + layer + `}`, "application/vnd.future+json", 0, 0, true, ""},
		{"upper case", strings.ToUpper(v1.MediaTypeImageManifest), image, v1.MediaTypeImageManifest, 2, 0, false, "application/vnd.example.config"},
		{"upper case inside", v1.MediaTypeImageManifest, `{"schemaVersion":2,"mediaType":"` + strings.ToUpper(v1.MediaTypeImageManifest) + `","config":` + config + `}`,
			v1.MediaTypeImageManifest, 1, 0, false, "application/vnd.example.config"},
		{"unknown type inside", "application/vnd.Future", `{"mediaType":"application/vnd.future"}`, "application/vnd.Future", 0, 0, false, ""},
		{"unknown type, not JSON", "application/vnd.future", "\x00", "application/vnd.future", 0, 0, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mediaType, refs, err := ParseManifest(tt.mediaType, []byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			if mediaType != tt.wantType {
				t.Errorf("media type %s, want %s", mediaType, tt.wantType)
			}
			if len(refs.Blobs) != tt.blobs || len(refs.Manifests) != tt.children || (refs.Subject != nil) != tt.subject || refs.ArtifactType != tt.artifactType {
				t.Errorf("references %+v", refs)
			}
		})
	}
}

func TestParseManifestRefuses(t *testing.T) {
	layer := descriptor(v1.MediaTypeImageLayerGzip, digestB)
	for name, tt := range map[string]struct {
		mediaType, doc string
		code           Code
	}{
		"no media type":         {"", "{}", CodeManifestInvalid},
		"not JSON":              {v1.MediaTypeImageManifest, "<html>", CodeManifestInvalid},
		"another type inside":   {v1.MediaTypeImageManifest, `{"schemaVersion":2,"mediaType":"` + MediaTypeDockerManifest + `","config":` + layer + `}`, CodeManifestInvalid},
		"image and index":       {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + layer + `,"manifests":[` + layer + `]}`, CodeManifestInvalid},
		"index and image":       {v1.MediaTypeImageIndex, `{"schemaVersion":2,"layers":[` + layer + `],"manifests":[` + layer + `]}`, CodeManifestInvalid},
		"no config":             {v1.MediaTypeImageManifest, `{"schemaVersion":2}`, CodeManifestInvalid},
		"schema version 1":      {v1.MediaTypeImageManifest, `{"schemaVersion":1,"config":` + layer + `}`, CodeManifestInvalid},
		"digest with a path":    {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":{"digest":"sha256:../../etc","size":1}}`, CodeManifestInvalid},
		"negative size":         {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":{"digest":"` + digestA.String() + `","size":-1}}`, CodeManifestInvalid},
		"subject with no hash":  {v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + layer + `,"subject":{}}`, CodeManifestInvalid},
		"a known type inside":   {"application/foo", `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `","config":` + layer + `}`, CodeManifestInvalid},
		"an unknown one inside": {"application/foo", `{"mediaType":"application/bar"}`, CodeManifestInvalid},
		"markup in the type":    {"text/html\t<script>", "{}", CodeManifestInvalid},
		"no subtype":            {"application", "{}", CodeManifestInvalid},
		"a long type":           {"application/" + strings.Repeat("x", 60000), "{}", CodeManifestInvalid},
		"a wrong type inside":   {"", `{"mediaType":"<b>"}`, CodeManifestInvalid},
		"too large":             {v1.MediaTypeImageManifest, strings.Repeat(" ", MaxManifestSize+1), CodeManifestTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, refs, err := ParseManifest(tt.mediaType, []byte(tt.doc)); CodeOf(err) != tt.code {
				t.Errorf("got %+v, %v, want %s", refs, err, tt.code)
			}
		})
	}
}

func TestValidMediaType(t *testing.T) {
	part := strings.Repeat("a", 127)
	for mediaType, want := range map[string]bool{
		v1.MediaTypeImageManifest: true, "0/0": true, part + "/" + part: true,
		"": false, "a": false, "/a": false, "a/": false, "a/b/c": false, "a/.b": false, "a/b c": false, "a/b\n": false,
		part + "a/b": false, "a/" + part + "a": false,
	} {
		if got := validMediaType(mediaType); got != want {
			t.Errorf("validMediaType(%q) = %t", mediaType, got)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	layer := descriptor(v1.MediaTypeImageLayerGzip, digestB)
	for _, mediaType := range append(ManifestMediaTypes(), "", mediaTypeOCIArtifactDraft, "application/vnd.future+json") {
		f.Add(mediaType, []byte(`{"schemaVersion":2,"config":`+layer+`,"layers":[`+layer+`]}`))
		f.Add(mediaType, []byte(`{"schemaVersion":2,"manifests":[`+layer+`],"subject":`+layer+`}`))
		f.Add(mediaType, []byte(`{"blobs":[`+layer+`],"annotations":{"a":"b"}}`))
	}
	f.Fuzz(func(t *testing.T, mediaType string, doc []byte) {
		got, refs, err := ParseManifest(mediaType, doc)
		if err != nil {
			if code := CodeOf(err); code != CodeManifestInvalid && code != CodeManifestTooLarge {
				t.Fatalf("error %v has code %s", err, code)
			}
			return
		}
		if !validMediaType(got) {
			t.Fatalf("media type %q", got)
		}
		if refs.Subject != nil {
			refs.Blobs = append(refs.Blobs, *refs.Subject)
		}
		for role, desc := range refs.Owned() {
			if _, err := ParseDigest(desc.Digest.String()); err != nil || desc.Size < 0 && (role != RoleNamed || desc.Size != -1) {
				t.Fatalf("descriptor %+v was let through", desc)
			}
		}
	})
}
