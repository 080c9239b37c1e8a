package cachetest

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
)

func (t *blobTest) tail(w cache.Writer) mirror.Tail {
	t.Helper()
	tail, err := w.Tail()
	if err != nil {
		t.Fatalf("Tail: %v", err)
	}
	t.Cleanup(func() { _ = tail.Close() })
	return tail
}

func testTail(t *blobTest) {
	data := content(600_000)
	for _, end := range []struct {
		name string
		end  func(cache.Writer) error
	}{
		{"Commit", func(w cache.Writer) error { return w.Commit(t.Context(), digest.FromBytes(data)) }},
		{"CommitOfHeld", func(w cache.Writer) error { return w.Commit(t.Context(), digest.FromBytes(data)) }},
		{"CommitOfWrong", func(w cache.Writer) error {
			if w.Commit(t.Context(), digest.FromString("wrong")) == nil {
				t.Error("Commit of a wrong digest succeeded")
			}
			return nil
		}},
		{"Abort", cache.Writer.Abort},
		{"Suspend", cache.Writer.Suspend},
	} {
		t.Run(end.name, func(st *testing.T) {
			t := t.in(st)
			w := t.create(digest.SHA256, "")
			early := t.tail(w)
			if n, err := early.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF {
				t.Errorf("ReadAt before the first byte = %d, %v; want EOF", n, err)
			}
			for at := 0; at < len(data); at += 100_000 {
				t.write(w, data[at:at+100_000])
				got := make([]byte, 100_000)
				if n, err := early.ReadAt(got, int64(at)); n != len(got) || (err != nil && err != io.EOF) {
					t.Fatalf("ReadAt(%d) = %d, %v", at, n, err)
				}
				if !bytes.Equal(got, data[at:at+100_000]) {
					t.Fatalf("ReadAt(%d) read other bytes than were written", at)
				}
			}
			late := t.tail(w)
			if err := end.end(w); err != nil {
				t.Fatal(err)
			}
			for _, tail := range []mirror.Tail{early, late} {
				t.wantRead(io.NewSectionReader(tail, 0, int64(len(data))), data)
			}
		})
	}
}

// testTailWhileWriting has readers follow a writer, and join it, up to and over its commit.
func testTailWhileWriting(t *blobTest) {
	data := content(2 << 20)
	w := t.create(digest.SHA256, "")
	var written atomic.Int64
	read := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { read <- struct{}{} }()
			tail, err := w.Tail()
			if err != nil {
				t.Errorf("Tail: %v", err)
				return
			}
			defer tail.Close()
			buf := make([]byte, 64<<10)
			for at := int64(0); at < int64(len(data)); {
				n, err := tail.ReadAt(buf[:min(int64(len(buf)), max(1, written.Load()-at))], at)
				if err != nil && err != io.EOF {
					t.Errorf("ReadAt: %v", err)
					return
				}
				if !bytes.Equal(buf[:n], data[at:at+int64(n)]) {
					t.Errorf("other bytes than were written at %d", at)
					return
				}
				at += int64(n)
			}
		}()
	}
	for at := 0; at < len(data); at += 16 << 10 {
		t.write(w, data[at:at+16<<10])
		written.Store(int64(at + 16<<10))
	}
	t.commit(w, digest.FromBytes(data))
	for range 8 {
		<-read
	}
}

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

// testCrash has a process die while it writes: an upload goes on from the start, what nobody can name is gone.
func testCrash(t *blobTest) {
	data := content(700_000)
	upload, transient := t.create(digest.SHA256, "upload"), t.create(digest.SHA256, "")
	t.write(upload, content(300_000))
	t.write(transient, content(300_000))
	t.reopen()
	_, err := t.blobs.Resume(t.Context(), transient.ID())
	t.wantCode("Resume", err, mirror.CodeBlobUploadUnknown)
	if held := t.all(); len(held) != 0 {
		t.Errorf("All lists %v, want nothing", held)
	}
	w := t.resume(upload.ID())
	if w.Size() != 0 || w.Label() != "upload" {
		t.Errorf("resumed with size %d, label %q; want 0, upload", w.Size(), w.Label())
	}
	t.write(w, data)
	t.commit(w, digest.FromBytes(data))
	t.wantBlob(digest.FromBytes(data), data)
}

// testCrashAfterResume drops what was written since the last Suspend.
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
		"", ".", "..", "../../etc/passwd", uuid.NewString(), w.ID() + "/", "./" + w.ID(), "x/../" + w.ID(),
		w.ID() + ".state", "{" + w.ID() + "}", "urn:uuid:" + w.ID(), w.ID()[1:],
	} {
		_, err := t.blobs.Resume(t.Context(), id)
		t.wantCode("Resume of "+id, err, mirror.CodeBlobUploadUnknown)
	}
	t.resume(w.ID())
}
