package files

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
)

// large is the size of the blob of BenchmarkLarge: large enough for the disk to matter.
const large = 256 << 20

// pattern is a large stream that is cheap to generate. It contains a number, so that each blob is different.
type pattern struct {
	data []byte
	left int
}

func newPattern() *pattern {
	p := &pattern{data: make([]byte, 64<<10), left: large}
	_, _ = rand.Read(p.data)
	return p
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.left)], p.data)
	p.left -= n
	return n, nil
}

// BenchmarkLarge stores one large blob, from memory or sent by an HTTP client. The baseline is the minimal cost
// without concurrency: a loop that hashes and writes, and an fsync.
func BenchmarkLarge(b *testing.B) {
	b.Run("sequential", func(b *testing.B) { benchmarkLarge(b, sequential) })
	b.Run("Write", func(b *testing.B) {
		benchmarkLarge(b, func(b *testing.B, f *Files, p *pattern) {
			store(b, f, func(w io.Writer) error {
				_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{p}, make([]byte, 32<<10))
				return err
			})
		})
	})
	b.Run("ReadFrom", func(b *testing.B) {
		benchmarkLarge(b, func(b *testing.B, f *Files, p *pattern) {
			store(b, f, func(w io.Writer) error { _, err := w.(io.ReaderFrom).ReadFrom(p); return err })
		})
	})
	b.Run("HTTP", func(b *testing.B) { benchmarkLarge(b, overHTTP) })
}

func benchmarkLarge(b *testing.B, run func(*testing.B, *Files, *pattern)) {
	f := open(b, b.TempDir())
	b.SetBytes(large)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		p := newPattern()
		b.StartTimer()
		run(b, f, p)
		b.StopTimer()
		for e := range f.All(b.Context()) { // do not fill the disk
			_ = f.Delete(b.Context(), e)
		}
		b.StartTimer()
	}
}

func sequential(b *testing.B, f *Files, p *pattern) {
	file, err := os.Create(filepath.Join(f.root, "sequential"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(h, file)}, p, make([]byte, 256<<10)); err != nil {
		b.Fatal(err)
	}
	h.Sum(nil)
	if err := file.Sync(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	_ = os.Remove(file.Name())
	b.StartTimer()
}

func overHTTP(b *testing.B, f *Files, p *pattern) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		store(b, f, func(w io.Writer) error { _, err := io.Copy(w, r.Body); return err })
	}))
	defer server.Close()
	response, err := http.Post(server.URL, "application/octet-stream", struct{ io.Reader }{p})
	if err != nil {
		b.Fatal(err)
	}
	response.Body.Close()
}

func store(b *testing.B, f *Files, fill func(io.Writer) error) {
	w, err := f.Create(context.Background(), digest.SHA256, "")
	if err == nil {
		err = fill(w)
	}
	if err == nil {
		sum := w.(*writer).hasher.flush()
		err = w.Commit(context.Background(), digest.NewDigest(digest.SHA256, sum))
	}
	if err != nil {
		b.Error(err)
	}
}

// BenchmarkSmall stores blobs of 1.5 KB from 64 goroutines.
func BenchmarkSmall(b *testing.B) {
	f := open(b, b.TempDir())
	b.ReportAllocs()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			data := bytes.Repeat([]byte("x"), 1500)
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				binary.LittleEndian.PutUint64(data, uint64(n))
				store(b, f, func(w io.Writer) error { _, err := w.Write(data); return err })
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
}
