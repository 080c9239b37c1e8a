package cachetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// blobSizes include the likely sizes of buffers.
var blobSizes = []int{0, 1, 1500, 256<<10 - 1, 256 << 10, 256<<10 + 1, 2<<20 + 7}

// fills are the ways to write a blob.
var fills = []struct {
	name string
	fill func(t *blobTest, w backend.Writer, data []byte)
}{
	{"Write", func(t *blobTest, w backend.Writer, data []byte) { t.write(w, data) }},
	{"WriteChunks", func(t *blobTest, w backend.Writer, data []byte) {
		chunk := make([]byte, 32<<10-3)
		for r := bytes.NewReader(data); r.Len() > 0; {
			n, _ := r.Read(chunk)
			t.write(w, chunk[:n])
			clear(chunk) // a Writer must not retain the slice
		}
	}},
	{"ReadFrom", func(t *blobTest, w backend.Writer, data []byte) { t.readFrom(w, bytes.NewReader(data), len(data)) }},
	{"ReadFromHalves", func(t *blobTest, w backend.Writer, data []byte) {
		t.readFrom(w, iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(data))), len(data))
	}},
	{"Both", func(t *blobTest, w backend.Writer, data []byte) {
		third := len(data) / 3
		t.write(w, data[:third])
		t.readFrom(w, bytes.NewReader(data[third:2*third]), third)
		t.write(w, data[2*third:])
	}},
}

func (t *blobTest) readFrom(w backend.Writer, r io.Reader, want int) {
	t.Helper()
	if n, err := w.ReadFrom(r); err != nil || n != int64(want) {
		t.Fatalf("ReadFrom = %d, %v; want %d", n, err, want)
	}
}

func testCommit(t *blobTest) {
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, fill := range fills {
			t.Run(fmt.Sprintf("%s/%s", a, fill.name), func(st *testing.T) {
				t := t.in(st)
				t.dir = t.TempDir()
				t.reopen()
				written := map[digest.Digest][]byte{}
				for _, size := range blobSizes {
					data := content(size)
					d := a.FromBytes(data)
					w := t.create(a, "")
					fill.fill(t, w, data)
					t.commit(w, d)
					t.wantBlob(d, data)
					written[d] = data
				}
				t.reopen()
				for d, data := range written {
					t.wantBlob(d, data)
				}
			})
		}
	}
}

func testUseAfterEnd(t *blobTest) {
	data, d := []byte("data"), digest.FromString("data")
	for _, end := range []struct {
		name string
		end  func(backend.Writer) error
	}{
		{"Commit", func(w backend.Writer) error { return w.Commit(t.Context(), d) }},
		{"Suspend", backend.Writer.Suspend},
		{"Abort", backend.Writer.Abort},
	} {
		t.Run(end.name, func(st *testing.T) {
			t := t.in(st)
			w := t.create(digest.SHA256, "label")
			t.write(w, data)
			if err := end.end(w); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(data); err == nil {
				t.Error("Write succeeded")
			}
			if _, err := w.ReadFrom(bytes.NewReader(data)); err == nil {
				t.Error("ReadFrom succeeded")
			}
			if _, err := w.Digest(); err == nil {
				t.Error("Digest succeeded")
			}
			if w.Suspend() == nil || w.Commit(t.Context(), d) == nil {
				t.Error("Suspend or Commit succeeded")
			}
			if err := w.Abort(); err != nil {
				t.Errorf("Abort: %v", err)
			}
			switch end.name {
			case "Commit":
				t.wantBlob(d, data)
				_ = t.blobs.Delete(t.Context(), d)
			case "Suspend":
				t.commit(t.resume(w.ID()), d)
				_ = t.blobs.Delete(t.Context(), d)
			default:
				t.wantAbsent(d, w.ID())
			}
		})
	}
}

func testVerify(t *blobTest) {
	data := content(1 << 20)
	w := t.create(digest.SHA256, "")
	check := func(written []byte) {
		t.Helper()
		if got, err := w.Digest(); err != nil || got != digest.FromBytes(written) {
			t.Errorf("Digest of %d bytes = %s, %v", len(written), got, err)
		}
		t.wantCode("Verify", w.Verify(digest.FromString("wrong")), mirror.CodeDigestInvalid)
		for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			if err := w.Verify(a.FromBytes(written)); err != nil {
				t.Errorf("Verify: %v", err)
			}
			t.wantCode("Verify", w.Verify(a.FromString("wrong")), mirror.CodeDigestInvalid)
		}
	}
	check(nil)
	t.write(w, data[:700_000])
	check(data[:700_000])
	if err := w.Verify(digest.FromBytes(data[:700_000])); err != nil {
		t.Errorf("Verify: %v", err)
	}
	t.write(w, data[700_000:]) // which ends the verification
	t.wantCode("Verify", w.Verify(digest.FromBytes(data[:700_000])), mirror.CodeDigestInvalid)
	check(data)
	t.commit(w, digest.FromBytes(data))
	t.wantBlob(digest.FromBytes(data), data)
}

func testReadFromFailing(t *blobTest) {
	data := content(500_000)
	w := t.create(digest.SHA256, "")
	broken := errors.New("connection reset")
	n, err := w.ReadFrom(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)))
	if n != int64(len(data)) || !errors.Is(err, broken) {
		t.Errorf("ReadFrom = %d, %v; want %d, %v", n, err, len(data), broken)
	}
	if w.Size() != int64(len(data)) {
		t.Errorf("Size = %d, want %d", w.Size(), len(data))
	}
	t.write(w, []byte("rest"))
	whole := append(data, "rest"...)
	t.commit(w, digest.FromBytes(whole))
	t.wantBlob(digest.FromBytes(whole), whole)
}
