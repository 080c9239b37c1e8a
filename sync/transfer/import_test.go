package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// staged returns a bundle of a site with an index of two images and a pushed image.
func staged(t *testing.T) (s *site, data []byte, doc *bundle.Document) {
	t.Helper()
	s = newSite(t, transfer.Options{})
	shared := content("shared", 3000)
	s.index(base, mirror.Mirrored, []v1.Descriptor{
		s.image(base, mirror.Mirrored, "linux/amd64", []string{shared, "a"}),
		s.image(base, mirror.Mirrored, "linux/arm64", []string{content("b", 700)}),
	}, "3")
	s.image(app, mirror.Pushed, "linux/amd64", []string{shared, ""}, "v1")
	data, doc = s.export(transfer.ExportRequest{All: true, To: "plant-7"})
	return s, data, doc
}

func (s *site) hasAll(doc *bundle.Document) {
	s.t.Helper()
	for _, image := range doc.Images {
		repo, err := mirror.ParseRepo(image.Repository)
		s.must(err)
		s.has(repo, image.Digest)
		if image.Tag != "" && s.tag(repo, image.Tag) != image.Digest {
			s.t.Errorf("%s:%s is %q", repo, image.Tag, s.tag(repo, image.Tag))
		}
	}
}

func TestImportBundle(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	summary, events := s.take(data, transfer.ImportRequest{})
	s.hasAll(doc)
	if summary.Bundle != doc.ID || summary.Sequence != 1 || summary.Destination != "plant-7" || summary.New != summary.Bytes || summary.Images != 2 ||
		summary.Blobs != len(doc.Blobs) || summary.Document == "" || summary.Known {
		t.Errorf("%+v", summary)
	}
	if len(events) != 2 || len(of(events, transfer.KindImage)) != 2 {
		t.Errorf("%+v", events)
	}
	if now := s.progress.Snapshot(); now.Done != now.Total || now.Done != summary.Bytes || now.Items != 2 || now.TotalItems != 2 {
		t.Errorf("%+v, of %d bytes", now, summary.Bytes)
	}
	for _, tag := range s.tags() {
		if !strings.HasSuffix(tag, " imported") {
			t.Error(tag)
		}
	}
	for repo, want := range map[mirror.Repo]mirror.Origin{app: mirror.Pushed, base: mirror.Imported} {
		if origin, err := s.store.RepoOrigin(t.Context(), repo); err != nil || origin != want {
			t.Errorf("%s is %s: %v", repo, origin, err)
		}
	}
	before := s.digests()
	s.collect()
	if !slices.Equal(s.digests(), before) {
		t.Error("unneeded content was stored")
	}
}

func TestImportAgainChangesNothing(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	s.take(data, transfer.ImportRequest{})
	tag, err := s.store.Tag(t.Context(), app, "v1")
	s.must(err)
	header := data[:bytes.Index(data, []byte("blobs/sha256/"))] // Import reads no further
	summary, _ := s.take(header, transfer.ImportRequest{})
	if !summary.Known || summary.New != 0 || summary.Bytes == 0 {
		t.Errorf("%+v", summary)
	}
	if now, err := s.store.Tag(t.Context(), app, "v1"); err != nil || now != tag {
		t.Errorf("the tag is %+v: %v", now, err)
	}
	s.must(s.store.DeleteManifest(t.Context(), app, tag.Digest)) // lost content is restored
	s.collect()
	summary, _ = s.take(data, transfer.ImportRequest{})
	s.hasAll(doc)
	if !summary.Known || summary.New == 0 || summary.New == summary.Bytes {
		t.Errorf("%+v", summary)
	}
}

// broken is a reader that fails after some bytes.
type broken struct {
	r    io.Reader
	left int
}

var errGone = errors.New("the client has gone")

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errGone
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func TestImportTruncatedBundleContinues(t *testing.T) {
	_, data, doc := staged(t)
	total := int64(0)
	for _, b := range doc.Blobs {
		total += b.Size
	}
	for _, m := range doc.Manifests {
		total += m.Size
	}
	s := newSite(t, transfer.Options{})
	var news int64
	for offset := 0; offset < len(data); offset += 509 {
		var summary transfer.Summary
		var err error
		if offset%2 == 0 {
			_, _, err = s.tryTake(bytes.NewReader(data[:offset]), transfer.ImportRequest{})
			wantCode(t, err, mirror.CodeBundleInvalid, "")
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
		} else if summary, _, err = s.tryTake(&broken{bytes.NewReader(data), offset}, transfer.ImportRequest{}); err != nil && !errors.Is(err, errGone) {
			t.Fatal(err)
		}
		if err == nil { // everything was imported already
			news = summary.New
			break
		}
		if tags := s.tags(); len(tags) > 0 {
			t.Fatalf("tags after %d bytes: %q", offset, tags)
		}
		s.restart()
	}
	summary, _ := s.take(data, transfer.ImportRequest{})
	s.hasAll(doc)
	if news+summary.New == total {
		t.Error("the received content was not kept")
	}
}

func TestInterruptedImportKeepsBlobs(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	_, _, err := s.tryTake(&broken{bytes.NewReader(data), len(data) - 1600}, transfer.ImportRequest{})
	if !errors.Is(err, errGone) {
		t.Fatal(err)
	}
	held := len(s.digests())
	if held < len(doc.Manifests)+len(doc.Blobs)-2 {
		t.Fatalf("%d of %d blobs are stored", held, len(doc.Manifests)+len(doc.Blobs))
	}
	summary, _ := s.take(data, transfer.ImportRequest{})
	s.hasAll(doc)
	if summary.New >= summary.Bytes/2 {
		t.Errorf("%d of %d bytes were received again", summary.New, summary.Bytes)
	}
}

func TestImportIsCanceled(t *testing.T) {
	_, data, _ := staged(t)
	s := newSite(t, transfer.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Import(ctx, transfer.ImportRequest{}, struct{ io.Reader }{bytes.NewReader(data)}, new(progress.Reporter), func(transfer.Event) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.take(data, transfer.ImportRequest{})
}

func TestPushedTagsAreKept(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	mine := s.image(app, mirror.Pushed, "linux/amd64", []string{"mine"}, "v1")
	s.image(base, mirror.Imported, "linux/amd64", []string{"not mine"}, "3")
	for _, dry := range []bool{true, false} {
		summary, events := s.take(data, transfer.ImportRequest{DryRun: dry})
		if len(summary.Kept) != 1 || len(of(events, transfer.KindKept)) != 1 || s.tag(app, "v1") != mine.Digest {
			t.Fatalf("dry run %t: %+v, the tag is %s", dry, summary.Kept, s.tag(app, "v1"))
		}
		if kept := summary.Kept[0]; kept.Name != "registry.example/org/app:v1" || kept.Digest != mine.Digest || kept.Other != doc.Images[1].Digest {
			t.Errorf("%+v", kept)
		}
	}
	s.has(app, doc.Images[1].Digest)
	if s.tag(base, "3") != doc.Images[0].Digest {
		t.Error("an imported tag was not moved")
	}
	summary, _ := s.take(data, transfer.ImportRequest{Overwrite: true})
	if len(summary.Kept) != 0 {
		t.Errorf("%+v", summary.Kept)
	}
	s.hasAll(doc)
}

func TestDryRunChangesNothing(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	s.blob(app, content("b", 700))
	before := s.digests()
	summary, events := s.take(data[:bytes.Index(data, []byte("blobs/sha256/"))], transfer.ImportRequest{DryRun: true})
	if summary.New != summary.Bytes-700 || !summary.DryRun || len(of(events, transfer.KindImage)) != len(doc.Images) {
		t.Errorf("%+v", summary)
	}
	if !slices.Equal(s.digests(), before) || len(s.tags()) > 0 {
		t.Error("something was changed")
	}
	if last, err := s.Imported(t.Context()); err != nil || len(last) > 0 {
		t.Errorf("%+v: %v", last, err)
	}
}

func TestImportResolvesWants(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	ask := func(ref mirror.Ref) {
		if _, err := s.Manifest(t.Context(), ref); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
			t.Fatal(err)
		}
	}
	ask(mirror.Ref{Repo: base, Tag: "3"})
	ask(mirror.Ref{Repo: base, Digest: doc.Images[0].Digest})
	ask(mirror.Ref{Repo: base, Tag: "4"})
	for _, blob := range []string{content("b", 700), "elsewhere"} {
		if _, err := s.Blob(t.Context(), base, digest.FromString(blob)); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			t.Fatal(err)
		}
	}
	s.take(data, transfer.ImportRequest{})
	var left []string
	for _, want := range s.Wants() {
		left = append(left, want.Ref)
	}
	slices.Sort(left)
	want := []string{"docker.io/library/alpine:4", "docker.io/library/alpine@" + digest.FromString("elsewhere").String()}
	if !slices.Equal(left, want) {
		t.Errorf("wanted still: %q", left)
	}
	if _, err := s.Manifest(t.Context(), mirror.Ref{Repo: base, Tag: "3"}); err != nil {
		t.Error(err)
	}
}
