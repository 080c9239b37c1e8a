package cachetest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// testSuspendPartial suspends a partial blob several times. After each suspension, a writer resumes it and dies, or
// aborts.
func testSuspendPartial(t *blobTest) {
	data := content(1<<20 + 11)
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, end := range []string{"", "dies", "aborts"} {
			t.Run(end, func(st *testing.T) {
				t := t.in(st)
				t.dir = t.TempDir()
				t.reopen()
				w := t.create(a, "")
				at := 0
				for _, next := range []int{1, 64, 300_000, len(data)} {
					t.write(w, data[at:next])
					at = next
					partial := t.suspendPartial(w)
					if partial.ID != w.ID() || partial.Algorithm != a || partial.Size != int64(at) {
						t.Fatalf("partial blob after %d bytes is %+v", at, partial)
					}
					if end != "" {
						w = t.resumePartial(partial)
						t.write(w, content(100))
					}
					if end == "dies" {
						t.reopen()
					} else if err := w.Abort(); err != nil {
						t.Errorf("Abort: %v", err)
					}
					if w = t.resumePartial(partial); w.Size() != partial.Size || w.ID() != partial.ID {
						t.Fatalf("%s is resumed as %s with %d bytes, want %d", partial.ID, w.ID(), w.Size(), at)
					}
					t.wantRead(io.NewSectionReader(t.tail(w), 0, int64(at)), data[:at])
				}
				t.commit(w, a.FromBytes(data))
				t.wantBlob(a.FromBytes(data), data)
				t.wantUnfinished(time.Time{}, nil)
			})
		}
	}
}

// testResumeEarlierPartial resumes a partial blob by an earlier record, without its hash.
func testResumeEarlierPartial(t *blobTest) {
	data := content(500_000)
	w := t.create(digest.SHA256, "")
	t.write(w, data[:200_000])
	partial := t.suspendPartial(w)
	w = t.resumePartial(partial)
	t.write(w, content(300_000))
	t.suspendPartial(w)
	partial.Hash = nil
	w = t.resumePartial(partial)
	t.write(w, data[200_000:])
	t.commit(w, digest.FromBytes(data))
	t.wantBlob(digest.FromBytes(data), data)
}

// testFailedCommitOfPartial fails to commit a resumed blob. The partial blob stays, unless its content has the wrong
// digest.
func testFailedCommitOfPartial(t *blobTest) {
	data := content(1000)
	w := t.create(digest.SHA256, "")
	t.write(w, data[:500])
	partial := t.suspendPartial(w)
	w = t.resumePartial(partial)
	t.write(w, data[500:])
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if w.Commit(canceled, digest.FromBytes(data)) == nil {
		t.Error("Commit succeeded")
	}
	want := map[string]backend.UnfinishedBlob{partial.ID: {ID: partial.ID, Size: 500}}
	t.wantUnfinished(time.Time{}, want)
	t.reopen()
	t.wantUnfinished(time.Time{}, want)
	w = t.resumePartial(partial)
	t.write(w, content(500))
	t.wantCode("Commit", w.Commit(t.Context(), digest.FromBytes(data)), mirror.CodeDigestInvalid)
	t.wantUnfinished(time.Time{}, nil)
	t.wantNoPartial(partial)
}

func testCommitOfPartialTwice(t *blobTest) {
	data := content(1000)
	w := t.create(digest.SHA256, "")
	t.write(w, data)
	partial := t.suspendPartial(w)
	t.commit(t.resumePartial(partial), t.put(data))
	t.wantUnfinished(time.Time{}, nil)
}

func testUncommit(t *blobTest) {
	data := content(1000)
	d := digest.FromBytes(data)
	w := t.create(digest.SHA256, "")
	t.write(w, data[:500])
	partial := t.suspendPartial(w)
	w = t.resumePartial(partial)
	t.write(w, data[500:])
	t.commit(w, d)
	t.reopen()
	t.wantNoPartial(partial)
	if err := t.blobs.Uncommit(t.Context(), d, partial.ID); err != nil {
		t.Fatal(err)
	}
	_, err := t.blobs.Stat(t.Context(), d)
	t.wantCode("Stat", err, mirror.CodeBlobUnknown)
	w = t.resumePartial(partial)
	t.write(w, data[500:])
	t.commit(w, d)
	t.wantBlob(d, data)
	if err := t.blobs.Uncommit(t.Context(), digest.FromString("never seen"), partial.ID); err != nil {
		t.Error(err)
	}
	t.wantNoPartial(partial)
}

func testResumeUnknownPartial(t *blobTest) {
	w := t.create(digest.SHA256, "")
	t.write(w, content(10))
	partial := t.suspendPartial(w)
	upload := t.create(digest.SHA256, "upload")
	t.suspend(upload)
	for _, id := range []string{"", "..", "../../etc/passwd", uuid.NewString(), "x/../" + partial.ID, partial.ID + ".part", upload.ID()} {
		t.wantNoPartial(mirror.PartialBlob{ID: id, Algorithm: digest.SHA256})
	}
	t.wantNoPartial(mirror.PartialBlob{ID: partial.ID, Algorithm: digest.SHA256, Size: 11})
	t.wantNoPartial(mirror.PartialBlob{ID: partial.ID, Algorithm: digest.SHA256, Size: -1})
	t.wantNoPartial(mirror.PartialBlob{ID: partial.ID, Algorithm: "md5"})
	_, err := t.blobs.Resume(t.Context(), partial.ID)
	t.wantCode("Resume", err, mirror.CodeBlobUploadUnknown)
	if done, err := t.blobs.Discard(t.Context(), partial.ID, func(time.Time) bool { return true }); !done || err != nil {
		t.Errorf("Discard = %v, %v", done, err)
	}
	t.wantNoPartial(partial)
}

func (t *blobTest) suspendPartial(w backend.Writer) mirror.PartialBlob {
	t.Helper()
	partial, err := w.SuspendPartial()
	if err != nil {
		t.Fatalf("SuspendPartial: %v", err)
	}
	return partial
}

func (t *blobTest) resumePartial(partial mirror.PartialBlob) backend.Writer {
	t.Helper()
	w, err := t.blobs.ResumeBlob(t.Context(), partial)
	if err != nil {
		t.Fatalf("ResumeBlob: %v", err)
	}
	t.Cleanup(func() { _ = w.Abort() })
	return w
}

func (t *blobTest) wantNoPartial(partial mirror.PartialBlob) {
	t.Helper()
	_, err := t.blobs.ResumeBlob(t.Context(), partial)
	t.wantCode("ResumeBlob of "+partial.ID, err, mirror.CodeBlobUploadUnknown)
}
