package cachetest

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

const (
	nondistributable = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	unknownMediaType = "application/vnd.tomorrow+json"
)

// ownerManifests returns manifests of several kinds that name blobs without requiring them.
func ownerManifests(origin mirror.Origin, blobs ...string) map[string]mirror.Manifest {
	var layers []string
	for _, blob := range blobs {
		layers = append(layers, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, nondistributable, digest.FromString(blob), len(blob)))
	}
	list := strings.Join(layers, ",")
	made := make(map[string]mirror.Manifest)
	for kind, doc := range map[string]string{
		"index of blobs": `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + list + `]}`,
		"nondistributable layers": fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
			`"config":{"digest":%q,"size":2},"layers":[%s]}`, digest.FromString("{}"), list),
		"unknown media type": `{"mediaType":"` + unknownMediaType + `","parts":{"of":[` + list + `]}}`,
		"ORAS":               `{"mediaType":"application/vnd.cncf.oras.artifact.manifest.v1+json","blobs":[` + list + `]}`,
	} {
		mediaType, _, err := mirror.ParseManifest("", []byte(doc))
		if err != nil {
			panic(err)
		}
		made[kind] = mirror.Manifest{MediaType: mediaType, Digest: digest.FromString(doc), Bytes: []byte(doc), Origin: origin}
	}
	return made
}

// deleteBlobs sweeps blobs, which are deleted if no manifest uses them.
func (s *storeTest) deleteBlobs(blobs ...string) {
	s.t.Helper()
	later := time.Now().Add(time.Hour)
	s.must(s.Sweep(s.ctx, one(mirror.DeleteRequest{Blobs: digests(blobs...), Before: later}), nil))
}

func one[T any](v T) iter.Seq[T] { return func(yield func(T) bool) { yield(v) } }

var storeOwnedTests = []storeCase{
	{"KeptWithManifest", func(s *storeTest) {
		s.push(repoA, "{}")
		for kind, m := range ownerManifests(mirror.Pushed, "one", "two") {
			s.push(repoA, "one") // two is pushed later
			s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
			s.push(repoA, "two")
			for _, blob := range []string{"one", "two"} {
				s.wantCode(s.Unlink(s.ctx, repoA, digest.FromString(blob)), mirror.CodeUnsupported)
			}
			s.deleteBlobs("one", "two")
			for _, blob := range []string{"one", "two"} {
				if stat, err := s.StatBlob(s.ctx, repoA, digest.FromString(blob)); err != nil || !stat.Stored || !stat.Linked || !stat.Referenced || stat.Required {
					s.t.Errorf("%s: %q is %+v, %v", kind, blob, stat, err)
				}
			}
			s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
			s.deleteBlobs("one", "two")
			for _, blob := range []string{"one", "two"} {
				if _, err := s.StatContent(s.ctx, digest.FromString(blob)); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
					s.t.Errorf("%s: %q is stored without its manifest: %v", kind, blob, err)
				}
			}
		}
	}},
	{"DeletedWithManifest", func(s *storeTest) {
		s.push(repoA, "{}")
		for kind, m := range ownerManifests(mirror.Pushed, "one", "two") {
			s.push(repoA, "one")
			s.push(repoA, "two")
			s.must(s.PutManifest(s.ctx, repoA, m))
			later := time.Now().Add(time.Hour)
			s.must(s.Sweep(s.ctx, one(mirror.DeleteRequest{Repo: repoA, Manifests: []mirror.ObservedManifest{{Digest: m.Digest, Used: later}}, Before: later}), nil))
			for _, d := range append(digests("one", "two"), m.Digest) {
				if _, err := s.StatContent(s.ctx, d); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
					s.t.Errorf("%s: %s is stored: %v", kind, d, err)
				}
			}
			s.push(repoA, "{}")
		}
	}},
	// To name a digest does not grant access to it.
	{"GrantsNoAccess", func(s *storeTest) {
		s.push(repoA, "secret")
		for _, origin := range []mirror.Origin{mirror.Pushed, mirror.Mirrored} {
			s.push(repoB, "{}")
			for kind, m := range ownerManifests(origin, "secret") {
				s.must(s.PutManifest(s.ctx, repoB, m, "v1"))
				if _, err := s.Blob(s.ctx, repoB, digest.FromString("secret")); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
					s.t.Errorf("%s, %s: read: %v", kind, origin, err)
				}
				if _, err := s.Mount(s.ctx, repoA2, repoB, digest.FromString("secret")); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
					s.t.Errorf("%s, %s: mounted: %v", kind, origin, err)
				}
				needs := withoutMediaType(image{config: "secret"}.manifest(mirror.Pushed))
				if err := s.PutManifest(s.ctx, repoB, needs); mirror.CodeOf(err) != mirror.CodeManifestBlobUnknown {
					s.t.Errorf("%s, %s: needed: %v", kind, origin, err)
				}
				for b := range s.surveyed(digest.FromString("secret")) {
					if len(b.Repos) != 0 { // without a manifest, repoA is not in the survey
						s.t.Errorf("%s, %s: in %v", kind, origin, b.Repos)
					}
				}
			}
		}
		s.wantBlob(repoA, "secret", true)
	}},
	// Of what a manifest names, only the blobs that were imported with it can be read.
	{"ImportedWithManifest", func(s *storeTest) {
		s.push(repoA, "secret")
		s.receiveUnlinked("{}")
		s.receiveUnlinked("with")
		for kind, m := range ownerManifests(mirror.Imported, "with", "secret", "absent") {
			s.receiveUnlinked(string(m.Bytes))
			carried := mirror.ImportedManifest{Repo: repoB, Digest: m.Digest, MediaType: m.MediaType, Origin: mirror.Imported}
			s.must(s.ImportManifests(s.ctx, []mirror.ImportedManifest{carried}))
			if stat, err := s.StatBlob(s.ctx, repoB, digest.FromString("with")); err != nil || stat.Linked {
				s.t.Errorf("%s: %+v, %v, although nothing was imported with it", kind, stat, err)
			}
			carried.With = append(digests("with", "absent", "not named"), digest.FromString("{}"))
			s.must(s.ImportManifests(s.ctx, []mirror.ImportedManifest{carried}))
			s.wantBlob(repoB, "with", true)
			if stat, err := s.StatBlob(s.ctx, repoB, digest.FromString("secret")); err != nil || stat.Linked || !stat.Stored {
				s.t.Errorf("%s: secret is %+v, %v", kind, stat, err)
			}
			s.must(s.DeleteManifest(s.ctx, repoB, m.Digest))
			s.must(s.Unlink(s.ctx, repoB, digest.FromString("with")))
		}
	}},
	// A manifest that another one names is kept as well, even if the media type of that is unknown.
	{"Manifests", func(s *storeTest) {
		child := withoutMediaType(image{config: "{}"}.manifest(mirror.Pushed))
		s.push(repoA, "{}")
		s.must(s.PutManifest(s.ctx, repoA, child))
		for kind, m := range ownerManifests(mirror.Pushed, string(child.Bytes)) {
			s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
			var kept string
			later := time.Now().Add(time.Hour)
			s.must(s.Sweep(s.ctx, one(mirror.DeleteRequest{Repo: repoA, Manifests: []mirror.ObservedManifest{{Digest: child.Digest, Used: later}}, Before: later}),
				func(result mirror.DeleteResult) { kept = result.Kept }))
			if !strings.Contains(kept, "needs manifest") {
				s.t.Errorf("%s: kept because %q", kind, kept)
			}
			s.wantManifest(repoA, child)
			s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		}
	}},
}

// surveyed yields blob d of a survey.
func (s *storeTest) surveyed(d digest.Digest) iter.Seq[*mirror.SurveyedBlob] {
	return func(yield func(*mirror.SurveyedBlob) bool) {
		s.must(s.Survey(s.ctx, func(v mirror.Survey) error {
			for b, err := range v.Blobs() {
				if err != nil {
					return err
				}
				if b.Digest == d {
					yield(b)
				}
			}
			return nil
		}))
	}
}
