package cachetest

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

var storeImportTests = []storeCase{
	{"ReceiveWithoutRepository", func(s *storeTest) {
		d := s.receiveUnlinked("a blob")
		s.wantContent(d, "a blob")
		s.wantBlob(repoA, "a blob", false)
		s.wantStat(repoA, d, mirror.BlobStat{Stored: true, Size: 6})
		_, err := s.Mount(s.ctx, repoA, mirror.Repo{}, d)
		s.wantCode(err, mirror.CodeBlobUnknown)
		repos, err := s.Repos(s.ctx, "", 10)
		if err != nil || len(repos) != 0 {
			s.t.Errorf("repositories are %v, %v", repos, err)
		}
		s.receive(repoA, "a blob")
		s.receiveUnlinked("a blob")
		s.wantBlob(repoA, "a blob", true)
		s.wantContent(d, "a blob")
	}},
	{"ReceiveUnannounced", func(s *storeTest) {
		for _, blob := range []string{"", "a blob"} {
			in, err := s.Receive(s.ctx, "")
			s.must(err)
			_, err = io.WriteString(in, blob)
			s.must(err)
			s.must(in.Verify())
			if in.Digest() != "" {
				s.t.Errorf("digest is %s before Commit", in.Digest())
			}
			s.must(in.Commit(s.ctx, repoA))
			s.must(in.Abort()) // which does nothing after Commit
			if in.Digest() != digest.FromString(blob) {
				s.t.Errorf("digest is %s after Commit of %q", in.Digest(), blob)
			}
			s.wantBlob(repoA, blob, true)
			s.wantBlob(repoB, blob, false)
		}
		in, err := s.Receive(s.ctx, digest.SHA512.FromString("announced"))
		s.must(err)
		if in.Digest() != digest.SHA512.FromString("announced") {
			s.t.Errorf("digest is %s, want the announced one", in.Digest())
		}
		s.must(in.Abort())
	}},
	{"ReceiveUnannouncedAborted", func(s *storeTest) {
		in, err := s.Receive(s.ctx, "")
		s.must(err)
		_, err = io.WriteString(in, "a blob")
		s.must(err)
		s.must(in.Abort())
		if in.Commit(s.ctx, repoA) == nil || in.Digest() != "" {
			s.t.Errorf("committed as %q after Abort", in.Digest())
		}
		s.wantNoContent(digest.FromString("a blob"))
	}},
	{"ContentOfAllRepositories", func(s *storeTest) {
		s.wantNoContent("")
		s.wantNoContent("sha256:nonsense")
		s.wantNoContent(digest.FromString("a blob"))
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
		for _, blob := range []string{"{}", string(m.Bytes)} {
			s.wantContent(digest.FromString(blob), blob)
			used, err := s.LastUsed(s.ctx, repoA, digest.FromString(blob))
			if err != nil || !used.Equal(time.Time{}) {
				s.t.Errorf("last used at %v, %v: an export is not a use", used, err)
			}
		}
		awaited := image{config: "elsewhere"}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA, awaited))
		s.wantNoContent(digest.FromString("elsewhere"))
	}},
	{"ImportManifests", func(s *storeTest) {
		child := image{config: "{}", layers: []string{"layer", "layer"}}
		manifest := s.receiveImage(child, mirror.Imported)
		sparse := index(mirror.Imported, manifest, image{config: "elsewhere"}.manifest(""))
		s.receiveUnlinked(string(sparse.Bytes))
		signature := s.receiveImage(image{config: "sig", subject: sparse.Digest, artifactType: "a/signature"}, mirror.Imported)
		s.must(s.ImportManifests(s.ctx, []mirror.ImportedManifest{
			importOf(repoA, signature), importOf(repoA, sparse), importOf(repoA, manifest), importOf(repoB, manifest), importOf(repoB, manifest),
		}))
		for _, m := range []mirror.Manifest{manifest, sparse, signature} {
			s.wantManifest(repoA, m)
		}
		s.wantManifest(repoB, manifest)
		for _, repo := range []mirror.Repo{repoA, repoB} {
			s.wantBlob(repo, "{}", true)
			s.wantBlob(repo, "layer", true)
			s.wantOrigin(repo, mirror.Imported)
		}
		s.wantBlob(repoB, "sig", false)
		s.wantStat(repoA, digest.FromString("layer"), mirror.BlobStat{Stored: true, Linked: true, Referenced: true, Required: true, Size: 5})
		s.wantCode(s.Unlink(s.ctx, repoA, digest.FromString("layer")), mirror.CodeUnsupported)
		list, _, err := s.Referrers(s.ctx, repoA, sparse.Digest, "", 10, 1<<20)
		if err != nil || len(list) != 1 || list[0].Digest != signature.Digest || list[0].ArtifactType != "a/signature" {
			s.t.Errorf("referrers are %v, %v", list, err)
		}
		tags, err := s.Tags(s.ctx, repoA, "", 10)
		if err != nil || len(tags) != 0 {
			s.t.Errorf("tags are %v, %v", tags, err)
		}
		s.must(s.ImportManifests(s.ctx, nil))
	}},
	{"MissingBlobs", func(s *storeTest) {
		s.pushImage(repoA2, mirror.Pushed, image{config: "there"})
		incomplete := image{config: "there", layers: []string{"one", "two"}}.manifest(mirror.Imported)
		similar := image{config: "two", layers: []string{"three"}}.manifest(mirror.Imported)
		complete := s.receiveImage(image{config: "{}"}, mirror.Imported)
		s.receiveUnlinked(string(incomplete.Bytes))
		s.receiveUnlinked(string(similar.Bytes))
		all := []mirror.ImportedManifest{importOf(repoA, complete), importOf(repoB, incomplete), importOf(repoA, similar)}
		err := s.ImportManifests(s.ctx, all)
		s.wantCode(err, mirror.CodeManifestBlobUnknown)
		s.wantMissing(err, "one", "two", "three") // each once
		for _, c := range all {
			s.wantCode(errOf(s.Manifest(s.ctx, c.Repo, c.Digest)), mirror.CodeManifestUnknown)
			s.wantCode(errOf(s.RepoOrigin(s.ctx, c.Repo)), mirror.CodeNameUnknown)
		}
		s.wantStat(repoA, digest.FromString("{}"), mirror.BlobStat{Stored: true, Size: 2})
		for _, blob := range []string{"one", "two", "three"} {
			s.receiveUnlinked(blob)
		}
		s.must(s.ImportManifests(s.ctx, all))
		s.wantManifest(repoB, incomplete)
		s.wantBlob(repoB, "there", true)
	}},
	{"MissingManifests", func(s *storeTest) {
		m := image{config: "{}"}.manifest(mirror.Imported)
		other := image{config: "{ }"}.manifest(mirror.Imported)
		s.receiveUnlinked("{}")
		err := s.ImportManifests(s.ctx, []mirror.ImportedManifest{importOf(repoA, m), importOf(repoB, m), importOf(repoA, other)})
		s.wantCode(err, mirror.CodeManifestBlobUnknown)
		s.wantMissing(err, string(m.Bytes), string(other.Bytes))
	}},
	{"ManyMissingBlobs", func(s *storeTest) {
		var all []mirror.ImportedManifest
		var blobs []string
		for _, config := range strings.Split(strings.Repeat("x,", 150), ",") {
			blobs = append(blobs, config+strings.Repeat("y", len(blobs)))
			m := image{config: blobs[len(blobs)-1]}.manifest(mirror.Imported)
			s.receiveUnlinked(string(m.Bytes))
			all = append(all, importOf(repoA, m))
		}
		err := s.ImportManifests(s.ctx, all)
		s.wantCode(err, mirror.CodeManifestBlobUnknown)
		s.wantMissing(err, blobs[:100]...)
		if !strings.Contains(err.Error(), "151 blobs") {
			s.t.Errorf("%v does not contain the number", err)
		}
	}},
	{"InvalidManifests", testImportRefused},
	{"LocalRepositories", func(s *storeTest) {
		m := s.receiveImage(image{config: "{}"}, mirror.Imported)
		local := importOf(repoA, m)
		local.Local = true
		pushed := importOf(repoB, m)
		pushed.Origin = mirror.Pushed // by a client of the other mirror, into a mirrored repository
		s.must(s.ImportManifests(s.ctx, []mirror.ImportedManifest{local, pushed}))
		s.wantOrigin(repoA, mirror.Pushed)
		s.wantOrigin(repoB, mirror.Imported)
		m.Origin = mirror.Pushed
		s.wantManifest(repoB, m)

		mirrored := image{config: "elsewhere"}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA2, mirrored))
		local.Repo = repoA2
		s.must(s.ImportManifests(s.ctx, []mirror.ImportedManifest{local}))
		s.wantOrigin(repoA2, mirror.Mirrored) // unchanged
	}},
	{"ImportCompletesMirroredImage", func(s *storeTest) {
		image := image{config: "{}", layers: []string{"layer", "shared"}}
		s.push(repoA, "shared")
		s.must(s.PutManifest(s.ctx, repoA, image.manifest(mirror.Mirrored), "v1"))
		s.wantManifest(repoA, image.manifest(mirror.Mirrored)) // which is cached from now on
		c := importOf(repoA, image.manifest(mirror.Imported))
		err := s.ImportManifests(s.ctx, []mirror.ImportedManifest{c})
		s.wantCode(err, mirror.CodeManifestBlobUnknown)
		s.wantMissing(err, "{}", "layer")
		s.wantManifest(repoA, image.manifest(mirror.Mirrored))
		s.receiveUnlinked("{}")
		s.receiveUnlinked("layer")
		s.must(s.ImportManifests(s.ctx, []mirror.ImportedManifest{c}))
		s.wantManifest(repoA, image.manifest(mirror.Imported))
		s.wantBlob(repoA, "layer", true)
		s.wantTag(repoA, "v1", c.Digest, mirror.Mirrored)
		s.wantOrigin(repoA, mirror.Mirrored)
	}},
	{"StrongerOriginWins", func(s *storeTest) {
		image := image{config: "{}"}
		s.pushImage(repoA, mirror.Mirrored, image)
		for _, step := range []struct{ origin, want mirror.Origin }{
			{mirror.Imported, mirror.Imported},
			{mirror.Pushed, mirror.Pushed},
			{mirror.Imported, mirror.Pushed},
		} {
			s.must(s.ImportManifests(s.ctx, []mirror.ImportedManifest{importOf(repoA, image.manifest(step.origin))}))
			s.wantManifest(repoA, image.manifest(step.want))
		}
	}},
}

func testImportRefused(s *storeTest) {
	complete := s.receiveImage(image{config: "{}"}, mirror.Imported)
	refused := func(m mirror.Manifest, want mirror.Code) {
		s.t.Helper()
		s.receiveUnlinked(string(m.Bytes))
		err := s.ImportManifests(s.ctx, []mirror.ImportedManifest{importOf(repoA, complete), importOf(repoA, m)})
		s.wantCode(err, want)
		if err != nil && !strings.Contains(err.Error(), m.Digest.String()) {
			s.t.Errorf("%v does not name the manifest", err)
		}
		s.wantCode(errOf(s.RepoOrigin(s.ctx, repoA)), mirror.CodeNameUnknown)
	}
	s.receiveUnlinked("layer")
	for _, size := range []string{"4", "6", "9223372036854775807"} {
		m := image{config: "{}", layers: []string{"layer"}}.manifest(mirror.Imported)
		m.Bytes = []byte(strings.Replace(string(m.Bytes), `"size": 5`, `"size": `+size, 1))
		m.Digest = digest.FromBytes(m.Bytes)
		refused(m, mirror.CodeManifestInvalid)
	}
	refused(raw(v1.MediaTypeImageManifest, "not even JSON"), mirror.CodeManifestInvalid)
	refused(raw(v1.MediaTypeImageIndex, string(complete.Bytes)), mirror.CodeManifestInvalid)
	refused(raw("application/x", strings.Repeat(" ", mirror.MaxManifestSize+1)), mirror.CodeManifestTooLarge)
	for _, origin := range []mirror.Origin{mirror.Mirrored, "", "found"} {
		m := complete
		m.Origin = origin
		refused(m, mirror.CodeUnknown)
	}
}

func raw(mediaType, data string) mirror.Manifest {
	return mirror.Manifest{MediaType: mediaType, Digest: digest.FromString(data), Bytes: []byte(data), Origin: mirror.Imported}
}

// importOf returns the import of a manifest into a repository.
func importOf(repo mirror.Repo, m mirror.Manifest) mirror.ImportedManifest {
	return mirror.ImportedManifest{Repo: repo, Digest: m.Digest, MediaType: m.MediaType, Origin: m.Origin}
}

// receiveUnlinked receives a blob without linking it to a repository.
func (s *storeTest) receiveUnlinked(blob string) digest.Digest {
	s.t.Helper()
	return s.receive(mirror.Repo{}, blob)
}

// receiveImage receives the blobs and the manifest of an image without linking them.
func (s *storeTest) receiveImage(image image, origin mirror.Origin) mirror.Manifest {
	s.t.Helper()
	m := image.manifest(origin)
	for _, blob := range slices.Concat(image.blobs(), []string{string(m.Bytes)}) {
		s.receiveUnlinked(blob)
	}
	return m
}

// wantContent checks that the content of d is stored.
func (s *storeTest) wantContent(d digest.Digest, want string) {
	s.t.Helper()
	if size, err := s.StatContent(s.ctx, d); err != nil || size != int64(len(want)) {
		s.t.Errorf("StatContent = %d, want the size of %q, %v", size, want, err)
	}
	blob, err := s.OpenContent(s.ctx, d)
	s.must(err)
	defer blob.Close()
	data, err := io.ReadAll(blob)
	if err != nil || string(data) != want || blob.Size != int64(len(want)) {
		s.t.Errorf("content is %q of %d bytes, %v; want %q", data, blob.Size, err, want)
	}
}

func (s *storeTest) wantNoContent(d digest.Digest) {
	s.t.Helper()
	s.wantCode(errOf(s.StatContent(s.ctx, d)), mirror.CodeBlobUnknown)
	s.wantCode(errOf(s.OpenContent(s.ctx, d)), mirror.CodeBlobUnknown)
}

func (s *storeTest) wantOrigin(repo mirror.Repo, want mirror.Origin) {
	s.t.Helper()
	if got, err := s.RepoOrigin(s.ctx, repo); err != nil || got != want {
		s.t.Errorf("origin of %s is %q, %v; want %q", repo, got, err, want)
	}
}
