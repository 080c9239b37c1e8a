package cachetest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Blobs tests an implementation of [backend.Blobs]. open opens the blobs in dir, a folder of the test. If it opens
// the same dir again, it must return what a new process would find after the previous one died. The writers of the
// previous one are left as they are.
func Blobs(t *testing.T, open func(t *testing.T, dir string) backend.Blobs) {
	for _, test := range []struct {
		name string
		run  func(*blobTest)
	}{
		{"Commit", testCommit},
		{"CommitUnderOtherAlgorithm", testCommitOtherAlgorithm},
		{"CommitTwice", testCommitTwice},
		{"ConcurrentCommits", testConcurrentCommits},
		{"CommitOfWrongDigest", testCommitOfWrongDigest},
		{"CommitCanceled", testCommitCancelled},
		{"Abort", testAbort},
		{"UseAfterEnd", testUseAfterEnd},
		{"Verify", testVerify},
		{"ReadFromFailing", testReadFromFailing},
		{"Tail", testTail},
		{"TailWhileWriting", testTailWhileWriting},
		{"SuspendAndResume", testSuspend},
		{"EmptyUpload", testEmptyUpload},
		{"CrashWhileWriting", testCrash},
		{"CrashAfterResume", testCrashAfterResume},
		{"ResumeUnknown", testResumeUnknown},
		{"SuspendPartial", testSuspendPartial},
		{"ResumeEarlierPartial", testResumeEarlierPartial},
		{"FailedCommitOfPartial", testFailedCommitOfPartial},
		{"CommitOfPartialTwice", testCommitOfPartialTwice},
		{"Uncommit", testUncommit},
		{"ResumeUnknownPartial", testResumeUnknownPartial},
		{"Unknown", testUnknown},
		{"InvalidDigest", testInvalid},
		{"Delete", testDelete},
		{"Quarantine", testQuarantine},
		{"CommitDuringQuarantine", testCommitDuringQuarantine},
		{"All", testAll},
		{"Link", testLink},
		{"LinkOfStoredBlob", testLinkOfStoredBlob},
		{"LinkOfWrongDigest", testLinkOfWrongDigest},
		{"ConcurrentLinks", testConcurrentLinks},
		{"Describe", testDescribe},
		{"Unfinished", testUnfinished},
		{"Discard", testDiscard},
	} {
		t.Run(test.name, func(t *testing.T) {
			bt := &blobTest{T: t, open: open, dir: t.TempDir()}
			bt.reopen()
			test.run(bt)
		})
	}
}

// blobTest is a test of one store of blobs.
type blobTest struct {
	*testing.T
	open  func(t *testing.T, dir string) backend.Blobs
	dir   string
	blobs backend.Blobs
}

// in returns the test for use in a subtest.
func (t *blobTest) in(st *testing.T) *blobTest {
	return &blobTest{T: st, open: t.open, dir: t.dir, blobs: t.blobs}
}

// reopen opens the blobs as a new process would.
func (t *blobTest) reopen() { t.blobs = t.open(t.T, t.dir) }

// content returns size bytes: the same ones each time, and different ones for another size.
func content(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(b)
	return b
}

// create returns a writer, which is aborted at the end of the test if it is still open.
func (t *blobTest) create(a digest.Algorithm, label string) backend.Writer {
	t.Helper()
	w, err := t.blobs.Create(t.Context(), a, label)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	t.Cleanup(func() { _ = w.Abort() })
	return w
}

func (t *blobTest) resume(id string) backend.Writer {
	t.Helper()
	w, err := t.blobs.Resume(t.Context(), id)
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	t.Cleanup(func() { _ = w.Abort() })
	return w
}

func (t *blobTest) write(w backend.Writer, data []byte) {
	t.Helper()
	before := w.Size()
	if n, err := w.Write(data); err != nil || n != len(data) {
		t.Fatalf("Write of %d bytes = %d, %v", len(data), n, err)
	}
	if got := w.Size() - before; got != int64(len(data)) {
		t.Fatalf("Size grew by %d when %d bytes were written", got, len(data))
	}
}

func (t *blobTest) commit(w backend.Writer, d digest.Digest) {
	t.Helper()
	if err := w.Commit(t.Context(), d); err != nil {
		t.Fatalf("Commit(%s): %v", d, err)
	}
}

func (t *blobTest) suspend(w backend.Writer) {
	t.Helper()
	if err := w.Suspend(); err != nil {
		t.Fatalf("Suspend: %v", err)
	}
}

// put stores data under its SHA-256 digest.
func (t *blobTest) put(data []byte) digest.Digest {
	t.Helper()
	w := t.create(digest.SHA256, "")
	t.write(w, data)
	d := digest.FromBytes(data)
	t.commit(w, d)
	return d
}

// wantBlob checks that blob d is stored and that its content is want.
func (t *blobTest) wantBlob(d digest.Digest, want []byte) {
	t.Helper()
	if size, err := t.blobs.Stat(t.Context(), d); err != nil || size != int64(len(want)) {
		t.Errorf("Stat(%s) = %d, %v; want %d", d, size, err, len(want))
	}
	blob, err := t.blobs.Open(t.Context(), d)
	if err != nil {
		t.Fatalf("Open(%s): %v", d, err)
	}
	defer blob.Close()
	if blob.Size != int64(len(want)) {
		t.Errorf("Open(%s) has size %d, want %d", d, blob.Size, len(want))
	}
	t.wantRead(blob, want)
	half := int64(len(want) / 2)
	if at, err := blob.Seek(half, io.SeekStart); err != nil || at != half {
		t.Errorf("Seek(%d) = %d, %v", half, at, err)
	}
	t.wantRead(blob, want[half:])
}

func (t *blobTest) wantRead(r io.Reader, want []byte) {
	t.Helper()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want the %d bytes that were written", len(got), err, len(want))
	}
}

func (t *blobTest) wantCode(doing string, err error, want mirror.Code) {
	t.Helper()
	if err == nil || mirror.CodeOf(err) != want {
		t.Errorf("%s: error %v, want one with code %s", doing, err, want)
	}
}

// wantAbsent checks that a blob is neither stored nor unfinished.
func (t *blobTest) wantAbsent(d digest.Digest, id string) {
	t.Helper()
	_, err := t.blobs.Stat(t.Context(), d)
	t.wantCode("Stat", err, mirror.CodeBlobUnknown)
	_, err = t.blobs.Open(t.Context(), d)
	t.wantCode("Open", err, mirror.CodeBlobUnknown)
	_, err = t.blobs.Resume(t.Context(), id)
	t.wantCode("Resume", err, mirror.CodeBlobUploadUnknown)
}

// all returns the sizes of the blobs that All yields.
func (t *blobTest) all() map[digest.Digest]int64 {
	t.Helper()
	stored, last := map[digest.Digest]int64{}, digest.Digest("")
	for d, err := range t.blobs.All(t.Context()) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		if d <= last {
			t.Errorf("All lists %s after %s", d, last)
		}
		if stored[d], err = t.blobs.Stat(t.Context(), d); err != nil {
			t.Errorf("All lists %s: %v", d, err)
		}
		last = d
	}
	return stored
}
