package transfer_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/transfer"
)

const v1Name, v2Name = "registry.example/org/app:v1", "registry.example/org/app:v2"

// growing returns a site with two images that share a large layer.
func growing(t *testing.T) *site {
	t.Helper()
	s := newSite(t, transfer.Options{})
	s.image(app, mirror.Mirrored, "linux/amd64", []string{content("large", 200_000), "one"}, "v1")
	s.image(app, mirror.Mirrored, "linux/amd64", []string{content("large", 200_000), "two"}, "v2")
	return s
}

func TestDeltaHasOnlyNewContent(t *testing.T) {
	s := growing(t)
	first, one := s.export(transfer.ExportRequest{Images: []string{v1Name}, To: "plant-7"})
	inside := newSite(t, transfer.Options{})
	inside.take(first, transfer.ImportRequest{})
	receipt := inside.receipt()
	for name, req := range map[string]transfer.ExportRequest{
		"since last":    {Images: []string{v1Name, v2Name}, To: "plant-7", Since: "last"},
		"since a known": {Images: []string{v1Name, v2Name}, To: "plant-7", Since: one.ID},
		"with receipt":  {Images: []string{v1Name, v2Name}, Have: true},
	} {
		t.Run(name, func(t *testing.T) {
			var have [][]byte
			if req.Have {
				have = [][]byte{receipt}
			}
			data, doc, err := s.tryExport(req, have...)
			s.must(err)
			if len(data) > 20_000 || len(doc.Blobs) != 1 || doc.Blobs[0].Digest != digest.FromString("two") || len(doc.Manifests) != 1 {
				t.Errorf("%d bytes: manifests %v, blobs %v", len(data), doc.Manifests, doc.Blobs)
			}
			if len(doc.Assumes) != 4 || len(doc.BuildsOn) != 1 || doc.BuildsOn[0].ID != one.ID {
				t.Errorf("assumes %+v, builds on %+v", doc.Assumes, doc.BuildsOn)
			}
			if image := doc.Images[0]; image.New != 0 || image.Size < 200_000 {
				t.Errorf("%+v", image)
			}
			for _, a := range doc.Assumes {
				if !req.Have && a.Bundle != one.ID {
					t.Errorf("%+v", a)
				}
			}
			empty := newSite(t, transfer.Options{})
			_, _, err = empty.tryTake(bytes.NewReader(data), transfer.ImportRequest{})
			wantCode(t, err, mirror.CodeBlobUnknown, "of content that is not stored: ")
			advice := "import number 1 of " + one.Created.Format(time.DateOnly) + " (bundle " + one.ID + ") first, or export again without --since"
			if req.Have {
				advice = "it was exported for a mirror with another receipt: export again with --have and a receipt of this mirror"
			}
			if !strings.HasSuffix(err.Error(), ": "+advice) {
				t.Error(err)
			}
			if len(empty.digests()) > 0 || len(empty.tags()) > 0 {
				t.Error("something was changed")
			}
			empty.take(first, transfer.ImportRequest{})
			empty.take(data, transfer.ImportRequest{})
			empty.hasAll(doc)
		})
	}
}

func TestDeltaMovesTagToStoredImage(t *testing.T) {
	s := growing(t)
	first, _ := s.export(transfer.ExportRequest{All: true, To: "x"})
	s.must(s.store.DeleteTag(t.Context(), app, "v2"))
	s.image(app, mirror.Mirrored, "linux/amd64", []string{content("large", 200_000), "one"}, "v2", "v3")
	second, doc := s.export(transfer.ExportRequest{All: true, To: "x", Since: "last"})
	if len(doc.Blobs)+len(doc.Manifests) > 0 {
		t.Errorf("%+v", doc)
	}
	inside := newSite(t, transfer.Options{})
	inside.take(first, transfer.ImportRequest{})
	inside.take(second, transfer.ImportRequest{})
	inside.hasAll(doc)
}

func TestDeltaOmitsContentOfOtherRepositories(t *testing.T) {
	s := growing(t)
	first, _ := s.export(transfer.ExportRequest{Images: []string{v1Name}, To: "x"})
	copied := mirror.Repo{Host: "registry.example", Path: "copy"}
	s.image(copied, mirror.Mirrored, "linux/amd64", []string{content("large", 200_000), "one"}, "v1")
	second, doc := s.export(transfer.ExportRequest{Images: []string{"registry.example/copy:v1"}, To: "x", Since: "last"})
	if len(doc.Blobs)+len(doc.Manifests) > 0 {
		t.Errorf("%+v", doc)
	}
	inside := newSite(t, transfer.Options{})
	inside.take(first, transfer.ImportRequest{})
	inside.take(second, transfer.ImportRequest{})
	inside.hasAll(doc)
}

func TestDeltaOmitsRecordedExportsOnly(t *testing.T) {
	s := growing(t)
	_, _, err := s.tryExport(transfer.ExportRequest{Images: []string{v1Name}, To: "x"}) // not recorded
	s.must(err)
	_, _, err = s.tryExport(transfer.ExportRequest{Images: []string{v1Name}, To: "x", Since: "last"})
	wantCode(t, err, mirror.CodeUnsupported, "nothing was exported for x before: leave out --since for its first bundle")
	_, doc, err := s.tryExport(transfer.ExportRequest{Images: []string{v1Name}, To: "x"})
	s.must(err)
	s.must(s.RecordExport(t.Context(), doc))
	s.must(s.RecordExport(t.Context(), doc))
	_, _, err = s.tryExport(transfer.ExportRequest{Images: []string{v1Name}, To: "y", Since: "last"})
	wantCode(t, err, mirror.CodeUnsupported, "nothing was exported for y before: leave out --since for its first bundle; earlier exports were for x")
	_, _, err = s.tryExport(transfer.ExportRequest{Images: []string{v1Name}, To: "y", Since: doc.ID})
	wantCode(t, err, mirror.CodeManifestUnknown, "bundle "+doc.ID+" was not exported for y")
	if err := newSite(t, transfer.Options{}).RecordExport(t.Context(), doc); mirror.CodeOf(err) != mirror.CodeUnsupported {
		t.Errorf("a bundle of another mirror: %v", err)
	}
}

func TestSinceEarlierBundle(t *testing.T) {
	s := growing(t)
	_, one := s.export(transfer.ExportRequest{Images: []string{v1Name}, To: "x"})
	_, two := s.export(transfer.ExportRequest{All: true, To: "x"}) // everything again
	s.image(app, mirror.Mirrored, "linux/amd64", []string{"three"}, "v3")
	_, doc := s.export(transfer.ExportRequest{All: true, To: "x", Since: one.ID})
	if len(doc.Blobs) != 2 || len(doc.BuildsOn) != 1 {
		t.Errorf("blobs %v, builds on %v", doc.Blobs, doc.BuildsOn)
	}
	_, doc = s.export(transfer.ExportRequest{All: true, To: "x", Since: two.ID})
	if len(doc.Blobs) != 1 || len(doc.BuildsOn) != 2 || doc.BuildsOn[1].ID != two.ID {
		t.Errorf("blobs %v, builds on %v", doc.Blobs, doc.BuildsOn)
	}
	for _, a := range doc.Assumes {
		if a.Digest == digest.FromString("one") && a.Bundle != one.ID {
			t.Errorf("%+v: it was in the first one before", a)
		}
	}
	_, _, err := s.tryExport(transfer.ExportRequest{All: true, To: "x", Since: "another"})
	wantCode(t, err, mirror.CodeManifestUnknown, "bundle another was not exported for x", two.ID+" (number 2, created ", one.ID+" (number 1, created ")
}

func TestOlderBundleIsRejected(t *testing.T) {
	s := growing(t)
	req := transfer.ExportRequest{Images: []string{v1Name}, To: "x"}
	first, _ := s.export(req)
	s.must(s.store.DeleteTag(t.Context(), app, "v1"))
	s.image(app, mirror.Mirrored, "linux/amd64", []string{"new"}, "v1")
	second, doc := s.export(req)
	other, _ := s.export(transfer.ExportRequest{Images: []string{v1Name}, To: "y"})
	inside := newSite(t, transfer.Options{})
	inside.take(second, transfer.ImportRequest{})
	for _, dry := range []bool{true, false} {
		_, _, err := inside.tryTake(bytes.NewReader(first), transfer.ImportRequest{DryRun: dry})
		wantCode(t, err, mirror.CodeDenied, "is number 1 of", "number 2", "--allow-older")
	}
	if slices.Contains(inside.digests(), digest.FromString("one")) {
		t.Error("something of it was stored")
	}
	inside.take(other, transfer.ImportRequest{})
	summary, _ := inside.take(first, transfer.ImportRequest{AllowOlder: true})
	if summary.New == 0 || inside.tag(app, "v1") == doc.Images[0].Digest {
		t.Errorf("%+v", summary)
	}
	if _, _, err := inside.tryTake(bytes.NewReader(first), transfer.ImportRequest{}); mirror.CodeOf(err) != mirror.CodeDenied {
		t.Errorf("the older bundle, imported last: %v", err)
	}
	inside.take(second, transfer.ImportRequest{})
	inside.hasAll(doc)
}

func TestReceipt(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{Host: "inside"})
	s.take(data, transfer.ImportRequest{})
	s.refer(app, s.image(app, mirror.Pushed, "linux/amd64", []string{"x"}), "untagged")
	receipt := s.receipt()
	if !json.Valid(receipt) {
		t.Fatalf("%s", receipt)
	}
	var all struct {
		Tags      []transfer.ReceiptTag
		Manifests []transfer.ReceiptManifest
		Blobs     []digest.Digest
	}
	s.must(json.Unmarshal(receipt, &all))
	var tags []transfer.ReceiptTag
	var manifests []transfer.ReceiptManifest
	var repos []transfer.ReceiptRepository
	var blobs []digest.Digest
	var imported []transfer.ImportedBundle
	var head transfer.ReceiptHead
	for entry, err := range transfer.ReadReceipt(bytes.NewReader(receipt)) {
		switch {
		case err != nil:
			t.Fatal(err)
		case entry.Head != nil:
			head = *entry.Head
		case entry.Tag != nil:
			tags = append(tags, *entry.Tag)
		case entry.Manifest != nil:
			manifests = append(manifests, *entry.Manifest)
		case entry.Repository != nil:
			repos = append(repos, *entry.Repository)
		case entry.Imported != nil:
			imported = append(imported, *entry.Imported)
		default:
			blobs = append(blobs, entry.Blob)
		}
	}
	identity, err := s.Identity(t.Context())
	s.must(err)
	if head.Mirror != identity || head.Host != "inside" || head.Created.IsZero() {
		t.Errorf("%+v", head)
	}
	if !slices.Equal(tags, all.Tags) || !slices.Equal(manifests, all.Manifests) || !slices.Equal(blobs, all.Blobs) || len(tags) != 2 || len(manifests) != 6 {
		t.Errorf("tags %v, manifests %v, blobs %v", tags, manifests, blobs)
	}
	if !slices.Equal(blobs, s.digests()) || len(repos) != 2 || repos[1] != (transfer.ReceiptRepository{Name: app.String(), Origin: mirror.Pushed}) {
		t.Errorf("repositories %v, %d blobs of %d", repos, len(blobs), len(s.digests()))
	}
	if len(imported) != 1 || imported[0].ID != doc.ID || imported[0].Sequence != 1 {
		t.Errorf("%+v", imported)
	}
}

func TestReadInvalidReceipt(t *testing.T) {
	receipt := string(newSite(t, transfer.Options{}).receipt())
	for name, data := range map[string]string{
		"nothing":   "",
		"empty":     "{}",
		"a list":    "[1]",
		"cut off":   receipt[:len(receipt)-2],
		"another":   `{"tags":[{"repository":"x"}]}`,
		"newer":     strings.Replace(receipt, `"version":1`, `"version":2`, 1),
		"large":     `{"x":"` + strings.Repeat("x", 1<<20) + `"}`,
		"malformed": strings.Replace(receipt, `"blobs":[`, `"blobs":[{`, 1),
	} {
		var last error
		for _, err := range transfer.ReadReceipt(strings.NewReader(data)) {
			last = err
		}
		if mirror.CodeOf(last) != mirror.CodeUnsupported {
			t.Errorf("%s: %v", name, last)
		}
	}
	extended := strings.Replace(receipt, `"tags":[`, `"later":[{"x":[1,2]}],"tags":[`, 1)
	for _, err := range transfer.ReadReceipt(strings.NewReader(extended)) {
		if err != nil {
			t.Errorf("what a later version adds: %v", err)
		}
	}
}

func TestHaveRequiresReceipt(t *testing.T) {
	s := growing(t)
	_, _, err := s.tryExport(transfer.ExportRequest{All: true, Have: true})
	wantCode(t, err, mirror.CodeUnsupported, "receipt")
	_, _, err = s.tryExport(transfer.ExportRequest{All: true}, []byte(`{"version":1`))
	wantCode(t, err, mirror.CodeUnsupported, "receipt")
}
