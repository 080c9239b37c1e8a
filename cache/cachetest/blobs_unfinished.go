package cachetest

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// clockGap is more than the difference between the clock of the file system and that of the test.
const clockGap = time.Minute

func testDescribe(t *blobTest) {
	since := time.Now().Add(-clockGap)
	d := t.put(content(10))
	got, err := t.blobs.Describe(t.Context(), d)
	if err != nil || got.Digest != d || got.Size != 10 || got.Written.Before(since) || got.Written.After(time.Now().Add(clockGap)) {
		t.Errorf("Describe = %+v, %v", got, err)
	}
	_, err = t.blobs.Describe(t.Context(), digest.FromString("never seen"))
	t.wantCode("Describe", err, mirror.CodeBlobUnknown)
	_, err = t.blobs.Describe(t.Context(), "sha256:../../passwd")
	t.wantCode("Describe", err, mirror.CodeDigestInvalid)
}

func testUnfinished(t *blobTest) {
	since := time.Now().Add(-clockGap)
	want := map[string]backend.UnfinishedBlob{}
	expect := func(w backend.Writer) {
		want[w.ID()] = backend.UnfinishedBlob{ID: w.ID(), Label: w.Label(), Size: w.Size()}
	}
	empty := t.create(digest.SHA256, "empty")
	expect(empty)
	open := t.create(digest.SHA256, "open")
	t.write(open, content(100))
	expect(open)
	for _, label := range []string{"suspended", "\x00\xff \"{"} {
		w := t.create(digest.SHA512, label)
		t.write(w, content(300_000))
		t.suspend(w)
		expect(w)
	}
	t.write(t.create(digest.SHA256, ""), content(100)) // without a label it cannot be resumed
	ended := t.create(digest.SHA256, "ended")
	t.write(ended, content(5))
	t.commit(ended, digest.FromBytes(content(5)))
	dropped := t.create(digest.SHA256, "dropped")
	if err := dropped.Abort(); err != nil {
		t.Error(err)
	}
	t.wantUnfinished(since, want)

	t.reopen() // as after the death of the process: what was not suspended may have lost its content
	crashed := want[open.ID()]
	for b, err := range t.blobs.Unfinished(t.Context()) {
		if err == nil && b.ID == crashed.ID {
			crashed.Size = b.Size
		}
	}
	want[crashed.ID] = crashed
	t.wantUnfinished(since, want)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range t.blobs.Unfinished(canceled) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("Unfinished ended with %v after its context was canceled", last)
	}
	for range t.blobs.Unfinished(t.Context()) {
		break // stopping early is allowed
	}
}

// wantUnfinished checks what Unfinished lists. All of it must have been written after since.
func (t *blobTest) wantUnfinished(since time.Time, want map[string]backend.UnfinishedBlob) {
	t.Helper()
	listed := map[string]bool{}
	for b, err := range t.blobs.Unfinished(t.Context()) {
		if err != nil {
			t.Fatalf("Unfinished: %v", err)
		}
		if b.Written.Before(since) || b.Written.After(time.Now().Add(clockGap)) {
			t.Errorf("Unfinished lists %s as written at %v", b.ID, b.Written)
		}
		if b.Written = (time.Time{}); b != want[b.ID] || listed[b.ID] {
			t.Errorf("Unfinished lists %+v, want %+v once", b, want[b.ID])
		}
		listed[b.ID] = true
	}
	if len(listed) != len(want) {
		t.Errorf("Unfinished lists %d blobs, want %d", len(listed), len(want))
	}
}

func testDiscard(t *blobTest) {
	discard := func(id string, before time.Time, want bool) {
		t.Helper()
		if done, err := t.blobs.Discard(t.Context(), id, func(written time.Time) bool { return written.Before(before) }); done != want || err != nil {
			t.Errorf("Discard = %v, %v; want %v", done, err, want)
		}
	}
	for _, again := range []bool{false, true} {
		w, empty := t.create(digest.SHA256, "upload"), t.create(digest.SHA256, "upload")
		t.write(w, content(100))
		t.suspend(w)
		t.suspend(empty)
		if again {
			t.reopen()
		}
		discard(w.ID(), time.Now().Add(-clockGap), false)
		if got := t.resume(w.ID()); got.Size() != 100 {
			t.Errorf("%d bytes are left, want 100", got.Size())
		} else {
			t.suspend(got)
		}
		discard(w.ID(), time.Now().Add(clockGap), true)
		discard(empty.ID(), time.Now().Add(clockGap), true)
		t.wantAbsent(digest.FromBytes(content(100)), w.ID())
		t.wantAbsent(digest.FromString(""), empty.ID())
		discard(w.ID(), time.Now().Add(clockGap), false)
		t.wantUnfinished(time.Time{}, nil)
	}
	for _, id := range []string{uuid.NewString(), "", "..", "../blobs"} {
		discard(id, time.Now().Add(clockGap), false)
	}
}
