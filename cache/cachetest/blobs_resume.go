package cachetest

import (
	"io"
	"testing"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

func testSuspend(t *blobTest) {
	data := content(1<<20 + 11)
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, label := range []string{"", "docker.io/library/alpine", "\x00\xff \"{"} {
			for _, again := range []bool{false, true} {
				t.Run("", func(st *testing.T) {
					t := t.in(st)
					t.dir = t.TempDir()
					t.reopen()
					w := t.create(a, label)
					at := 0
					for _, next := range []int{0, 1, 63, 64, 300_000, 300_001, len(data)} {
						t.write(w, data[at:next])
						at = next
						t.suspend(w)
						if again {
							t.reopen()
						}
						id := w.ID()
						w = t.resume(id)
						if w.ID() != id || w.Label() != label || w.Size() != int64(at) {
							t.Fatalf("resumed with id %q, label %q, size %d; want %q, %q, %d",
								w.ID(), w.Label(), w.Size(), id, label, at)
						}
					}
					t.wantRead(io.NewSectionReader(t.tail(w), 0, int64(at)), data)
					t.commit(w, a.FromBytes(data))
					t.wantBlob(a.FromBytes(data), data)
					_, err := t.blobs.Resume(t.Context(), w.ID())
					t.wantCode("Resume", err, mirror.CodeBlobUploadUnknown)
				})
			}
		}
	}
}

// testEmptyUpload ends uploads without content in each way, within a process and in the next one.
func testEmptyUpload(t *blobTest) {
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, again := range []bool{false, true} {
			w, aborted := t.create(digest.SHA256, "upload"), t.create(digest.SHA256, "upload")
			t.wantRead(io.NewSectionReader(t.tail(w), 0, 0), nil)
			t.suspend(w)
			t.suspend(aborted)
			if again {
				t.reopen()
			}
			aborted = t.resume(aborted.ID())
			if err := aborted.Abort(); err != nil {
				t.Errorf("Abort: %v", err)
			}
			t.wantAbsent(a.FromString(""), aborted.ID())
			w = t.resume(w.ID())
			t.wantRead(io.NewSectionReader(t.tail(w), 0, 0), nil)
			t.commit(w, a.FromString(""))
			t.wantBlob(a.FromString(""), nil)
			if err := t.blobs.Delete(t.Context(), a.FromString("")); err != nil {
				t.Error(err)
			}
		}
	}
}

// testCrash lets a process die while it writes. An upload starts again at size 0; a blob without a label is lost.
func testCrash(t *blobTest) {
	data := content(700_000)
	upload, transient := t.create(digest.SHA256, "upload"), t.create(digest.SHA256, "")
	t.write(upload, content(300_000))
	t.write(transient, content(300_000))
	t.reopen()
	_, err := t.blobs.Resume(t.Context(), transient.ID())
	t.wantCode("Resume", err, mirror.CodeBlobUploadUnknown)
	if stored := t.all(); len(stored) != 0 {
		t.Errorf("All lists %v, want nothing", stored)
	}
	w := t.resume(upload.ID())
	if w.Size() != 0 || w.Label() != "upload" {
		t.Errorf("resumed with size %d, label %q; want 0, upload", w.Size(), w.Label())
	}
	t.write(w, data)
	t.commit(w, digest.FromBytes(data))
	t.wantBlob(digest.FromBytes(data), data)
}

// testCrashAfterResume checks that a crash loses what was written since the last Suspend, and nothing else.
func testCrashAfterResume(t *blobTest) {
	data := content(700_000)
	w := t.create(digest.SHA256, "upload")
	t.write(w, data[:400_000])
	t.suspend(w)
	dead := t.resume(w.ID())
	t.write(dead, content(200_000))
	t.reopen()
	w = t.resume(w.ID())
	if w.Size() != 400_000 {
		t.Errorf("resumed with size %d, want 400000", w.Size())
	}
	t.write(w, data[400_000:])
	t.commit(w, digest.FromBytes(data))
	t.wantBlob(digest.FromBytes(data), data)
}

func testResumeUnknown(t *blobTest) {
	w := t.create(digest.SHA256, "upload")
	t.suspend(w)
	for _, id := range []string{
		"", ".", "..", "../../etc/passwd", uuid.NewString(), "/" + w.ID() + "/", w.ID() + "/", "./" + w.ID(), "x/../" + w.ID(),
		w.ID() + ".state", "{" + w.ID() + "}", "urn:uuid:" + w.ID(), w.ID()[1:],
	} {
		_, err := t.blobs.Resume(t.Context(), id)
		t.wantCode("Resume of "+id, err, mirror.CodeBlobUploadUnknown)
	}
	t.resume(w.ID())
}
