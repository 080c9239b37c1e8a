package cachetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// Store tests an implementation of [mirror.Store]. open opens a new, empty store. The suite closes it.
func Store(t *testing.T, open func(t *testing.T) mirror.Store) {
	groups := []struct {
		name  string
		tests []storeCase
	}{
		{"Blobs", storeBlobTests},
		{"Uploads", storeUploadTests},
		{"ResumeBlob", storeResumeBlobTests},
		{"Manifests", storeManifestTests},
		{"Tags", storeTagTests},
		{"Catalog", storeCatalogTests},
		{"Import", storeImportTests},
		{"PointTags", storePointTagsTests},
		{"ImportFile", storeImportFileTests},
		{"Roots", storeRootTests},
		{"Concurrent", storeConcurrentTests},
		{"Survey", storeSurveyTests},
		{"Sweep", storeSweepTests},
		{"SweepKeeps", storeSweepKeptTests},
		{"SweepKeepsRecent", storeSweepRecentTests},
		{"ConcurrentSweep", storeSweepRaces},
		{"Expire", storeExpireTests},
		{"Check", storeCheckTests},
		{"Owned", storeOwnedTests},
		{"State", storeStateTests},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					s := &storeTest{Store: open(t), t: t, ctx: t.Context()}
					test.run(s)
					s.wantNoDefects()
					if err := s.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				})
			}
		})
	}
}

type storeCase struct {
	name string
	run  func(s *storeTest)
}

var (
	repoA = mirror.Repo{Host: "docker.io", Path: "library/a"}
	repoB = mirror.Repo{Host: "docker.io", Path: "library/b"}
	// repoA2 has a name that begins with that of repoA.
	repoA2 = mirror.Repo{Host: "docker.io", Path: "library/a2"}
	// repoOther belongs to another upstream, whose host begins with that of the others.
	repoOther = mirror.Repo{Host: "docker.io.example", Path: "library/a"}
)

// storeTest is a test of one store, with helpers.
type storeTest struct {
	mirror.Store
	t   *testing.T
	ctx context.Context
}

// must ends the test on an error.
func (s *storeTest) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// wantCode checks the code of an error.
func (s *storeTest) wantCode(err error, want mirror.Code) {
	s.t.Helper()
	if got := mirror.CodeOf(err); got != want {
		s.t.Errorf("error is %q (%v), want %q", got, err, want)
	}
}

// push uploads a blob.
func (s *storeTest) push(repo mirror.Repo, blob string) digest.Digest {
	s.t.Helper()
	u, err := s.StartUpload(s.ctx, repo, digest.SHA256)
	s.must(err)
	_, err = u.Append(strings.NewReader(blob))
	s.must(err)
	d := digest.FromString(blob)
	s.must(u.Commit(s.ctx, d))
	return d
}

// receive stores a blob as a download does.
func (s *storeTest) receive(repo mirror.Repo, blob string) digest.Digest {
	s.t.Helper()
	d := digest.FromString(blob)
	in, err := s.Receive(s.ctx, d)
	s.must(err)
	_, err = io.WriteString(in, blob)
	s.must(err)
	s.must(in.Commit(s.ctx, repo))
	return d
}

// wantBlob checks whether a blob can be read in repo, and its content.
func (s *storeTest) wantBlob(repo mirror.Repo, blob string, want bool) {
	s.t.Helper()
	b, err := s.Blob(s.ctx, repo, digest.FromString(blob))
	if !want {
		s.wantCode(err, mirror.CodeBlobUnknown)
		return
	}
	if err != nil {
		s.t.Errorf("blob %q in %s: %v", blob, repo, err)
		return
	}
	defer b.Close()
	data, err := io.ReadAll(b)
	if err != nil || string(data) != blob || b.Size != int64(len(blob)) {
		s.t.Errorf("blob %q in %s reads %q of %d bytes, %v", blob, repo, data, b.Size, err)
	}
}

// wantStat checks what StatBlob returns.
func (s *storeTest) wantStat(repo mirror.Repo, d digest.Digest, want mirror.BlobStat) {
	s.t.Helper()
	got, err := s.StatBlob(s.ctx, repo, d)
	if err != nil || got != want {
		s.t.Errorf("StatBlob in %s: %+v, %v; want %+v", repo, got, err, want)
	}
}

// pushImage pushes the blobs of an image, and then its manifest.
func (s *storeTest) pushImage(repo mirror.Repo, origin mirror.Origin, image image, tags ...string) mirror.Manifest {
	s.t.Helper()
	for _, blob := range image.blobs() {
		s.push(repo, blob)
	}
	m := image.manifest(origin)
	s.must(s.PutManifest(s.ctx, repo, m, tags...))
	return m
}

// wantManifest checks that a manifest is stored unchanged.
func (s *storeTest) wantManifest(repo mirror.Repo, want mirror.Manifest) {
	s.t.Helper()
	for range 2 { // the second read may come from a cache
		got, err := s.Manifest(s.ctx, repo, want.Digest)
		if err != nil {
			s.t.Errorf("manifest in %s: %v", repo, err)
			return
		}
		if got.MediaType != want.MediaType || got.Digest != want.Digest || got.Origin != want.Origin || !bytes.Equal(got.Bytes, want.Bytes) {
			s.t.Errorf("manifest in %s is\n%+v, want\n%+v", repo, got, want)
		}
	}
	open, err := s.OpenManifest(s.ctx, repo, want.Digest)
	if err != nil {
		s.t.Errorf("open manifest in %s: %v", repo, err)
		return
	}
	defer open.Close()
	if open.Verify != nil {
		s.must(open.Verify(s.ctx))
	}
	if got, err := io.ReadAll(open); err != nil || !bytes.Equal(got, want.Bytes) || open.Size != int64(len(want.Bytes)) {
		s.t.Errorf("opened manifest in %s is %q of %d bytes, %v", repo, got, open.Size, err)
	}
}

// wantTag checks what a tag points at. If want is "", the tag must not exist.
func (s *storeTest) wantTag(repo mirror.Repo, tag string, want digest.Digest, origin mirror.Origin) mirror.Tag {
	s.t.Helper()
	got, err := s.Tag(s.ctx, repo, tag)
	if want == "" {
		s.wantCode(err, mirror.CodeManifestUnknown)
		return got
	}
	if err != nil || got.Digest != want || got.Origin != origin {
		s.t.Errorf("tag %s is %+v, %v; want %s %s", tag, got, err, origin, want)
	}
	return got
}

// image describes an OCI image or, with a subject, a referrer.
type image struct {
	config       string
	layers       []string
	subject      digest.Digest
	artifactType string
	annotations  map[string]string
}

func (i image) blobs() []string { return append([]string{i.config}, i.layers...) }

func (i image) manifest(origin mirror.Origin) mirror.Manifest {
	doc := v1.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    v1.MediaTypeImageManifest,
		ArtifactType: i.artifactType,
		Config:       describe(v1.MediaTypeImageConfig, i.config),
		Annotations:  i.annotations,
	}
	for _, layer := range i.layers {
		doc.Layers = append(doc.Layers, describe(v1.MediaTypeImageLayerGzip, layer))
	}
	if i.subject != "" {
		doc.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: i.subject, Size: 1}
	}
	return document(v1.MediaTypeImageManifest, doc, origin)
}

// index returns an index of manifests.
func index(origin mirror.Origin, children ...mirror.Manifest) mirror.Manifest {
	doc := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, child := range children {
		doc.Manifests = append(doc.Manifests, describe(child.MediaType, string(child.Bytes)))
	}
	return document(v1.MediaTypeImageIndex, doc, origin)
}

func document(mediaType string, doc any, origin mirror.Origin) mirror.Manifest {
	data, err := json.MarshalIndent(doc, "", "\t") // not as json.Marshal would encode it
	if err != nil {
		panic(err)
	}
	return mirror.Manifest{MediaType: mediaType, Digest: digest.FromBytes(data), Bytes: data, Origin: origin}
}

func describe(mediaType, blob string) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromString(blob), Size: int64(len(blob))}
}
