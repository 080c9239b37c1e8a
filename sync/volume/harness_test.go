package volume_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"airmirror/sync/volume"
)

// content returns n bytes without equal blocks.
func content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// save writes a stream in pieces of odd sizes and returns the volumes.
func save(t testing.TB, path string, stream []byte, size int64, info volume.Options) []volume.Description {
	t.Helper()
	w, err := volume.Create(path, size, info)
	if err != nil {
		t.Fatal(err)
	}
	for piece := 1; len(stream) > 0; piece = piece*3 + 1 {
		n, err := w.Write(stream[:min(piece, len(stream))])
		if err != nil {
			t.Fatal(err)
		}
		stream = stream[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	return w.Volumes()
}

// read reads a volume to its end or an error.
func read(path string) ([]byte, error) {
	v, err := volume.Open(path)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return io.ReadAll(v)
}

// cat concatenates all files that a pattern matches.
func cat(t testing.TB, pattern string) []byte {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, path := range paths {
		all = append(all, load(t, path)...)
	}
	return all
}

func load(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func store(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit changes one field of a description.
func edit(t testing.TB, path, field string, value any) {
	t.Helper()
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(load(t, path)))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	fields[field] = value
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	store(t, path, b)
}

// memoryDir returns a folder in memory, if the system has one: fsync takes no time there.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "volume")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// names returns the names of the files in a folder.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
