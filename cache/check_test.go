package cache_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

// shelf is a store in a folder whose files and index a test damages.
type shelf struct {
	*cache.Store
	t      *testing.T
	folder string
	blobs  backend.Blobs
	index  backend.Index
	// indexFolder is the folder of the index.
	indexFolder string
	// The content: a pushed image with its referrer, a mirrored image that lacks its config, and an index of both.
	pushed, mirrored, referrer, list mirror.Manifest
}

func stock(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{t: t, folder: t.TempDir()}
	s.indexFolder = s.folder
	s.blobs, s.index = openFiles(t, s.folder), openBolt(t, s.folder)
	s.Store = newStore(t, s.blobs, s.index, cache.Options{})
	t.Cleanup(func() { closeStore(t, s.Store) })
	s.fill()
	return s
}

func (s *shelf) fill() {
	s.t.Helper()
	for _, blob := range []string{"pushed", "signature"} {
		s.must(receive(s.t.Context(), s.Store, blob))
	}
	s.pushed, s.mirrored = image("pushed", mirror.Pushed), image("never came", mirror.Mirrored)
	putManifest(s.t, s.Store, s.pushed, "pushed", "latest")
	putManifest(s.t, s.Store, s.mirrored, "mirrored")
	s.referrer = about(s.pushed, "signature")
	putManifest(s.t, s.Store, s.referrer)
	s.list = listOf(s.pushed, s.mirrored)
	putManifest(s.t, s.Store, s.list, "list")
	blob, err := s.Blob(s.t.Context(), repo, digest.FromString("pushed"))
	s.must(err)
	blob.Close()
	s.must(s.FlushRecency(s.t.Context()))
}

// about is a manifest that refers to another one.
func about(subject mirror.Manifest, content string) mirror.Manifest {
	return written(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    v1.Descriptor{MediaType: "test/signature", Digest: digest.FromString(content), Size: int64(len(content))},
		Subject:   &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: int64(len(subject.Bytes))},
	})
}

func listOf(manifests ...mirror.Manifest) mirror.Manifest {
	doc := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, m := range manifests {
		doc.Manifests = append(doc.Manifests, v1.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Bytes))})
	}
	return written(v1.MediaTypeImageIndex, doc)
}

func written(mediaType string, doc any) mirror.Manifest {
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return mirror.Manifest{MediaType: mediaType, Digest: digest.FromBytes(data), Bytes: data, Origin: mirror.Pushed}
}

func (s *shelf) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) path(d digest.Digest) string {
	return filepath.Join(s.folder, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
}

// overwrite replaces the file of d, and makes it old.
func (s *shelf) overwrite(d digest.Digest, content string) {
	s.t.Helper()
	path := s.path(d)
	s.must(os.MkdirAll(filepath.Dir(path), 0o750))
	s.must(os.WriteFile(path, []byte(content), 0o640))
	s.must(os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)))
}

func (s *shelf) remove(d digest.Digest) { s.t.Helper(); s.must(os.Remove(s.path(d))) }

// write changes the index without the store.
func (s *shelf) write(f func(tx backend.WriteTx) error) {
	s.t.Helper()
	s.must(cache.Text(s.index).Update(s.t.Context(), backend.Locks{}, f))
}

func (s *shelf) defects(opts mirror.CheckOptions) (found []mirror.Defect) {
	s.t.Helper()
	for defect, err := range s.Defects(s.t.Context(), opts) {
		s.must(err)
		found = append(found, defect)
	}
	return found
}

// finds checks that a check finds exactly these defects.
func (s *shelf) finds(opts mirror.CheckOptions, want ...mirror.DefectKind) []mirror.Defect {
	s.t.Helper()
	found := s.defects(opts)
	if !slices.EqualFunc(found, want, func(f mirror.Defect, kind mirror.DefectKind) bool { return f.Kind == kind && f.Reason != "" }) {
		s.t.Errorf("found %+v, want %v", found, want)
	}
	return found
}

// mend repairs all defects and returns those that remain.
func (s *shelf) mend() []mirror.Defect {
	s.t.Helper()
	for defect, err := range s.Defects(s.t.Context(), mirror.CheckOptions{}) {
		s.must(err)
		_, err := s.Repair(s.t.Context(), defect)
		s.must(err)
	}
	return s.defects(mirror.CheckOptions{})
}

func (s *shelf) quarantined() (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.folder, "quarantine"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestIntactStoreHasNoDefects(t *testing.T) {
	s := stock(t)
	s.finds(mirror.CheckOptions{})
	s.finds(mirror.CheckOptions{Fast: true})
	s.must(cache.Check(t.Context(), s.blobs, s.index))
}

// TestFilesAreFoundDamaged damages the file of a blob that a pushed image needs. After the repair, the image lacks the
// blob.
func TestFilesAreFoundDamaged(t *testing.T) {
	config := digest.FromString("pushed")
	for _, tt := range []struct {
		name       string
		damage     func(*shelf)
		kind       mirror.DefectKind
		fast       bool // a fast check finds it
		quarantine bool
	}{
		{"another byte", func(s *shelf) { s.overwrite(config, "pushes") }, mirror.Damaged, false, true},
		{"truncated", func(s *shelf) { s.overwrite(config, "push") }, mirror.Damaged, true, true},
		{"empty", func(s *shelf) { s.overwrite(config, "") }, mirror.Damaged, true, true},
		{"longer", func(s *shelf) { s.overwrite(config, "pushed, and more") }, mirror.Damaged, true, true},
		{"gone", func(s *shelf) { s.remove(config) }, mirror.Missing, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := stock(t)
			tt.damage(s)
			if tt.fast {
				s.finds(mirror.CheckOptions{Fast: true}, tt.kind)
			} else {
				s.finds(mirror.CheckOptions{Fast: true})
			}
			defect := s.finds(mirror.CheckOptions{}, tt.kind)[0]
			if defect.Digest != config || defect.Size != 6 || defect.Manifest || !slices.Equal(defect.Repos, []string{repo.String()}) {
				t.Errorf("%+v", defect)
			}
			remains := s.mend()
			if len(remains) != 1 || remains[0].Kind != mirror.Missing || remains[0].Digest != config || !strings.Contains(remains[0].Reason, "was pushed") {
				t.Errorf("%+v remains", remains)
			}
			if names := s.quarantined(); tt.quarantine != (len(names) == 2) {
				t.Errorf("in quarantine: %v", names)
			}
			_, err := s.Blob(t.Context(), repo, config)
			wantCode(t, err, mirror.CodeBlobUnknown)
			if stat, err := s.StatBlob(t.Context(), repo, config); err != nil || stat.Stored || !stat.Linked || !stat.Referenced || stat.Size != 6 {
				t.Errorf("%+v, %v: want it to be awaited", stat, err)
			}
			s.must(receive(t.Context(), s.Store, "pushed"))
			s.finds(mirror.CheckOptions{})
			s.must(cache.Check(t.Context(), s.blobs, s.index))
		})
	}
}

// TestDamageIsNoticedByReaders checks that readers get an error that wraps the defect.
func TestDamageIsNoticedByReaders(t *testing.T) {
	s := stock(t)
	s.overwrite(digest.FromString("pushed"), "push")
	_, err := s.Blob(t.Context(), repo, digest.FromString("pushed"))
	wantDefect(t, err, mirror.CodeBlobUnknown, mirror.Damaged)
	s.remove(digest.FromString("pushed"))
	_, err = s.Blob(t.Context(), repo, digest.FromString("pushed"))
	wantDefect(t, err, mirror.CodeBlobUnknown, mirror.Missing)
	s.overwrite(s.list.Digest, strings.Repeat("x", len(s.list.Bytes)))
	_, err = s.Manifest(t.Context(), repo, s.list.Digest)
	wantDefect(t, err, mirror.CodeManifestUnknown, mirror.Damaged)
	s.remove(s.list.Digest)
	_, err = s.Manifest(t.Context(), repo, s.list.Digest)
	wantDefect(t, err, mirror.CodeManifestUnknown, mirror.Missing)
}

// wantDefect checks that err wraps a defect of this kind.
func wantDefect(t *testing.T, err error, code mirror.Code, kind mirror.DefectKind) {
	t.Helper()
	wantCode(t, err, code)
	var flawed *mirror.DefectError
	if !asFlaw(err, &flawed) || flawed.Defect.Kind != kind || flawed.Defect.Digest == "" || flawed.Defect.Manifest != (code == mirror.CodeManifestUnknown) {
		t.Errorf("%v has no defect of kind %s for its cause", err, kind)
	}
}

// TestFileDeletedDuringCheckIsNoDefect deletes a file after the transaction that listed it.
func TestFileDeletedDuringCheckIsNoDefect(t *testing.T) {
	for name, change := range map[string]func(tx backend.WriteTx, d digest.Digest) error{
		"deleted": func(tx backend.WriteTx, d digest.Digest) error { return tx.Delete(cache.TableBlobs, d.String()) },
		"deleted and on its way in again": func(tx backend.WriteTx, d digest.Digest) error {
			return tx.Put(cache.TableBlobs, d.String(), []byte(`{"size":6,"added":"2020-01-01T00:00:00Z"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := stock(t)
			last := digest.Digest("sha256:" + strings.Repeat("f", 64)) // its file is deleted before it is checked
			s.write(func(tx backend.WriteTx) error {
				return tx.Put(cache.TableBlobs, last.String(), []byte(`{"size":6,"added":"2021-01-01T00:00:00Z"}`))
			})
			changed := false
			for defect, err := range s.Defects(t.Context(), mirror.CheckOptions{Checked: func(digest.Digest, int64) {
				if !changed {
					changed = true
					s.write(func(tx backend.WriteTx) error { return change(tx, last) })
				}
			}}) {
				t.Errorf("%+v, %v", defect, err)
			}
			if !changed {
				t.Error("nothing was checked")
			}
		})
	}
}

// healing is a [backend.Blobs] that returns a wrong size the first time that a file is examined.
type healing struct {
	backend.Blobs
	seen map[digest.Digest]bool
}

func (h healing) Stat(ctx context.Context, d digest.Digest) (int64, error) {
	size, err := h.Blobs.Stat(ctx, d)
	if !h.seen[d] {
		h.seen[d] = true
		size++
	}
	return size, err
}

// TestFileReplacedDuringCheckIsNoDefect checks that the entry stays if a download replaces a truncated file during the
// check.
func TestFileReplacedDuringCheckIsNoDefect(t *testing.T) {
	s := stock(t)
	store := newStore(t, healing{s.blobs, make(map[digest.Digest]bool)}, s.index, cache.Options{RecencyInterval: time.Hour})
	for defect, err := range store.Defects(t.Context(), mirror.CheckOptions{Fast: true}) {
		t.Errorf("%+v, %v", defect, err)
	}
}

// TestUnindexedFileIsNoOrphan checks while a file is durable and not indexed yet.
func TestUnindexedFileIsNoOrphan(t *testing.T) {
	s := stock(t)
	d := digest.FromString("coming")
	hooked := &hookedBlobs{Blobs: s.blobs}
	store := newStore(t, hooked, openBolt(t, t.TempDir()), cache.Options{})
	defer closeStore(t, store)
	looked := false
	hooked.afterCommit = func() {
		looked = true
		s.must(os.Chtimes(s.path(d), time.Time{}, time.Now().Add(-time.Hour)))
		for defect, err := range store.Defects(t.Context(), mirror.CheckOptions{}) {
			if defect.Digest == d || err != nil {
				t.Errorf("%+v, %v", defect, err)
			}
		}
	}
	s.must(receive(t.Context(), store, "coming"))
	if !looked {
		t.Error("the file was not checked")
	}
}
