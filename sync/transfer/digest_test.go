package transfer_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// root makes an image a root, as syncing its digest does.
func (s *site) root(repo mirror.Repo, d digest.Digest) {
	s.t.Helper()
	_, err := s.store.PointTags(s.t.Context(), []mirror.ImportedTag{{Repo: repo, Digest: d}}, false)
	s.must(err)
}

// roots returns the roots of a repository.
func (s *site) roots(repo mirror.Repo) (list []digest.Digest) {
	s.t.Helper()
	roots, err := s.store.Roots(s.t.Context(), repo, "", 99)
	s.must(err)
	for _, r := range roots {
		list = append(list, r.Digest)
	}
	return list
}

// TestExportRoots exports roots from one mirror to the next, and from there to a third one, also with a base that
// contains them.
func TestExportRoots(t *testing.T) {
	s := newSite(t, transfer.Options{})
	pinned := s.image(app, mirror.Mirrored, "linux/amd64", []string{"pinned"})
	tagged := s.image(app, mirror.Mirrored, "linux/amd64", []string{"tagged"}, "v1")
	pulled := s.image(app, mirror.Mirrored, "linux/amd64", []string{"pulled"})
	amd := s.image(base, mirror.Mirrored, "linux/amd64", []string{"a"})
	arm := s.image(base, mirror.Mirrored, "linux/arm64", []string{"b"})
	index := s.index(base, mirror.Mirrored, []v1.Descriptor{amd, arm})
	s.root(app, pinned.Digest)
	s.root(app, tagged.Digest)
	s.root(base, index.Digest)
	data, doc := s.export(transfer.ExportRequest{All: true, To: "inside"})
	want := []string{"docker.io/library/alpine@" + index.Digest.Encoded()[:4] + " all", "registry.example/org/app:v1 all"}
	for _, d := range []digest.Digest{pinned.Digest, tagged.Digest} {
		want = append(want, "registry.example/org/app@"+d.Encoded()[:4]+" all")
	}
	got := names(doc)
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("images %q, want %q", got, want)
	}
	inside := newSite(t, transfer.Options{})
	inside.take(data, transfer.ImportRequest{})
	inside.checkRoots(base, index.Digest)
	inside.checkRoots(app, pinned.Digest, tagged.Digest)
	if slices.Contains(inside.digests(), pulled.Digest) {
		t.Error("an image that was only pulled by its digest was exported")
	}
	if tag := inside.tag(app, "v1"); tag != tagged.Digest {
		t.Errorf("v1 is %s, want %s", tag, tagged.Digest)
	}
	further := newSite(t, transfer.Options{})
	again, _ := inside.export(transfer.ExportRequest{All: true})
	further.take(again, transfer.ImportRequest{})
	further.checkRoots(base, index.Digest)
	further.checkRoots(app, pinned.Digest, tagged.Digest)

	// With a receipt of a mirror that has everything, the bundle contains only the root itself.
	s.root(app, pulled.Digest)
	inside.image(app, mirror.Imported, "linux/amd64", []string{"pulled"})
	delta, doc := s.export(transfer.ExportRequest{All: true, To: "inside", Have: true}, inside.receipt())
	if len(doc.Blobs)+len(doc.Manifests) != 0 {
		t.Errorf("%d blobs and %d manifests are in the delta", len(doc.Blobs), len(doc.Manifests))
	}
	inside.take(delta, transfer.ImportRequest{})
	inside.checkRoots(app, pinned.Digest, tagged.Digest, pulled.Digest)
	found := false
	for entry, err := range transfer.ReadReceipt(bytes.NewReader(inside.receipt())) {
		s.must(err)
		if m := entry.Manifest; m != nil && m.Digest == pinned.Digest {
			found = m.Root
		} else if m != nil && m.Digest == amd.Digest && m.Root {
			t.Error("the receipt has a platform of an index as a root")
		}
	}
	if !found {
		t.Error("the receipt does not list the image that was stored by its digest")
	}
}

func (s *site) checkRoots(repo mirror.Repo, want ...digest.Digest) {
	s.t.Helper()
	slices.Sort(want)
	if got := s.roots(repo); !slices.Equal(got, want) {
		s.t.Errorf("roots of %s are %v, want %v", repo, got, want)
	}
}

// TestWantedPlatformsAreNotRoots checks that the platforms of a wanted index are deleted with the index.
func TestWantedPlatformsAreNotRoots(t *testing.T) {
	s, inside := newSite(t, transfer.Options{}), newSite(t, transfer.Options{})
	amd := s.image(base, mirror.Mirrored, "linux/amd64", []string{"a"})
	alone := s.image(app, mirror.Mirrored, "linux/amd64", []string{"alone"})
	inside.index(base, mirror.Imported, []v1.Descriptor{amd}, "3")
	data, _ := s.export(transfer.ExportRequest{Wants: []mirror.Want{{Ref: base.String() + "@" + amd.Digest.String()}, {Ref: app.String() + "@" + alone.Digest.String()}}})
	inside.take(data, transfer.ImportRequest{})
	inside.has(base, amd.Digest)
	inside.checkRoots(base)
	inside.checkRoots(app, alone.Digest)
}

func TestNamesWithTagAndDigest(t *testing.T) {
	s := newSite(t, transfer.Options{})
	one := s.image(app, mirror.Mirrored, "linux/amd64", []string{"one"}, "v1")
	two := s.image(app, mirror.Mirrored, "linux/amd64", []string{"two"})
	name := app.String()
	for _, tt := range []struct {
		name string
		want []string // imported tags
		d    digest.Digest
		err  []string
	}{
		{name: name + ":v1@" + one.Digest.String(), want: []string{name + ":v1"}, d: one.Digest},
		{name: name + ":v2@" + two.Digest.String(), want: []string{name + ":v2"}, d: two.Digest},
		{name: name + "@" + two.Digest.Encoded()[:12], d: two.Digest},
		{name: name + ":v1@" + two.Digest.String(), err: []string{one.Digest.String(), two.Digest.String()}},
		{name: name + "@sha256:000000", err: []string{"no digest begins with sha256:000000"}},
	} {
		data, _, err := s.tryExport(transfer.ExportRequest{Images: []string{tt.name}})
		if tt.err != nil {
			wantCode(t, err, mirror.CodeManifestUnknown, tt.err...)
			continue
		}
		s.must(err)
		inside := newSite(t, transfer.Options{})
		inside.take(data, transfer.ImportRequest{})
		inside.checkRoots(app, tt.d)
		if tags := inside.tags(); len(tags) != len(tt.want) || len(tags) > 0 && !strings.HasPrefix(tags[0], tt.want[0]) {
			t.Errorf("%s: tags %v, want %v", tt.name, tags, tt.want)
		}
	}
}

func TestExportOtherPlatform(t *testing.T) {
	s := newSite(t, transfer.Options{})
	s.image(app, mirror.Mirrored, "linux/amd64", []string{"one"}, "v1")
	_, _, err := s.tryExport(transfer.ExportRequest{Images: []string{app.String() + ":v1"}, Platforms: []string{"linux/aarch64"}})
	wantCode(t, err, mirror.CodeManifestUnknown, "has no platform linux/arm64: it is for linux/amd64")
	_, doc := s.export(transfer.ExportRequest{Images: []string{app.String() + ":v1"}, Platforms: []string{"linux/x86_64"}})
	if len(doc.Images) != 1 {
		t.Errorf("%q", names(doc))
	}
}

// TestArchiveNamesWithDigests checks that the digest in a name is compared, and that its tag is set.
func TestArchiveNamesWithDigests(t *testing.T) {
	m := newMade()
	one := m.image(t, m.blob("one"))
	d, zeros := one.Digest.String(), strings.Repeat("0", 64)
	for name, tt := range map[string]struct {
		tag  bool
		root bool
		err  string
	}{
		"docker.io/team/app:1":                 {tag: true},
		"docker.io/team/app@" + d:              {root: true},
		"docker.io/team/app:1@" + d:            {tag: true, root: true},
		"docker.io/team/app:1@sha256:" + zeros: {err: d},
		"docker.io/team/app@sha256:" + zeros:   {err: "sha256:" + zeros},
	} {
		s := newSite(t, transfer.Options{})
		repo := mirror.Repo{Host: "docker.io", Path: "team/app"}
		_, _, err := s.tryTake(bytes.NewReader(layoutOf(t, m, annotated(one, containerdName, name))), transfer.ImportRequest{})
		if tt.err != "" {
			wantCode(t, err, mirror.CodeNameInvalid, tt.err)
			continue
		}
		s.must(err)
		s.has(repo, one.Digest)
		if tags := s.tags(); (len(tags) == 1) != tt.tag {
			t.Errorf("%s: tags %v", name, tags)
		}
		if roots := s.roots(repo); (len(roots) == 1) != tt.root {
			t.Errorf("%s: roots %v", name, roots)
		}
	}
}
