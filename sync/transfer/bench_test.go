package transfer_test

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/sync/bundle"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// zeros is a reader of that many zero bytes.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

// large writes a bundle with one image that has count layers of zeros. The first one has size bytes, each other one has
// one byte more than the one before.
func large(t testing.TB, w io.Writer, size int64, count int) error {
	m := newMade()
	sizes := map[digest.Digest]int64{}
	layers := make([]v1.Descriptor, 0, count)
	for i := range int64(count) {
		d, err := digest.FromReader(&zeros{size + i})
		if err != nil {
			t.Fatal(err)
		}
		sizes[d] = size + i
		m.doc.Blobs = append(m.doc.Blobs, bundle.File{Digest: d, Size: size + i})
		layers = append(layers, v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d, Size: size + i})
	}
	m.tag("v1", m.image(t, layers...))
	contents, err := bundle.Compose(&m.doc, func(d digest.Digest) (string, []byte, error) {
		return m.doc.Manifests[0].MediaType, []byte(m.data[d]), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Write(context.Background(), w, contents, func(_ context.Context, d digest.Digest) (io.ReadCloser, error) {
		if size, ok := sizes[d]; ok {
			return io.NopCloser(&zeros{size}), nil
		}
		return io.NopCloser(strings.NewReader(m.data[d])), nil
	})
}

// TestMemoryIsIndependentOfSize counts all allocations, including freed ones.
func TestMemoryIsIndependentOfSize(t *testing.T) {
	s := newSite(t, transfer.Options{})
	const size = 48 << 20
	r, w := io.Pipe()
	go func() { w.CloseWithError(large(t, w, size, 1)) }()
	allocated := func(f func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	const most = size / 2 // with the race detector, pools drop some items
	if n := allocated(func() {
		if _, _, err := s.tryTake(r, transfer.ImportRequest{}); err != nil {
			t.Fatal(err)
		}
	}); n > most {
		t.Errorf("an import allocates %d bytes", n)
	}
	if n := allocated(func() {
		if _, err := s.Export(t.Context(), transfer.ExportRequest{All: true}, nil, io.Discard); err != nil {
			t.Fatal(err)
		}
	}); n > most {
		t.Errorf("an export allocates %d bytes", n)
	}
	if s.tag(app, "v1") == "" {
		t.Error("it did not come in")
	}
}

// BenchmarkImport imports 8 layers of 32 MiB from a file. BenchmarkCopy is the minimum for that: it reads, hashes and writes
// the same bytes once.
func BenchmarkImport(b *testing.B) {
	path, size := largeFile(b)
	b.SetBytes(size)
	for b.Loop() {
		b.StopTimer()
		s := newSite(b, transfer.Options{})
		file, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Import(b.Context(), transfer.ImportRequest{}, file, new(progress.Reporter), ignore); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		file.Close()
		b.StartTimer()
	}
}

func BenchmarkExport(b *testing.B) {
	path, size := largeFile(b)
	s := newSite(b, transfer.Options{})
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if _, err := s.Import(b.Context(), transfer.ImportRequest{}, file, new(progress.Reporter), ignore); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		out, err := os.Create(filepath.Join(b.TempDir(), "out"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Export(b.Context(), transfer.ExportRequest{All: true}, nil, out); err != nil {
			b.Fatal(err)
		}
		if err := out.Sync(); err != nil {
			b.Fatal(err)
		}
		out.Close()
		os.Remove(out.Name())
	}
}

func BenchmarkCopy(b *testing.B) {
	path, size := largeFile(b)
	b.SetBytes(size)
	for b.Loop() {
		in, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		out, err := os.Create(path + ".copy")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{out}, io.TeeReader(in, sha256.New()), make([]byte, 1<<20)); err != nil {
			b.Fatal(err)
		}
		if err := out.Sync(); err != nil {
			b.Fatal(err)
		}
		in.Close()
		out.Close()
		os.Remove(out.Name())
	}
}

func largeFile(b *testing.B) (path string, size int64) {
	file, err := os.Create(filepath.Join(b.TempDir(), "bundle"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if err := large(b, file, 32<<20, 8); err != nil {
		b.Fatal(err)
	}
	size, err = file.Seek(0, io.SeekCurrent)
	if err != nil {
		b.Fatal(err)
	}
	return file.Name(), size
}
