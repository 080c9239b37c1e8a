package cachetest

import (
	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// testSummaries compares summaries with what was stored.
func testSummaries(s *storeTest) {
	whole := s.pushImage(repoA, mirror.Pushed, image{config: "config", layers: []string{"layer", "layer"}}, "whole")
	foreign := image{config: "config", layers: []string{"missing", "layer"}}.manifest(mirror.Mirrored)
	s.must(s.PutManifest(s.ctx, repoB, foreign, "foreign")) // repoB may not read what repoA has
	s.receive(repoB, "layer")
	artifact := s.pushImage(repoA, mirror.Imported, image{config: "sig", artifactType: "application/x.sig"}, "artifact")
	parent := index(mirror.Pushed, whole)
	s.must(s.PutManifest(s.ctx, repoA, parent, "index"))
	if _, err := s.Manifest(s.ctx, repoA, artifact.Digest); err != nil {
		s.t.Fatal(err)
	}

	// The platform is recorded whether the config comes before its manifest or after.
	const amd, arm = `{"architecture":"amd64","os":"linux"}`, ` {"os":"linux","architecture":"arm64","variant":"v8"}`
	before := s.pushImage(repoA, mirror.Pushed, image{config: amd}, "before")
	after := image{config: amd[:len(amd)-1] + `,"variant":"v3"}`}.manifest(mirror.Mirrored)
	s.must(s.PutManifest(s.ctx, repoA, after, "after"))
	s.receive(repoA, amd[:len(amd)-1]+`,"variant":"v3"}`)
	spaced := s.pushImage(repoA, mirror.Pushed, image{config: arm}, "spaced")

	config := digest.FromString("config")
	wants := []struct {
		ref  mirror.Ref
		want mirror.Summary
		used bool
	}{
		{mirror.Ref{Repo: repoA, Tag: "whole"}, mirror.Summary{Digest: whole.Digest, Origin: mirror.Pushed, Measured: true, Size: 11, Complete: true, Config: config}, false},
		{mirror.Ref{Repo: repoA, Digest: whole.Digest}, mirror.Summary{Digest: whole.Digest, Origin: mirror.Pushed, Measured: true, Size: 11, Complete: true, Config: config}, false},
		{mirror.Ref{Repo: repoB, Tag: "foreign"}, mirror.Summary{Digest: foreign.Digest, Origin: mirror.Mirrored, Measured: true, Size: 18, Missing: 13}, false},
		{mirror.Ref{Repo: repoA, Tag: "artifact"}, mirror.Summary{Digest: artifact.Digest, Origin: mirror.Imported, Measured: true, Size: 3, Complete: true}, true},
		{mirror.Ref{Repo: repoA, Tag: "before"}, mirror.Summary{Digest: before.Digest, Origin: mirror.Pushed, Measured: true, Size: 37, Complete: true, Platform: "linux/amd64"}, false},
		{mirror.Ref{Repo: repoA, Tag: "after"}, mirror.Summary{Digest: after.Digest, Origin: mirror.Mirrored, Measured: true, Size: 52, Complete: true, Platform: "linux/amd64/v3"}, false},
		{mirror.Ref{Repo: repoA, Tag: "spaced"}, mirror.Summary{Digest: spaced.Digest, Origin: mirror.Pushed, Measured: true, Size: 53, Complete: true, Config: digest.FromString(arm)}, false},
		{mirror.Ref{Repo: repoA, Tag: "index"}, mirror.Summary{Digest: parent.Digest, Origin: mirror.Pushed}, false},
	}
	refs := []mirror.Ref{{Repo: repoA, Tag: "none"}, {Repo: repoB, Digest: whole.Digest}}
	for _, w := range wants {
		refs = append(refs, w.ref)
	}
	got, err := s.Summaries(s.ctx, refs)
	s.must(err)
	if len(got) != len(refs) {
		s.t.Fatalf("%d summaries of %d references", len(got), len(refs))
	}
	for i := range 2 {
		s.wantCode(got[i].Err, mirror.CodeManifestUnknown)
	}
	for i, w := range wants {
		sum := got[i+2]
		if used := !sum.LastUsed.IsZero(); used != w.used {
			s.t.Errorf("%s was used at %v", w.ref, sum.LastUsed)
		}
		if tag := sum.Tag; (tag.Digest == sum.Digest && tag.Origin == sum.Origin && !tag.Updated.IsZero()) != (w.ref.Tag != "") {
			s.t.Errorf("%s: tag is %+v", w.ref, tag)
		}
		sum.LastUsed, sum.Tag = w.want.LastUsed, w.want.Tag
		if sum != w.want {
			s.t.Errorf("%s is %+v, want %+v", w.ref, sum, w.want)
		}
	}
}

// testAttached checks that summaries have the kinds of referrers that are stored: by subject, or by the tag of a signing tool.
func testAttached(s *storeTest) {
	signed := s.pushImage(repoA, mirror.Pushed, image{config: "signed"}, "signed")
	plain := s.pushImage(repoA, mirror.Pushed, image{config: "plain"}, "plain")
	elsewhere := s.pushImage(repoB, mirror.Pushed, image{config: "signed"}, "signed")
	check := func(what string, want mirror.Attached) {
		s.t.Helper()
		got, err := s.Summaries(s.ctx, []mirror.Ref{{Repo: repoA, Tag: "signed"}, {Repo: repoA, Digest: signed.Digest}, {Repo: repoA, Digest: plain.Digest}, {Repo: repoB, Digest: elsewhere.Digest}})
		s.must(err)
		if got[0].Attached != want || got[1].Attached != want || got[2].Attached != (mirror.Attached{}) || got[3].Attached != (mirror.Attached{}) {
			s.t.Errorf("%s: %+v", what, got)
		}
	}
	check("no referrer", mirror.Attached{})
	other := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"other"}, subject: signed.Digest, artifactType: "application/vnd.example"})
	check("another referrer", mirror.Attached{})
	signature := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"sig"}, subject: signed.Digest, artifactType: "application/vnd.dev.cosign.artifact.sig.v1+json"})
	check("a signature by subject", mirror.Attached{Signed: true})
	s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"sbom"}}, mirror.SubjectTag(signed.Digest)+".sbom", mirror.SubjectTag(signed.Digest)+".att")
	check("an SBOM and an attestation by tag", mirror.Attached{Signed: true, Attested: true, SBOM: true})
	s.must(s.DeleteManifest(s.ctx, repoA, signature.Digest))
	s.must(s.DeleteManifest(s.ctx, repoA, other.Digest))
	s.must(s.DeleteTag(s.ctx, repoA, mirror.SubjectTag(signed.Digest)+".sbom"))
	check("after they were deleted", mirror.Attached{Attested: true})
}
