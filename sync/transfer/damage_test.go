package transfer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// damage changes a byte of a stored file and keeps the size.
func (s *site) damage(d digest.Digest) {
	s.t.Helper()
	path := s.path(d)
	data, err := os.ReadFile(path)
	s.must(err)
	data[len(data)/2] ^= 1
	s.must(os.WriteFile(path, data, 0o600))
	s.must(os.Chtimes(path, time.Time{}, time.Unix(1, 0))) // file systems can have coarse clocks
}

func (s *site) path(d digest.Digest) string {
	return filepath.Join(s.folder, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
}

// TestExportSkipsDamagedImages checks that an image with a damaged file is skipped for every kind of request, and that
// the others are exported.
func TestExportSkipsDamagedImages(t *testing.T) {
	for name, of := range map[string]func(good, bad digest.Digest) digest.Digest{
		"a layer":    func(layer, _ digest.Digest) digest.Digest { return layer },
		"a manifest": func(_, manifest digest.Digest) digest.Digest { return manifest },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transfer.Options{})
			s.image(app, mirror.Pushed, "linux/amd64", []string{"good"}, "good")
			bad := s.image(app, mirror.Pushed, "linux/amd64", []string{"bad"}, "bad")
			s.restart() // a process does not verify what it wrote itself
			s.damage(of(digest.FromString("bad"), bad.Digest))

			_, _, err := s.tryExport(transfer.ExportRequest{Images: []string{"registry.example/org/app:bad"}})
			wantCode(t, err, mirror.CodeManifestUnknown, "registry.example/org/app:bad")

			data, doc, err := s.tryExport(transfer.ExportRequest{All: true})
			s.must(err)
			if got := names(doc); !slices.Equal(got, []string{"registry.example/org/app:good all"}) {
				t.Errorf("images %q", got)
			}
			inside := newSite(t, transfer.Options{})
			inside.take(data, transfer.ImportRequest{})
			inside.has(app, inside.tag(app, "good"))
		})
	}
}

// TestExportFindsAllDamage checks that blobs are verified several at a time without mixing up the results.
func TestExportFindsAllDamage(t *testing.T) {
	s := newSite(t, transfer.Options{})
	var good []string
	damaged := make(map[string]digest.Digest)
	for i := range 12 {
		tag := fmt.Sprintf("v%02d", i)
		s.image(app, mirror.Pushed, "linux/amd64", []string{"layer of " + tag}, tag)
		if i%3 == 0 {
			damaged[tag] = digest.FromString("layer of " + tag)
		} else {
			good = append(good, "registry.example/org/app:"+tag+" all")
		}
	}
	s.restart()
	for _, d := range damaged {
		s.damage(d)
	}
	_, doc, err := s.tryExport(transfer.ExportRequest{All: true})
	s.must(err)
	if got := names(doc); !slices.Equal(got, good) {
		t.Errorf("images %q, want %q", got, good)
	}
}

// TestPlanReportsDamage checks that a plan reports the images that an export would skip.
func TestPlanReportsDamage(t *testing.T) {
	s := newSite(t, transfer.Options{})
	s.image(app, mirror.Pushed, "linux/amd64", []string{"good"}, "good")
	s.image(app, mirror.Pushed, "linux/amd64", []string{"bad"}, "bad")
	s.restart()
	s.damage(digest.FromString("bad"))
	var left []string
	_, err := s.Plan(t.Context(), transfer.ExportRequest{All: true, Verify: true}, nil, new(progress.Reporter), func(e transfer.Event) {
		if e.Kind == transfer.KindSkipped {
			left = append(left, e.Name)
		}
	})
	s.must(err)
	if !slices.Equal(left, []string{"registry.example/org/app:bad"}) {
		t.Errorf("skipped: %q", left)
	}
}

// TestImportReplacesDamagedBlob checks that the right bytes of a bundle replace a damaged file.
func TestImportReplacesDamagedBlob(t *testing.T) {
	s := newSite(t, transfer.Options{})
	image := s.image(app, mirror.Pushed, "linux/amd64", []string{"layer"}, "v1")
	data, _ := s.export(transfer.ExportRequest{All: true})

	inside := newSite(t, transfer.Options{})
	inside.take(data, transfer.ImportRequest{})
	inside.restart()
	for _, d := range []digest.Digest{digest.FromString("layer"), image.Digest} {
		inside.damage(d)
	}
	inside.take(data, transfer.ImportRequest{})
	inside.has(app, image.Digest)
	for _, d := range []digest.Digest{digest.FromString("layer"), image.Digest} {
		stored, err := os.ReadFile(inside.path(d))
		s.must(err)
		if digest.FromBytes(stored) != d {
			t.Errorf("%s is still damaged", d)
		}
	}
}
