package cache_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
)

// TestFileMissing deletes files that are in the index, and stores them again.
func TestFileMissing(t *testing.T) {
	ctx := t.Context()
	blobs, folder := openFiles(t, t.TempDir()), t.TempDir()
	s := newStore(t, blobs, openBolt(t, folder), cache.Options{})
	m := image("{}", mirror.Pushed)
	if err := receive(ctx, s, "{}"); err != nil {
		t.Fatal(err)
	}
	putManifest(t, s, m, "v1")
	closeStore(t, s)

	s = newStore(t, blobs, openBolt(t, folder), cache.Options{})
	defer closeStore(t, s)
	for _, d := range []digest.Digest{m.Digest, digest.FromString("{}")} {
		if err := blobs.Delete(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Manifest(ctx, repo, m.Digest)
	wantCode(t, err, mirror.CodeManifestUnknown)
	if errors.Unwrap(err) == nil {
		t.Errorf("%v has no cause: nobody will log it", err)
	}
	_, err = s.Blob(ctx, repo, digest.FromString("{}"))
	wantCode(t, err, mirror.CodeBlobUnknown)
	if errors.Unwrap(err) == nil {
		t.Errorf("%v has no cause: nobody will log it", err)
	}

	wantCode(t, s.PutManifest(ctx, repo, m), mirror.CodeManifestBlobUnknown) // the entry exists, the file does not
	if err := receive(ctx, s, "{}"); err != nil {
		t.Fatal(err)
	}
	putManifest(t, s, m)
	if got, err := s.Manifest(ctx, repo, m.Digest); err != nil || !bytes.Equal(got.Bytes, m.Bytes) {
		t.Errorf("manifest that was put again: %v, %v", got, err)
	}
	blob, err := s.Blob(ctx, repo, digest.FromString("{}"))
	if err != nil {
		t.Fatal(err)
	}
	blob.Close()
}

// TestManifestDamaged reads a manifest whose file was changed.
func TestManifestDamaged(t *testing.T) {
	blobs := &hookedBlobs{Blobs: openFiles(t, t.TempDir()), content: make(map[digest.Digest]string)}
	s := newStore(t, blobs, openBolt(t, t.TempDir()), cache.Options{})
	defer closeStore(t, s)
	m := image("{}", mirror.Mirrored)
	putManifest(t, s, m)
	for _, content := range []string{"short", strings.Repeat("x", len(m.Bytes))} {
		blobs.content[m.Digest] = content
		if _, err := s.Manifest(t.Context(), repo, m.Digest); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("manifest of %d other bytes: %v", len(content), err)
		}
	}
	delete(blobs.content, m.Digest)
	if _, err := s.Manifest(t.Context(), repo, m.Digest); err != nil {
		t.Error(err)
	}
}

// TestIndexBroken fails the index after content became durable: nothing may be visible, and nothing may block a retry.
func TestIndexBroken(t *testing.T) {
	ctx := t.Context()
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	old, m := image("old", mirror.Mirrored), image("{}", mirror.Pushed)
	putManifest(t, s, old, "v1")
	wantTag(t, s, "v1", old.Digest)

	index.broken.Store(true)
	if err := receive(ctx, s, "{}"); !errors.Is(err, errBroken) {
		t.Errorf("receive: %v, want %v", err, errBroken)
	}
	_, err := s.Blob(ctx, repo, digest.FromString("{}"))
	wantCode(t, err, mirror.CodeBlobUnknown)
	index.broken.Store(false)
	if err := receive(ctx, s, "{}"); err != nil {
		t.Fatal(err)
	}

	index.broken.Store(true)
	if err := s.PutManifest(ctx, repo, m, "v1"); !errors.Is(err, errBroken) {
		t.Errorf("put: %v, want %v", err, errBroken)
	}
	wantTag(t, s, "v1", old.Digest)
	_, err = s.Manifest(ctx, repo, m.Digest)
	wantCode(t, err, mirror.CodeManifestUnknown)
	index.broken.Store(false)
	putManifest(t, s, m, "v1")
	wantTag(t, s, "v1", m.Digest)
}

// TestIndexBrokenForAPart fails the index after a partial blob was committed, as a crash does: the partial blob can
// still be resumed.
func TestIndexBrokenForAPart(t *testing.T) {
	ctx, d := t.Context(), digest.FromString("a blob")
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	grow := func(part mirror.PartialBlob, more string) mirror.ResumableBlob {
		t.Helper()
		in, err := s.ResumeBlob(ctx, d, part)
		if err == nil {
			_, err = in.Write([]byte(more))
		}
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	part, err := grow(mirror.PartialBlob{}, "a ").SuspendPartial()
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []bool{true, true, false} {
		index.broken.Store(broken)
		in := grow(part, "blob")
		if err := in.Commit(ctx, mirror.Repo{}); broken != errors.Is(err, errBroken) {
			t.Errorf("commit: %v", err)
		}
		_ = in.Abort()
	}
	if size, err := s.StatContent(ctx, d); err != nil || size != 6 {
		t.Errorf("held with %d bytes: %v", size, err)
	}
	if _, err := s.ResumeBlob(ctx, d, part); mirror.CodeOf(err) != mirror.CodeBlobUploadUnknown {
		t.Errorf("a stored blob became a partial blob: %v", err)
	}
}

// TestHungUp cancels a request when its content is durable: it is kept.
func TestHungUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	blobs := &hookedBlobs{Blobs: openFiles(t, t.TempDir()), afterCommit: cancel}
	s := newStore(t, blobs, openBolt(t, t.TempDir()), cache.Options{})
	defer closeStore(t, s)
	if err := receive(ctx, s, "{}"); err != nil {
		t.Errorf("receive: %v", err)
	}
	ctx, blobs.afterCommit = context.WithCancel(t.Context())
	if err := s.PutManifest(ctx, repo, image("{}", mirror.Pushed), "v1"); err != nil {
		t.Errorf("put: %v", err)
	}
	if ctx.Err() == nil {
		t.Error("nothing was cancelled")
	}
}
