package cachetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
)

// Blobs is what every implementation of [cache.Blobs] must pass. open returns what is kept under dir, a folder of the
// test; opened again with the same dir it must show what a new process would find after the death of the one before,
// whose writers are left as they are.
func Blobs(t *testing.T, open func(t *testing.T, dir string) cache.Blobs) {
	for _, test := range []struct {
		name string
		run  func(*blobTest)
	}{
		{"Commit", testCommit},
		{"CommitUnderOtherAlgorithm", testCommitOtherAlgorithm},
		{"CommitTwice", testCommitTwice},
		{"CommitAtOnce", testCommitAtOnce},
		{"CommitOfWrongDigest", testCommitWrong},
		{"CommitCancelled", testCommitCancelled},
		{"Abort", testAbort},
		{"AfterEnd", testAfterEnd},
		{"Verify", testVerify},
		{"ReadFromFailing", testReadFromFailing},
		{"Tail", testTail},
		{"TailWhileWriting", testTailWhileWriting},
		{"SuspendAndResume", testSuspend},
		{"CrashWhileWriting", testCrash},
		{"CrashAfterResume", testCrashAfterResume},
		{"ResumeUnknown", testResumeUnknown},
		{"Unknown", testUnknown},
		{"InvalidDigest", testInvalid},
		{"Delete", testDelete},
		{"All", testAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			bt := &blobTest{T: t, open: open, dir: t.TempDir()}
			bt.reopen()
			test.run(bt)
		})
	}
}

// blobTest is one test with the store that it is about.
type blobTest struct {
	*testing.T
	open  func(t *testing.T, dir string) cache.Blobs
	dir   string
	blobs cache.Blobs
}

// in is the same test inside of a subtest.
func (t *blobTest) in(st *testing.T) *blobTest {
	return &blobTest{T: st, open: t.open, dir: t.dir, blobs: t.blobs}
}

// reopen does what a new process does.
func (t *blobTest) reopen() { t.blobs = t.open(t.T, t.dir) }

// content returns size bytes that are the same each time and not the same for another size.
func content(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(b)
	return b
}

// create begins a blob that is dropped at the end of the test, should it not have come to an end before.
func (t *blobTest) create(a digest.Algorithm, label string) cache.Writer {
	t.Helper()
	w, err := t.blobs.Create(t.Context(), a, label)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	t.Cleanup(func() { _ = w.Abort() })
	return w
}

func (t *blobTest) resume(id string) cache.Writer {
	t.Helper()
	w, err := t.blobs.Resume(t.Context(), id)
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	t.Cleanup(func() { _ = w.Abort() })
	return w
}

func (t *blobTest) write(w cache.Writer, data []byte) {
	t.Helper()
	before := w.Size()
	if n, err := w.Write(data); err != nil || n != len(data) {
		t.Fatalf("Write of %d bytes = %d, %v", len(data), n, err)
	}
	if got := w.Size() - before; got != int64(len(data)) {
		t.Fatalf("Size grew by %d when %d bytes were written", got, len(data))
	}
}

func (t *blobTest) commit(w cache.Writer, d digest.Digest) {
	t.Helper()
	if err := w.Commit(t.Context(), d); err != nil {
		t.Fatalf("Commit(%s): %v", d, err)
	}
}

func (t *blobTest) suspend(w cache.Writer) {
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

// wantBlob checks that blob d is held and is want.
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
		t.Errorf("read %d bytes (err %v) that are not the %d that were written", len(got), err, len(want))
	}
}

func (t *blobTest) wantCode(doing string, err error, want mirror.Code) {
	t.Helper()
	if err == nil || mirror.CodeOf(err) != want {
		t.Errorf("%s: error %v, want one with code %s", doing, err, want)
	}
}

// wantGone checks that nothing of a blob is left: not under its digest, not as an upload.
func (t *blobTest) wantGone(d digest.Digest, id string) {
	t.Helper()
	_, err := t.blobs.Stat(t.Context(), d)
	t.wantCode("Stat", err, mirror.CodeBlobUnknown)
	_, err = t.blobs.Open(t.Context(), d)
	t.wantCode("Open", err, mirror.CodeBlobUnknown)
	_, err = t.blobs.Resume(t.Context(), id)
	t.wantCode("Resume", err, mirror.CodeBlobUploadUnknown)
}

// all collects what All yields.
func (t *blobTest) all() map[digest.Digest]int64 {
	t.Helper()
	held := map[digest.Digest]int64{}
	for e, err := range t.blobs.All(t.Context()) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		if _, twice := held[e.Digest]; twice {
			t.Errorf("All lists %s twice", e.Digest)
		}
		held[e.Digest] = e.Size
	}
	return held
}

func testUnknown(t *blobTest) {
	for _, d := range []digest.Digest{digest.FromString("nobody"), digest.SHA512.FromString("nobody")} {
		t.wantGone(d, "")
		if err := t.blobs.Delete(t.Context(), d); err != nil {
			t.Errorf("Delete of a blob that is not there: %v", err)
		}
	}
	if held := t.all(); len(held) != 0 {
		t.Errorf("All of an empty store lists %v", held)
	}
}

func testInvalid(t *blobTest) {
	for _, d := range []digest.Digest{
		"", "sha256", "sha256:", "sha256:abc", "sha256:../../../../etc/passwd", "md5:d41d8cd98f00b204e9800998ecf8427e",
		digest.Digest("sha256:" + strings.Repeat("/", 64)), digest.Digest("sha256:" + strings.Repeat("A", 64)),
		digest.Digest("sha384:" + strings.Repeat("a", 96)), digest.Digest("../x:" + strings.Repeat("a", 64)),
	} {
		t.Run(d.String(), func(st *testing.T) {
			t := t.in(st)
			if _, err := t.blobs.Stat(t.Context(), d); err == nil {
				t.Error("Stat succeeded")
			}
			if blob, err := t.blobs.Open(t.Context(), d); err == nil {
				blob.Close()
				t.Error("Open succeeded")
			}
			t.wantCode("Verify", t.create(digest.SHA256, "").Verify(d), mirror.CodeDigestInvalid)
			t.wantCode("Commit", t.create(digest.SHA256, "").Commit(t.Context(), d), mirror.CodeDigestInvalid)
			if err := t.blobs.Delete(t.Context(), d); err == nil {
				t.Error("Delete succeeded")
			}
		})
	}
	for _, a := range []digest.Algorithm{"", "md5", digest.SHA384} {
		if _, err := t.blobs.Create(t.Context(), a, ""); err == nil {
			t.Errorf("Create with algorithm %q succeeded", a)
		}
	}
}

func testDelete(t *blobTest) {
	data := content(300_000)
	d, other := t.put(data), t.put(content(10))
	reader, err := t.blobs.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := t.blobs.Delete(t.Context(), d); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	t.wantGone(d, "")
	t.wantRead(reader, data) // who was reading goes on
	t.wantBlob(other, content(10))
	t.wantBlob(t.put(data), data) // and it may come again
}

func testAll(t *blobTest) {
	want := map[digest.Digest]int64{}
	for size := range 40 {
		want[t.put(content(size))] = int64(size)
	}
	w := t.create(digest.SHA512, "")
	t.write(w, content(7))
	t.commit(w, digest.SHA512.FromBytes(content(7)))
	want[digest.SHA512.FromBytes(content(7))] = 7
	t.write(t.create(digest.SHA256, "under way"), content(100))
	t.write(t.create(digest.SHA256, ""), content(100))

	held := t.all()
	if len(held) != len(want) {
		t.Errorf("All lists %d blobs, want %d", len(held), len(want))
	}
	for d, size := range want {
		if got, ok := held[d]; !ok || got != size {
			t.Errorf("All lists %s: %v with size %d, want %d", d, ok, got, size)
		}
	}
	n := 0
	for range t.blobs.All(t.Context()) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("All yielded %d blobs to a loop that ended after 3", n)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range t.blobs.All(cancelled) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("All ended with %v when its context was cancelled", last)
	}
}
