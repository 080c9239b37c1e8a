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

// clockGap is more than the clock that writes times of files may be apart from the one that the test reads.
const clockGap = time.Minute

func testWritten(t *blobTest) {
	began := time.Now().Add(-clockGap)
	d := t.put(content(10))
	written, err := t.blobs.Written(t.Context(), d)
	if err != nil || written.Before(began) || written.After(time.Now().Add(clockGap)) {
		t.Errorf("Written = %v, %v", written, err)
	}
	for e, err := range t.blobs.All(t.Context()) {
		if err != nil || !e.Written.Equal(written) {
			t.Errorf("All lists it as written at %v, %v; want %v", e.Written, err, written)
		}
	}
	_, err = t.blobs.Written(t.Context(), digest.FromString("never seen"))
	t.wantCode("Written", err, mirror.CodeBlobUnknown)
	_, err = t.blobs.Written(t.Context(), "sha256:../../passwd")
	t.wantCode("Written", err, mirror.CodeDigestInvalid)
}

func testUnfinished(t *blobTest) {
	began := time.Now().Add(-clockGap)
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
	t.write(t.create(digest.SHA256, ""), content(100)) // nobody can name it
	ended := t.create(digest.SHA256, "ended")
	t.write(ended, content(5))
	t.commit(ended, digest.FromBytes(content(5)))
	dropped := t.create(digest.SHA256, "dropped")
	if err := dropped.Abort(); err != nil {
		t.Error(err)
	}
	t.wantUnfinished(began, want)

	t.reopen() // as if the process had died: what was not suspended begins again, perhaps
	crashed := want[open.ID()]
	for b, err := range t.blobs.Unfinished(t.Context()) {
		if err == nil && b.ID == crashed.ID {
			crashed.Size = b.Size
		}
	}
	want[crashed.ID] = crashed
	t.wantUnfinished(began, want)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range t.blobs.Unfinished(cancelled) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("Begun ended with %v when its context was cancelled", last)
	}
	for range t.blobs.Unfinished(t.Context()) {
		break // whoever has seen enough may leave
	}
}

// wantUnfinished checks what Begun lists, all of it written since began.
func (t *blobTest) wantUnfinished(began time.Time, want map[string]backend.UnfinishedBlob) {
	t.Helper()
	listed := map[string]bool{}
	for b, err := range t.blobs.Unfinished(t.Context()) {
		if err != nil {
			t.Fatalf("Begun: %v", err)
		}
		if b.Written.Before(began) || b.Written.After(time.Now().Add(clockGap)) {
			t.Errorf("Begun lists %s as written at %v", b.ID, b.Written)
		}
		if b.Written = (time.Time{}); b != want[b.ID] || listed[b.ID] {
			t.Errorf("Begun lists %+v, want %+v once", b, want[b.ID])
		}
		listed[b.ID] = true
	}
	if len(listed) != len(want) {
		t.Errorf("Begun lists %d blobs, want %d", len(listed), len(want))
	}
}

func testDiscard(t *blobTest) {
	discard := func(id string, idle time.Time, want bool) {
		t.Helper()
		if done, err := t.blobs.Discard(t.Context(), id, func(written time.Time) bool { return written.Before(idle) }); done != want || err != nil {
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
