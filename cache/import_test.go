package cache_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

// receiveBlob stores a blob for no repository.
func receiveBlob(ctx context.Context, s mirror.Store, blob string) error {
	in, err := s.Receive(ctx, "")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(in, blob); err != nil {
		return err
	}
	return in.Commit(ctx, mirror.Repo{})
}

func mustHold(t *testing.T, s mirror.Store, blobs ...string) {
	t.Helper()
	for _, blob := range blobs {
		if err := receiveBlob(t.Context(), s, blob); err != nil {
			t.Fatal(err)
		}
	}
}

func importManifest(ctx context.Context, s mirror.Store, m mirror.Manifest) error {
	return s.ImportManifests(ctx, []mirror.ImportedManifest{{Repo: repo, Digest: m.Digest, MediaType: m.MediaType, Origin: m.Origin}})
}

func point(ctx context.Context, s mirror.Store, tag string, m mirror.Manifest) error {
	_, err := s.PointTags(ctx, []mirror.ImportedTag{{Repo: repo, Tag: tag, Digest: m.Digest, Origin: mirror.Imported}}, false)
	return err
}

// file writes a file outside the store.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestImportIsDurable checks that the next process finds what was imported.
func TestImportIsDurable(t *testing.T) {
	ctx, folder := t.Context(), t.TempDir()
	s := newStore(t, openFiles(t, folder), openBolt(t, folder), cache.Options{})
	m := image("{}", mirror.Imported)
	mustHold(t, s, string(m.Bytes))
	if _, err := s.ImportFile(ctx, digest.FromString("{}"), file(t, "{}")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(importManifest(ctx, s, m), point(ctx, s, "v1", m)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = newStore(t, openFiles(t, folder), openBolt(t, folder), cache.Options{})
	defer closeStore(t, s)
	wantTag(t, s, "v1", m.Digest)
	if got, err := s.Manifest(ctx, repo, m.Digest); err != nil || got.Origin != mirror.Imported {
		t.Errorf("manifest is %+v, %v", got, err)
	}
	read(t, s, "{}")
}

// TestImportIntoBrokenIndex imports while the index fails: nothing is visible, and nothing blocks a retry.
func TestImportIntoBrokenIndex(t *testing.T) {
	ctx := t.Context()
	blobs, index := openFiles(t, t.TempDir()), &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, blobs, index, cache.Options{})
	defer closeStore(t, s)
	m := image("{}", mirror.Imported)
	path := file(t, "{}")
	for _, step := range []struct {
		name    string
		do      func() error
		unknown func() error
	}{
		{"receive", func() error { return receiveBlob(ctx, s, string(m.Bytes)) }, func() error { _, err := s.StatContent(ctx, m.Digest); return err }},
		{"take file", func() error { _, err := s.ImportFile(ctx, digest.FromString("{}"), path); return err },
			func() error { _, err := s.OpenContent(ctx, digest.FromString("{}")); return err }},
		{"carry", func() error { return importManifest(ctx, s, m) }, func() error { _, err := s.Manifest(ctx, repo, m.Digest); return err }},
		{"point", func() error { return point(ctx, s, "v1", m) }, func() error { _, err := s.Tag(ctx, repo, "v1"); return err }},
	} {
		index.broken.Store(true)
		if err := step.do(); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v, want %v", step.name, err, errBroken)
		}
		if err := step.unknown(); !strings.HasSuffix(string(mirror.CodeOf(err)), "_UNKNOWN") {
			t.Errorf("%s: it failed, and then %v", step.name, err)
		}
		index.broken.Store(false)
		if err := step.do(); err != nil {
			t.Fatalf("%s once the index works again: %v", step.name, err)
		}
		if err := step.unknown(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	if err := cache.Check(ctx, blobs, index); err != nil {
		t.Error(err)
	}
}

// TestStatContentChecksFile checks that an entry without an intact file does not count as stored content.
func TestStatContentChecksFile(t *testing.T) {
	ctx, d := t.Context(), digest.FromString("{}")
	files := openFiles(t, t.TempDir())
	blobs := &hookedBlobs{Blobs: files, content: make(map[digest.Digest]string)}
	s := newStore(t, blobs, openBolt(t, t.TempDir()), cache.Options{})
	defer closeStore(t, s)
	m := image("{}", mirror.Imported)
	mustHold(t, s, "{}", string(m.Bytes))
	blobs.content[d] = "damaged"
	for _, is := range []string{"damaged", "missing"} {
		_, stored := s.StatContent(ctx, d)
		_, opened := s.OpenContent(ctx, d)
		for _, err := range []error{stored, opened} {
			wantCode(t, err, mirror.CodeBlobUnknown)
			if err == nil || !strings.Contains(err.Error(), is) {
				t.Errorf("%v does not say that the file is %s", err, is)
			}
		}
		delete(blobs.content, d)
		if err := files.Delete(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	blobs.content[m.Digest] = strings.Repeat("x", len(m.Bytes))
	wantCode(t, importManifest(ctx, s, m), mirror.CodeManifestBlobUnknown) // it must be stored again
}

// TestImportBesideCollector deletes the manifest's file after it was read.
func TestImportBesideCollector(t *testing.T) {
	blobs, index := openFiles(t, t.TempDir()), &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, blobs, index, cache.Options{})
	defer closeStore(t, s)
	m := image("{}", mirror.Imported)
	mustHold(t, s, "{}", string(m.Bytes))
	index.afterView = func() { loseBlob(t, index.Index, m.Digest) }
	wantCode(t, importManifest(t.Context(), s, m), mirror.CodeManifestBlobUnknown)
	index.afterView = nil
	mustHold(t, s, string(m.Bytes))
	if err := importManifest(t.Context(), s, m); err != nil {
		t.Error(err)
	}
}

// loseBlob deletes the entry of a blob.
func loseBlob(t *testing.T, index backend.Index, d digest.Digest) {
	t.Helper()
	err := cache.Text(index).Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Delete(cache.TableBlobs, d.String()) })
	if err != nil {
		t.Error(err)
	}
}

// TestQuarantinedManifest puts a manifest whose damaged file, and its entry, were removed.
func TestQuarantinedManifest(t *testing.T) {
	for _, origin := range []mirror.Origin{mirror.Mirrored, mirror.Imported, mirror.Pushed} {
		m := image("{}", origin)
		again := map[string]func(s mirror.Store) error{
			"put": func(s mirror.Store) error { return s.PutManifest(t.Context(), repo, m) },
		}
		if origin != mirror.Mirrored {
			again["carry"] = func(s mirror.Store) error {
				return errors.Join(receiveBlob(t.Context(), s, string(m.Bytes)), importManifest(t.Context(), s, m))
			}
		}
		for name, again := range again {
			t.Run(name+" "+string(origin), func(t *testing.T) {
				blobs, index := openFiles(t, t.TempDir()), openBolt(t, t.TempDir())
				s := newStore(t, blobs, index, cache.Options{})
				defer closeStore(t, s)
				if err := receive(t.Context(), s, "{}"); err != nil {
					t.Fatal(err)
				}
				putManifest(t, s, m, "v1")
				loseBlob(t, index, m.Digest)
				if err := blobs.Delete(t.Context(), m.Digest); err != nil {
					t.Fatal(err)
				}
				if err := again(s); err != nil {
					t.Fatal(err)
				}
				if err := cache.Check(t.Context(), blobs, index); err != nil {
					t.Error(err)
				}
				if _, err := s.StatContent(t.Context(), m.Digest); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestImportFileByCopying checks blobs that cannot be linked: a copy does not change with the file.
func TestImportFileByCopying(t *testing.T) {
	ctx, d := t.Context(), digest.FromString("{}")
	blobs := &hookedBlobs{Blobs: openFiles(t, t.TempDir())}
	s := newStore(t, blobs, openBolt(t, t.TempDir()), cache.Options{})
	defer closeStore(t, s)
	path := file(t, "{}")
	_, err := s.ImportFile(ctx, digest.FromString("other"), path)
	wantCode(t, err, mirror.CodeDigestInvalid)
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v does not name the file", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	blobs.afterCommit = func() { t.Error("read to the end with a context that ended") }
	if _, err := s.ImportFile(ended, d, path); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
	blobs.afterCommit = nil
	linked, err := s.ImportFile(ctx, d, path)
	if err != nil || linked {
		t.Fatalf("linked is %t, %v", linked, err)
	}
	if err := os.WriteFile(path, []byte("[]"), 0); err != nil {
		t.Fatal(err)
	}
	blob, err := s.OpenContent(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if data, err := io.ReadAll(blob); err != nil || string(data) != "{}" {
		t.Errorf("blob is %q, %v", data, err)
	}
}
