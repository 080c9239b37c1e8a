package cachetest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

var storeManifestTests = []storeCase{
	{"RoundTrip", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer", "layer"}})
		s.wantManifest(repoA, m)
		_, err := s.Manifest(s.ctx, repoB, m.Digest)
		s.wantCode(err, mirror.CodeManifestUnknown)
		_, err = s.OpenManifest(s.ctx, repoB, m.Digest)
		s.wantCode(err, mirror.CodeManifestUnknown)
		s.wantBlob(repoA, string(m.Bytes), false) // a manifest is not a blob
		s.must(s.PutManifest(s.ctx, repoA, m))
		s.wantManifest(repoA, m)
	}},
	{"Invalid", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
		wrong := m
		wrong.Digest = digest.FromString("something else")
		s.wantCode(s.PutManifest(s.ctx, repoB, wrong, "v1"), mirror.CodeDigestInvalid)
		wrong.Digest = "sha256:nonsense"
		s.wantCode(s.PutManifest(s.ctx, repoB, wrong, "v1"), mirror.CodeDigestInvalid)
		wrong = m
		wrong.MediaType = v1.MediaTypeImageIndex
		s.wantCode(s.PutManifest(s.ctx, repoB, wrong, "v1"), mirror.CodeManifestInvalid)
		large := []byte(`{"schemaVersion":2` + strings.Repeat(" ", mirror.MaxManifestSize) + `}`)
		wrong = mirror.Manifest{MediaType: "application/x", Bytes: large, Digest: digest.FromBytes(large), Origin: mirror.Pushed}
		s.wantCode(s.PutManifest(s.ctx, repoB, wrong, "v1"), mirror.CodeManifestTooLarge)
		_, err := s.RepoOrigin(s.ctx, repoB)
		s.wantCode(err, mirror.CodeNameUnknown)
	}},
	{"Large", func(s *storeTest) {
		data := []byte(strings.Repeat("large ", mirror.MaxManifestSize/6))
		m := mirror.Manifest{MediaType: "application/vnd.large", Bytes: data, Digest: digest.FromBytes(data), Origin: mirror.Pushed}
		s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
		s.wantManifest(repoA, m)
	}},
	{"UnknownMediaType", func(s *storeTest) {
		data := []byte("not even JSON")
		m := mirror.Manifest{MediaType: "application/vnd.tomorrow", Bytes: data, Digest: digest.SHA512.FromBytes(data), Origin: mirror.Pushed}
		s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
		s.wantManifest(repoA, m)
	}},
	{"MissingBlobs", func(s *storeTest) {
		image := image{config: "{}", layers: []string{"one", "two", "one", "three"}}
		s.push(repoA, "two")
		s.push(repoB, "three") // stored, but not linked to repoA
		for _, origin := range []mirror.Origin{mirror.Pushed, mirror.Imported} {
			m := image.manifest(origin)
			err := s.PutManifest(s.ctx, repoA, m, "v1")
			s.wantCode(err, mirror.CodeManifestBlobUnknown)
			s.wantMissing(err, "{}", "one", "three")
			_, err = s.Manifest(s.ctx, repoA, m.Digest)
			s.wantCode(err, mirror.CodeManifestUnknown)
			s.wantTag(repoA, "v1", "", "")
			_, err = s.RepoOrigin(s.ctx, repoA)
			s.wantCode(err, mirror.CodeNameUnknown)
			s.wantStat(repoA, digest.FromString("three"), mirror.BlobStat{Stored: true, Size: 5})
		}
		s.push(repoA, "{}")
		s.push(repoA, "one")
		_, err := s.Mount(s.ctx, repoA, repoB, digest.FromString("three"))
		s.must(err)
		s.must(s.PutManifest(s.ctx, repoA, image.manifest(mirror.Pushed)))
	}},
	{"ManyMissingBlobs", func(s *storeTest) {
		var blobs []string
		for i := range 15000 {
			blobs = append(blobs, strconv.Itoa(i))
		}
		err := s.PutManifest(s.ctx, repoA, image{config: "0", layers: blobs}.manifest(mirror.Pushed))
		s.wantCode(err, mirror.CodeManifestBlobUnknown)
		s.wantMissing(err, blobs[:100]...)
		if !strings.Contains(err.Error(), " 15000 blobs") {
			s.t.Errorf("%v does not contain the number", err)
		}
	}},
	{"WrongSizes", func(s *storeTest) {
		s.push(repoA, "{}")
		s.push(repoA, "layer")
		right := image{config: "{}", layers: []string{"layer", "layer"}}
		for _, replace := range []int{1, 2} { // one of the two layers, and both
			for _, size := range []string{"4", "6", "9223372036854775807"} {
				m := right.manifest(mirror.Pushed)
				m.Bytes = []byte(strings.Replace(string(m.Bytes), `"size": 5`, `"size": `+size, replace))
				m.Digest = digest.FromBytes(m.Bytes)
				err := s.PutManifest(s.ctx, repoA, m)
				s.wantCode(err, mirror.CodeManifestInvalid)
				if !strings.Contains(err.Error(), digest.FromString("layer").String()) {
					s.t.Errorf("%v does not name the blob", err)
				}
				m.Origin = mirror.Mirrored
				s.must(s.PutManifest(s.ctx, repoB, m)) // a mirrored manifest is stored as it is
			}
		}
		s.must(s.PutManifest(s.ctx, repoA, right.manifest(mirror.Pushed)))
	}},
	{"MirroredBeforeItsBlobs", func(s *storeTest) {
		s.push(repoB, "shared")
		m := image{config: "{}", layers: []string{"layer", "shared"}}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
		s.wantManifest(repoA, m)
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{Referenced: true, Required: true, Size: 5})
		s.wantStat(repoB, digest.FromString("layer"), mirror.BlobStat{})
		s.wantStat(repoA, digest.FromString("shared"), mirror.BlobStat{Stored: true, Referenced: true, Required: true, Size: 6})
		s.wantStat(repoB, digest.FromString("shared"), mirror.BlobStat{Stored: true, Linked: true, Size: 6})
		s.wantBlob(repoA, "layer", false)
		s.wantBlob(repoA, "shared", false) // the author of a manifest may not have access to its blobs
		s.wantCode(s.Unlink(s.ctx, repoA, digest.FromString("layer")), mirror.CodeUnsupported)
		s.receive(repoA, "layer")
		s.wantBlob(repoA, "layer", true)
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{Stored: true, Linked: true, Referenced: true, Required: true, Size: 5})
		// A client that pushes the same image must send the missing blob, and the one that this repository may not read.
		err := s.PutManifest(s.ctx, repoA, image{config: "{}", layers: []string{"layer", "shared"}}.manifest(mirror.Pushed))
		s.wantCode(err, mirror.CodeManifestBlobUnknown)
		s.wantMissing(err, "{}", "shared")
		s.wantManifest(repoA, m)
	}},
	{"Confirm", func(s *storeTest) {
		shared := digest.FromString("shared")
		s.push(repoA2, "shared")
		s.receive(repoOther, "shared")
		s.must(s.PutManifest(s.ctx, repoA, image{config: "{}", layers: []string{"layer", "shared"}}.manifest(mirror.Mirrored)))
		unconfirmable := mirror.BlobStat{Stored: true, Referenced: true, Required: true, Size: 6}
		s.wantStat(repoA, shared, unconfirmable)
		s.wantCode(s.Confirm(s.ctx, repoA, shared), mirror.CodeBlobUnknown) // only pushed, or sent by another upstream
		s.wantBlob(repoA, "shared", false)
		s.receive(repoA2, "shared")
		confirmable := unconfirmable
		confirmable.Confirmable = true
		s.wantStat(repoA, shared, confirmable)
		for range 2 {
			s.must(s.Confirm(s.ctx, repoA, shared))
			s.wantBlob(repoA, "shared", true)
		}
		s.wantStat(repoA, shared, mirror.BlobStat{Stored: true, Linked: true, Referenced: true, Required: true, Size: 6})
		s.wantCode(s.Confirm(s.ctx, repoA, digest.FromString("layer")), mirror.CodeBlobUnknown) // not stored
		s.receive(repoA2, "layer")
		s.wantBlob(repoA, "layer", false)
		s.wantCode(s.Confirm(s.ctx, repoB, digest.FromString("{}")), mirror.CodeBlobUnknown)
	}},
	{"ConfirmAfterPush", func(s *storeTest) {
		layer := digest.FromString("layer")
		s.push(repoA2, "layer")
		s.receive(repoA2, "layer")
		s.push(repoA2, "layer")
		s.wantBlob(repoA2, "layer", true)
		s.must(s.Confirm(s.ctx, repoA, layer))
		s.wantBlob(repoA, "layer", true)
	}},
	{"AnnouncedBlobs", func(s *storeTest) {
		m := image{config: "{}", layers: []string{"layer"}}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA, m))
		s.push(repoB, "{}")
		s.push(repoB, "layer")
		for _, blob := range []string{"{}", "layer"} {
			s.wantBlob(repoA, blob, false)
			_, err := s.Mount(s.ctx, repoA2, repoA, digest.FromString(blob))
			s.wantCode(err, mirror.CodeBlobUnknown)
		}
		s.push(repoA, "{}") // a client that sends it may read it
		s.wantBlob(repoA, "{}", true)
		m.Origin = mirror.Imported
		s.wantCode(s.PutManifest(s.ctx, repoA, m), mirror.CodeManifestBlobUnknown)
		s.push(repoB, string(m.Bytes))
		s.must(s.ImportManifests(s.ctx, []mirror.ImportedManifest{{Repo: repoA, Digest: m.Digest, MediaType: m.MediaType, Origin: m.Origin}}))
		s.wantBlob(repoA, "layer", true)
	}},
	{"StrongerOriginWins", func(s *storeTest) {
		image := image{config: "{}"}
		s.push(repoA, "{}")
		for _, step := range []struct{ put, want mirror.Origin }{
			{mirror.Mirrored, mirror.Mirrored},
			{mirror.Imported, mirror.Imported},
			{mirror.Mirrored, mirror.Imported},
			{mirror.Pushed, mirror.Pushed},
			{mirror.Imported, mirror.Pushed},
			{mirror.Mirrored, mirror.Pushed},
		} {
			s.must(s.PutManifest(s.ctx, repoA, image.manifest(step.put)))
			s.wantManifest(repoA, image.manifest(step.want))
		}
	}},
	{"OtherMediaType", func(s *storeTest) {
		image := withoutMediaType(image{config: "{}", layers: []string{"layer"}}.manifest(mirror.Mirrored))
		opaque := image
		opaque.MediaType, opaque.Origin = "application/vnd.tomorrow", mirror.Mirrored
		s.must(s.PutManifest(s.ctx, repoA, opaque, "v1"))
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{Referenced: true, Size: 5})
		s.must(s.PutManifest(s.ctx, repoA, image, "v1"))
		s.wantManifest(repoA, image)
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{Referenced: true, Required: true, Size: 5})
		s.must(s.PutManifest(s.ctx, repoA, opaque, "v2")) // the references are kept
		s.wantManifest(repoA, image)
		s.wantTag(repoA, "v2", image.Digest, mirror.Mirrored)
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{Referenced: true, Required: true, Size: 5})
		s.push(repoA, "{}")
		s.push(repoA, "layer")
		for _, mediaType := range []string{opaque.MediaType, mirror.MediaTypeDockerManifest, v1.MediaTypeImageIndex} {
			opaque.Origin, opaque.MediaType = mirror.Pushed, mediaType
			s.wantCode(s.PutManifest(s.ctx, repoA, opaque, "v3"), mirror.CodeManifestInvalid)
			s.wantManifest(repoA, image)
			s.wantTag(repoA, "v3", "", "")
			s.wantCode(s.Unlink(s.ctx, repoA, digest.FromString("layer")), mirror.CodeUnsupported)
		}
	}},
	{"OtherMediaTypeOfStrongerOrigin", func(s *storeTest) {
		image := withoutMediaType(image{config: "{}"}.manifest(mirror.Mirrored))
		opaque := image
		opaque.MediaType, opaque.Origin = "application/vnd.tomorrow", mirror.Pushed
		s.must(s.PutManifest(s.ctx, repoA, opaque, "v1"))
		s.must(s.PutManifest(s.ctx, repoA, image, "v1")) // a mirrored manifest does not change a pushed one
		s.wantManifest(repoA, opaque)
		s.push(repoA, "{}")
		image.Origin = mirror.Pushed
		s.must(s.PutManifest(s.ctx, repoA, image, "v1"))
		s.wantManifest(repoA, image)
		image.MediaType = strings.ToUpper(image.MediaType)
		s.must(s.PutManifest(s.ctx, repoA, image, "v1"))
	}},
	{"SparseIndex", func(s *storeTest) {
		stored := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
		m := index(mirror.Pushed, stored, image{config: "elsewhere"}.manifest(mirror.Pushed))
		s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
		s.wantManifest(repoA, m)
		s.wantStat(repoA, digest.FromString("elsewhere"), mirror.BlobStat{})
	}},
	{"Delete", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer"}}, "v1", "v2")
		other := s.pushImage(repoA, mirror.Pushed, image{config: "{ }", layers: []string{"layer"}}, "v3")
		s.pushImage(repoB, mirror.Pushed, image{config: "{}", layers: []string{"layer"}}, "v1")
		s.wantManifest(repoA, m)
		s.wantTag(repoA, "v1", m.Digest, mirror.Pushed)
		s.wantCode(s.DeleteManifest(s.ctx, repoA2, m.Digest), mirror.CodeManifestUnknown)
		s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		s.wantCode(s.DeleteManifest(s.ctx, repoA, m.Digest), mirror.CodeManifestUnknown)
		_, err := s.Manifest(s.ctx, repoA, m.Digest)
		s.wantCode(err, mirror.CodeManifestUnknown)
		s.wantTag(repoA, "v1", "", "")
		s.wantTag(repoA, "v2", "", "")
		s.wantTag(repoA, "v3", other.Digest, mirror.Pushed)
		s.wantTag(repoB, "v1", m.Digest, mirror.Pushed)
		s.wantManifest(repoA, other)
		s.wantManifest(repoB, m)
		s.wantStat(repoA, digest.FromString("{}"), mirror.BlobStat{Stored: true, Linked: true, Size: 2})
		s.must(s.PutManifest(s.ctx, repoA, m, "v1")) // its blobs are still stored
		s.wantTag(repoA, "v1", m.Digest, mirror.Pushed)
	}},
	{"DeleteMirrored", func(s *storeTest) {
		first := image{config: "{}", layers: []string{"layer"}}.manifest(mirror.Mirrored)
		second := image{config: "{ }", layers: []string{"layer"}}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA, first))
		s.must(s.PutManifest(s.ctx, repoA, second))
		s.must(s.DeleteManifest(s.ctx, repoA, first.Digest))
		s.wantStat(repoA, digest.FromString("{}"), mirror.BlobStat{}) // no manifest refers to it
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{Referenced: true, Required: true, Size: 5})
		s.must(s.DeleteManifest(s.ctx, repoA, second.Digest))
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{})
	}},
}

// withoutMediaType returns an image whose document does not contain its media type.
func withoutMediaType(m mirror.Manifest) mirror.Manifest {
	data := []byte(strings.Replace(string(m.Bytes), `"mediaType": "`+m.MediaType+`",`, "", 1))
	return mirror.Manifest{MediaType: m.MediaType, Digest: digest.FromBytes(data), Bytes: data, Origin: m.Origin}
}

// wantMissing checks the detail of an error, which clients receive as JSON.
func (s *storeTest) wantMissing(err error, blobs ...string) {
	s.t.Helper()
	var got, want []digest.Digest
	e, _ := err.(*mirror.Error)
	if e == nil {
		s.t.Fatalf("%v has no detail", err)
	}
	detail, jsonErr := json.Marshal(e.Detail)
	s.must(jsonErr)
	s.must(json.Unmarshal(detail, &got))
	for _, blob := range blobs {
		want = append(want, digest.FromString(blob))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("missing blobs are %q, want %q", got, want)
	}
}
