package cachetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// linkable returns the store as a Linker, and the path of a file with the content data.
func (t *blobTest) linkable(data []byte) (backend.Linker, string) {
	t.Helper()
	linker, ok := t.blobs.(backend.Linker)
	if !ok {
		t.Skip("the store is not a Linker")
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o640); err != nil {
		t.Fatal(err)
	}
	return linker, path
}

func testLink(t *blobTest) {
	for _, size := range blobSizes {
		data := content(size)
		linker, path := t.linkable(data)
		for _, d := range []digest.Digest{digest.FromBytes(data), digest.SHA512.FromBytes(data)} {
			for range 2 {
				n, linked, err := linker.Link(t.Context(), d, path)
				if errors.Is(err, errors.ErrUnsupported) {
					t.Skipf("the store cannot link here: %v", err)
				}
				if err != nil || n != int64(size) || !linked {
					t.Fatalf("Link of %d bytes = %d, %t, %v", size, n, linked, err)
				}
				t.wantBlob(d, data)
			}
			if err := t.blobs.Delete(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(data) {
			t.Errorf("after the blob was deleted, the file has %d bytes of %d, %v", len(got), size, err)
		}
	}
}

func testLinkOfStoredBlob(t *blobTest) {
	data := content(5000)
	d := t.put(data)
	linker, path := t.linkable(data)
	if n, linked, err := linker.Link(t.Context(), d, path); err != nil || n != 5000 || linked {
		t.Errorf("Link of a stored blob = %d, %t, %v", n, linked, err)
	}
	t.wantBlob(d, data)
}

func testLinkOfWrongDigest(t *blobTest) {
	data := content(5000)
	linker, path := t.linkable(data)
	wrong := digest.FromString("something else")
	_, _, err := linker.Link(t.Context(), wrong, path)
	t.wantCode("Link", err, mirror.CodeDigestInvalid)
	_, _, err = linker.Link(t.Context(), "sha256:nonsense", path)
	t.wantCode("Link", err, mirror.CodeDigestInvalid)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := linker.Link(ctx, digest.FromBytes(data), path); !errors.Is(err, context.Canceled) {
		t.Errorf("Link with a canceled context: %v", err)
	}
	symlink := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, symlink); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{symlink, filepath.Dir(path), os.DevNull, path + "not there"} {
		if _, _, err := linker.Link(t.Context(), digest.FromBytes(data), other); err == nil {
			t.Errorf("%s was linked", other)
		}
	}
	t.reopen()
	if stored := t.all(); len(stored) != 0 {
		t.Errorf("All lists %v, want nothing", stored)
	}
}

// testConcurrentLinks links one file several times while the same blob is written.
func testConcurrentLinks(t *blobTest) {
	data := content(400_000)
	d := digest.FromBytes(data)
	linker, path := t.linkable(data)
	var wg sync.WaitGroup
	for i := range 12 {
		w := t.create(digest.SHA256, "")
		wg.Go(func() {
			var err error
			if i%3 == 0 {
				_, err = w.Write(data)
				err = errors.Join(err, w.Commit(t.Context(), d))
			} else {
				_, _, err = linker.Link(t.Context(), d, path)
			}
			if err != nil {
				t.Error(err)
			}
			if size, err := t.blobs.Stat(t.Context(), d); err != nil || size != int64(len(data)) {
				t.Errorf("Stat = %d, %v", size, err)
			}
		})
	}
	wg.Wait()
	t.wantBlob(d, data)
	if stored := t.all(); len(stored) != 1 {
		t.Errorf("All lists %v, want one blob", stored)
	}
}
