package volume_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"airmirror/sync/volume"
)

// large is the size of the stream of the benchmarks.
const large = 512 * mib

// BenchmarkWrite compares volumes and a plain file with the minimum: writing a file, and an fsync.
func BenchmarkWrite(b *testing.B) {
	for name, size := range map[string]int64{"volumes": large / 4, "plain": 0} {
		b.Run(name, func(b *testing.B) {
			benchmarkWrite(b, func(path string) (io.WriteCloser, error) {
				return volume.Create(path, size, volume.Options{Overwrite: true})
			})
		})
	}
	b.Run("file", func(b *testing.B) {
		benchmarkWrite(b, func(path string) (io.WriteCloser, error) {
			file, err := os.Create(path)
			return synced{file}, err
		})
	})
}

type synced struct{ *os.File }

func (s synced) Close() error {
	if err := s.Sync(); err != nil {
		return err
	}
	return s.File.Close()
}

func benchmarkWrite(b *testing.B, create func(path string) (io.WriteCloser, error)) {
	dir, piece := b.TempDir(), content(64<<10)
	b.SetBytes(large)
	b.ReportAllocs()
	for b.Loop() {
		w, err := create(filepath.Join(dir, "b"))
		for n := 0; n < large && err == nil; n += len(piece) {
			_, err = w.Write(piece)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead compares reading a volume with and without its description, from the page cache.
func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "b")
	save(b, path, content(large), large, volume.Options{})
	for _, name := range []string{"checked", "unchecked"} {
		b.Run(name, func(b *testing.B) {
			if name == "unchecked" {
				_ = os.Rename(path+"-001.json", path+".json")
			}
			b.SetBytes(large)
			b.ReportAllocs()
			buffer := make([]byte, 64<<10)
			for b.Loop() {
				v, err := volume.Open(path + ".001")
				if err == nil {
					_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{v}, buffer)
					v.Close()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
