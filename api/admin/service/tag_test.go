package service_test

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// tagOf returns what a tag points at, or "".
func (m *testMirror) tagOf(path, tag string) digest.Digest {
	m.t.Helper()
	got, err := m.store.Tag(m.t.Context(), mirror.Repo{Host: mirror.DockerHub, Path: path}, tag)
	if mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		m.must(err)
	}
	return got.Digest
}

// put stores a manifest that was pushed.
func (m *testMirror) put(path string, manifest any, mediaType string, tags ...string) v1.Descriptor {
	m.t.Helper()
	body, err := json.Marshal(manifest)
	m.must(err)
	_, _, err = m.proxy.PutManifest(m.t.Context(), mirror.Put{Repo: mirror.Repo{Host: mirror.DockerHub, Path: path}, MediaType: mediaType, Bytes: body, Tags: tags})
	m.must(err)
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
}

// tag runs the job and returns its result.
func (m *testMirror) tag(source, target string) (tagged admin.Tagged, err error) {
	m.t.Helper()
	events, err := m.run("tag", admin.TagRequest{Source: source, Target: target}, nil)
	if err == nil {
		m.must(events[0].Decode(&tagged))
	}
	return tagged, err
}

func TestTag(t *testing.T) {
	m := newTestMirror(t)
	m.push("team/app", "1")
	m.push("team/app", "2")
	one, two := m.tagOf("team/app", "1"), m.tagOf("team/app", "2")
	for _, tt := range []struct {
		source, target string
		want           admin.Tagged
	}{
		{"team/app:1", "team/app:stable", admin.Tagged{Reference: "docker.io/team/app:stable", Digest: one}},
		{"team/app:2", "team/app:stable", admin.Tagged{Reference: "docker.io/team/app:stable", Digest: two, Was: one}},
		{"team/app@" + one.String()[:20], "other/base:1", admin.Tagged{Reference: "docker.io/other/base:1", Digest: one}},
		{"team/app:1", "other/base", admin.Tagged{Reference: "docker.io/other/base:latest", Digest: one}},
	} {
		got, err := m.tag(tt.source, tt.target)
		m.must(err)
		if got != tt.want {
			t.Errorf("%s as %s: %+v, want %+v", tt.source, tt.target, got, tt.want)
		}
	}
	if m.tagOf("other/base", "1") != one || m.tagOf("team/app", "stable") != two {
		t.Error("a tag was not set")
	}
	blob, err := m.store.Blob(t.Context(), mirror.Repo{Host: mirror.DockerHub, Path: "other/base"}, digest.FromString("layer of team/app:1"))
	m.must(err)
	blob.Close()
	for source, target := range map[string]string{"team/app:9": "team/app:10", "team/none": "team/app:3"} {
		if _, err := m.tag(source, target); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
			t.Errorf("%s: %v", source, err)
		}
	}
	for _, target := range []string{"team/app@" + one.String(), "team/app:a/b", "Team/app:1"} {
		if _, err := m.tag("team/app:1", target); mirror.CodeOf(err) != mirror.CodeNameInvalid {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// TestTagCopiesPlatformsAndReferrers tags an index with one stored platform of two, and signatures, in another repository.
func TestTagCopiesPlatformsAndReferrers(t *testing.T) {
	m := newTestMirror(t)
	m.push("team/app", "amd64")
	amd64 := m.tagOf("team/app", "amd64")
	manifest, err := m.store.Manifest(t.Context(), mirror.Repo{Host: mirror.DockerHub, Path: "team/app"}, amd64)
	m.must(err)
	stored := v1.Descriptor{MediaType: manifest.MediaType, Digest: amd64, Size: int64(len(manifest.Bytes))}
	missing := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("missing"), Size: 7}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{stored, missing}}
	subject := m.put("team/app", index, v1.MediaTypeImageIndex, "1")
	signature := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Subject: &subject, ArtifactType: "application/signature"}
	bySubject := m.put("team/app", signature, v1.MediaTypeImageIndex)
	signature.Subject = nil
	signatureTag := "sha256-" + subject.Digest.Encoded() + ".sig"
	m.put("team/app", signature, v1.MediaTypeImageIndex, signatureTag)

	got, err := m.tag("team/app:1", "other/app:1")
	m.must(err)
	if got.Digest != subject.Digest || got.Skipped != 1 {
		t.Errorf("tagged %+v", got)
	}
	other := mirror.Repo{Host: mirror.DockerHub, Path: "other/app"}
	for _, d := range []digest.Digest{amd64, bySubject.Digest, m.tagOf("other/app", signatureTag)} {
		if _, err := m.store.Manifest(t.Context(), other, d); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}

	index.Manifests = []v1.Descriptor{missing}
	m.put("team/app", index, v1.MediaTypeImageIndex, "empty")
	if _, err := m.tag("team/app:empty", "other/app:2"); mirror.CodeOf(err) != mirror.CodeManifestUnknown || m.tagOf("other/app", "2") != "" {
		t.Errorf("an image without a stored platform: %v", err)
	}
}
