package cachetest

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

func testCommitOtherAlgorithm(t *blobTest) {
	data := content(600_000)
	w := t.create(digest.SHA256, "")
	t.write(w, data)
	d := digest.SHA512.FromBytes(data)
	t.commit(w, d)
	t.wantBlob(d, data)
	t.wantAbsent(digest.FromBytes(data), w.ID())

	w = t.create(digest.SHA512, "")
	t.write(w, data)
	t.wantCode("Commit", w.Commit(t.Context(), digest.FromString("other")), mirror.CodeDigestInvalid)
}

func testCommitTwice(t *blobTest) {
	data := content(5000)
	d := t.put(data)
	reader, err := t.blobs.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	w := t.create(digest.SHA256, "again")
	t.write(w, data)
	t.commit(w, d)
	t.wantBlob(d, data)
	t.wantRead(reader, data)
	if stored := t.all(); len(stored) != 1 {
		t.Errorf("All lists %v, want one blob", stored)
	}
	_, err = t.blobs.Resume(t.Context(), w.ID())
	t.wantCode("Resume", err, mirror.CodeBlobUploadUnknown)
}

func testConcurrentCommits(t *blobTest) {
	data := content(400_000)
	d := digest.FromBytes(data)
	var wg sync.WaitGroup
	for i := range 16 {
		w := t.create(digest.SHA256, []string{"", "upload"}[i%2])
		wg.Go(func() {
			_, err := w.Write(data)
			if err == nil {
				err = w.Commit(t.Context(), d)
			}
			if err != nil {
				t.Errorf("write and commit: %v", err)
			}
			if size, err := t.blobs.Stat(t.Context(), d); err != nil || size != int64(len(data)) {
				t.Errorf("Stat after Commit = %d, %v", size, err)
			}
		})
	}
	wg.Wait()
	t.wantBlob(d, data)
	if stored := t.all(); len(stored) != 1 {
		t.Errorf("All lists %v, want one blob", stored)
	}
}

func testCommitOfWrongDigest(t *blobTest) {
	data := content(300_000)
	for _, label := range []string{"", "upload"} {
		w := t.create(digest.SHA256, label)
		t.write(w, data)
		wrong := digest.FromString("something else")
		t.wantCode("Commit", w.Commit(t.Context(), wrong), mirror.CodeDigestInvalid)
		t.wantAbsent(wrong, w.ID())
		t.wantAbsent(digest.FromBytes(data), w.ID())
	}
	t.reopen()
	if stored := t.all(); len(stored) != 0 {
		t.Errorf("All lists %v, want nothing", stored)
	}
}

func testCommitCancelled(t *blobTest) {
	w := t.create(digest.SHA256, "upload")
	t.write(w, []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Commit(ctx, digest.FromString("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit with a canceled context: %v", err)
	}
	t.wantAbsent(digest.FromString("x"), w.ID())
}

func testAbort(t *blobTest) {
	data := content(300_000)
	for _, label := range []string{"", "upload"} {
		w := t.create(digest.SHA256, label)
		t.write(w, data)
		if err := w.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
		t.wantAbsent(digest.FromBytes(data), w.ID())
	}
}
