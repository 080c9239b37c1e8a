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

var storeCarryTests = []storeCase{
	{"HeldAndInNoRepository", func(s *storeTest) {
		d := s.hold("a blob")
		s.held(d, "a blob")
		s.readable(repoA, "a blob", false)
		s.stat(repoA, d, mirror.BlobStat{Stored: true, Size: 6})
		_, err := s.Mount(s.ctx, repoA, mirror.Repo{}, d)
		s.code(err, mirror.CodeBlobUnknown)
		repos, err := s.Repos(s.ctx, "", 10)
		if err != nil || len(repos) != 0 {
			s.t.Errorf("repositories are %v, %v", repos, err)
		}
		s.receive(repoA, "a blob")
		s.hold("a blob")
		s.readable(repoA, "a blob", true)
		s.held(d, "a blob")
	}},
	{"ReceiveUnannounced", func(s *storeTest) {
		for _, blob := range []string{"", "a blob"} {
			in, err := s.Receive(s.ctx, "")
			s.ok(err)
			_, err = io.WriteString(in, blob)
			s.ok(err)
			s.ok(in.Verify())
			if in.Digest() != "" {
				s.t.Errorf("digest is %s before Commit", in.Digest())
			}
			s.ok(in.Commit(s.ctx, repoA))
			s.ok(in.Abort()) // which does nothing any more
			if in.Digest() != digest.FromString(blob) {
				s.t.Errorf("digest is %s after Commit of %q", in.Digest(), blob)
			}
			s.readable(repoA, blob, true)
			s.readable(repoB, blob, false)
		}
		in, err := s.Receive(s.ctx, digest.SHA512.FromString("announced"))
		s.ok(err)
		if in.Digest() != digest.SHA512.FromString("announced") {
			s.t.Errorf("digest is %s, another one was announced", in.Digest())
		}
		s.ok(in.Abort())
	}},
	{"ReceiveUnannouncedAborted", func(s *storeTest) {
		in, err := s.Receive(s.ctx, "")
		s.ok(err)
		_, err = io.WriteString(in, "a blob")
		s.ok(err)
		s.ok(in.Abort())
		if in.Commit(s.ctx, repoA) == nil || in.Digest() != "" {
			s.t.Errorf("committed as %q after Abort", in.Digest())
		}
		s.notHeld(digest.FromString("a blob"))
	}},
	{"HeldWhereverItIs", func(s *storeTest) {
		s.notHeld("")
		s.notHeld("sha256:nonsense")
		s.notHeld(digest.FromString("a blob"))
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
		for _, blob := range []string{"{}", string(m.Bytes)} {
			s.held(digest.FromString(blob), blob)
			used, err := s.LastUsed(s.ctx, repoA, digest.FromString(blob))
			if err != nil || !used.Equal(time.Time{}) {
				s.t.Errorf("last used at %v, %v: to carry it away is no use", used, err)
			}
		}
		awaited := image{config: "elsewhere"}.manifest(mirror.Mirrored)
		s.ok(s.PutManifest(s.ctx, repoA, awaited))
		s.notHeld(digest.FromString("elsewhere"))
	}},
	{"Carry", func(s *storeTest) {
		child := image{config: "{}", layers: []string{"layer", "layer"}}
		manifest := s.hear(child, mirror.Imported)
		sparse := index(mirror.Imported, manifest, image{config: "elsewhere"}.manifest(""))
		s.hold(string(sparse.Bytes))
		signature := s.hear(image{config: "sig", subject: sparse.Digest, artifactType: "a/signature"}, mirror.Imported)
		s.ok(s.ImportManifests(s.ctx, []mirror.ImportedManifest{
			carried(repoA, signature), carried(repoA, sparse), carried(repoA, manifest), carried(repoB, manifest), carried(repoB, manifest),
		}))
		for _, m := range []mirror.Manifest{manifest, sparse, signature} {
			s.holds(repoA, m)
		}
		s.holds(repoB, manifest)
		for _, repo := range []mirror.Repo{repoA, repoB} {
			s.readable(repo, "{}", true)
			s.readable(repo, "layer", true)
			s.madeBy(repo, mirror.Imported)
		}
		s.readable(repoB, "sig", false)
		s.stat(repoA, digest.FromString("layer"), mirror.BlobStat{Stored: true, Linked: true, Referenced: true, Required: true, Size: 5})
		s.code(s.Unlink(s.ctx, repoA, digest.FromString("layer")), mirror.CodeUnsupported)
		list, _, err := s.Referrers(s.ctx, repoA, sparse.Digest, "", 10, 1<<20)
		if err != nil || len(list) != 1 || list[0].Digest != signature.Digest || list[0].ArtifactType != "a/signature" {
			s.t.Errorf("referrers are %v, %v", list, err)
		}
		tags, err := s.Tags(s.ctx, repoA, "", 10)
		if err != nil || len(tags) != 0 {
			s.t.Errorf("tags are %v, %v", tags, err)
		}
		s.ok(s.ImportManifests(s.ctx, nil))
	}},
	{"CarryLacking", func(s *storeTest) {
		s.pushImage(repoA2, mirror.Pushed, image{config: "there"})
		lacking := image{config: "there", layers: []string{"one", "two"}}.manifest(mirror.Imported)
		alike := image{config: "two", layers: []string{"three"}}.manifest(mirror.Imported)
		whole := s.hear(image{config: "{}"}, mirror.Imported)
		s.hold(string(lacking.Bytes))
		s.hold(string(alike.Bytes))
		all := []mirror.ImportedManifest{carried(repoA, whole), carried(repoB, lacking), carried(repoA, alike)}
		err := s.ImportManifests(s.ctx, all)
		s.code(err, mirror.CodeManifestBlobUnknown)
		s.missing(err, "one", "two", "three") // each once
		for _, c := range all {
			s.code(second(s.Manifest(s.ctx, c.Repo, c.Digest)), mirror.CodeManifestUnknown)
			s.code(second(s.RepoOrigin(s.ctx, c.Repo)), mirror.CodeNameUnknown)
		}
		s.stat(repoA, digest.FromString("{}"), mirror.BlobStat{Stored: true, Size: 2})
		for _, blob := range []string{"one", "two", "three"} {
			s.hold(blob)
		}
		s.ok(s.ImportManifests(s.ctx, all))
		s.holds(repoB, lacking)
		s.readable(repoB, "there", true)
	}},
	{"CarryLackingItself", func(s *storeTest) {
		m := image{config: "{}"}.manifest(mirror.Imported)
		other := image{config: "{ }"}.manifest(mirror.Imported)
		s.hold("{}")
		err := s.ImportManifests(s.ctx, []mirror.ImportedManifest{carried(repoA, m), carried(repoB, m), carried(repoA, other)})
		s.code(err, mirror.CodeManifestBlobUnknown)
		s.missing(err, string(m.Bytes), string(other.Bytes))
	}},
	{"CarryLackingVeryMuch", func(s *storeTest) {
		var all []mirror.ImportedManifest
		var blobs []string
		for _, config := range strings.Split(strings.Repeat("x,", 150), ",") {
			blobs = append(blobs, config+strings.Repeat("y", len(blobs)))
			m := image{config: blobs[len(blobs)-1]}.manifest(mirror.Imported)
			s.hold(string(m.Bytes))
			all = append(all, carried(repoA, m))
		}
		err := s.ImportManifests(s.ctx, all)
		s.code(err, mirror.CodeManifestBlobUnknown)
		s.missing(err, blobs[:100]...)
		if !strings.Contains(err.Error(), "151 blobs") {
			s.t.Errorf("%v does not say how many", err)
		}
	}},
	{"CarryRefused", testCarryRefused},
	{"CarryLocal", func(s *storeTest) {
		m := s.hear(image{config: "{}"}, mirror.Imported)
		local := carried(repoA, m)
		local.Local = true
		pushed := carried(repoB, m)
		pushed.Origin = mirror.Pushed // by somebody there, into a repository that is an upstream's
		s.ok(s.ImportManifests(s.ctx, []mirror.ImportedManifest{local, pushed}))
		s.madeBy(repoA, mirror.Pushed)
		s.madeBy(repoB, mirror.Imported)
		m.Origin = mirror.Pushed
		s.holds(repoB, m)

		mirrored := image{config: "elsewhere"}.manifest(mirror.Mirrored)
		s.ok(s.PutManifest(s.ctx, repoA2, mirrored))
		local.Repo = repoA2
		s.ok(s.ImportManifests(s.ctx, []mirror.ImportedManifest{local}))
		s.madeBy(repoA2, mirror.Mirrored) // as it was
	}},
	{"CarryWhatIsIncomplete", func(s *storeTest) {
		image := image{config: "{}", layers: []string{"layer", "shared"}}
		s.push(repoA, "shared")
		s.ok(s.PutManifest(s.ctx, repoA, image.manifest(mirror.Mirrored), "v1"))
		s.holds(repoA, image.manifest(mirror.Mirrored)) // in memory from now on
		c := carried(repoA, image.manifest(mirror.Imported))
		err := s.ImportManifests(s.ctx, []mirror.ImportedManifest{c})
		s.code(err, mirror.CodeManifestBlobUnknown)
		s.missing(err, "{}", "layer")
		s.holds(repoA, image.manifest(mirror.Mirrored))
		s.hold("{}")
		s.hold("layer")
		s.ok(s.ImportManifests(s.ctx, []mirror.ImportedManifest{c}))
		s.holds(repoA, image.manifest(mirror.Imported))
		s.readable(repoA, "layer", true)
		s.tagged(repoA, "v1", c.Digest, mirror.Mirrored)
		s.madeBy(repoA, mirror.Mirrored)
	}},
	{"CarriedOriginsGetStronger", func(s *storeTest) {
		image := image{config: "{}"}
		s.pushImage(repoA, mirror.Mirrored, image)
		for _, step := range []struct{ carry, want mirror.Origin }{
			{mirror.Imported, mirror.Imported},
			{mirror.Pushed, mirror.Pushed},
			{mirror.Imported, mirror.Pushed},
		} {
			s.ok(s.ImportManifests(s.ctx, []mirror.ImportedManifest{carried(repoA, image.manifest(step.carry))}))
			s.holds(repoA, image.manifest(step.want))
		}
	}},
}

func testCarryRefused(s *storeTest) {
	whole := s.hear(image{config: "{}"}, mirror.Imported)
	refused := func(m mirror.Manifest, want mirror.Code) {
		s.t.Helper()
		s.hold(string(m.Bytes))
		err := s.ImportManifests(s.ctx, []mirror.ImportedManifest{carried(repoA, whole), carried(repoA, m)})
		s.code(err, want)
		if err != nil && !strings.Contains(err.Error(), m.Digest.String()) {
			s.t.Errorf("%v does not name the manifest", err)
		}
		s.code(second(s.RepoOrigin(s.ctx, repoA)), mirror.CodeNameUnknown)
	}
	s.hold("layer")
	for _, size := range []string{"4", "6", "9223372036854775807"} {
		m := image{config: "{}", layers: []string{"layer"}}.manifest(mirror.Imported)
		m.Bytes = []byte(strings.Replace(string(m.Bytes), `"size": 5`, `"size": `+size, 1))
		m.Digest = digest.FromBytes(m.Bytes)
		refused(m, mirror.CodeManifestInvalid)
	}
	refused(raw(v1.MediaTypeImageManifest, "not even JSON"), mirror.CodeManifestInvalid)
	refused(raw(v1.MediaTypeImageIndex, string(whole.Bytes)), mirror.CodeManifestInvalid)
	refused(raw("application/x", strings.Repeat(" ", mirror.MaxManifestSize+1)), mirror.CodeManifestTooLarge)
	for _, origin := range []mirror.Origin{mirror.Mirrored, "", "found"} {
		m := whole
		m.Origin = origin
		refused(m, mirror.CodeUnknown)
	}
}

func raw(mediaType, data string) mirror.Manifest {
	return mirror.Manifest{MediaType: mediaType, Digest: digest.FromString(data), Bytes: []byte(data), Origin: mirror.Imported}
}

func carried(repo mirror.Repo, m mirror.Manifest) mirror.ImportedManifest {
	return mirror.ImportedManifest{Repo: repo, Digest: m.Digest, MediaType: m.MediaType, Origin: m.Origin}
}

// hold takes a blob in for no repository.
func (s *storeTest) hold(blob string) digest.Digest {
	s.t.Helper()
	return s.receive(mirror.Repo{}, blob)
}

// hear takes in what it takes to carry an image.
func (s *storeTest) hear(image image, origin mirror.Origin) mirror.Manifest {
	s.t.Helper()
	m := image.manifest(origin)
	for _, blob := range slices.Concat(image.blobs(), []string{string(m.Bytes)}) {
		s.hold(blob)
	}
	return m
}

// held checks that a blob can be carried away.
func (s *storeTest) held(d digest.Digest, want string) {
	s.t.Helper()
	if size, err := s.StatContent(s.ctx, d); err != nil || size != int64(len(want)) {
		s.t.Errorf("held are %d bytes of %q, %v", size, want, err)
	}
	blob, err := s.OpenContent(s.ctx, d)
	s.ok(err)
	defer blob.Close()
	data, err := io.ReadAll(blob)
	if err != nil || string(data) != want || blob.Size != int64(len(want)) {
		s.t.Errorf("held is %q of %d bytes, %v; want %q", data, blob.Size, err, want)
	}
}

func (s *storeTest) notHeld(d digest.Digest) {
	s.t.Helper()
	s.code(second(s.StatContent(s.ctx, d)), mirror.CodeBlobUnknown)
	s.code(second(s.OpenContent(s.ctx, d)), mirror.CodeBlobUnknown)
}

func (s *storeTest) madeBy(repo mirror.Repo, want mirror.Origin) {
	s.t.Helper()
	if got, err := s.RepoOrigin(s.ctx, repo); err != nil || got != want {
		s.t.Errorf("%s was made as %q, %v; want %q", repo, got, err, want)
	}
}
