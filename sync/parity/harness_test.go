package parity_test

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"airmirror/sync/parity"
)

const block = 4 << 10

// content returns n bytes without equal blocks.
func content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// protect writes a file and its parity.
func protect(t testing.TB, data []byte, redundancy float64) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "b.tar")
	store(t, path, data)
	if _, err := parity.Write(path, sha256.Sum256(data), redundancy); err != nil {
		t.Fatal(err)
	}
	return path
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

// hasOnly fails the test unless the folder has the file with this content, and its parity with that one.
func hasOnly(t testing.TB, path string, data, beside []byte) {
	t.Helper()
	if got := load(t, path); !bytes.Equal(got, data) {
		t.Errorf("the file has %d bytes and differs from the %d of the original", len(got), len(data))
	}
	if got := load(t, parity.Path(path)); !bytes.Equal(got, beside) {
		t.Errorf("the parity has %d bytes and differs from the %d of the original", len(got), len(beside))
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 2 {
		t.Errorf("files: %v (%v)", entries, err)
	}
}

// damages are what happens to disks, each within a part of the file from an offset on.
var damages = map[string]func(random *rand.Rand, b []byte) []byte{
	"a flipped bit": func(random *rand.Rand, b []byte) []byte {
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		return b
	},
	"a zeroed sector": func(random *rand.Rand, b []byte) []byte {
		at := random.IntN(len(b)) / block * block
		clear(b[at:min(at+block, len(b))])
		return b
	},
	"a cut off tail": func(random *rand.Rand, b []byte) []byte { return b[:len(b)-random.IntN(min(len(b), 2*block))-1] },
	"a longer tail":  func(_ *rand.Rand, b []byte) []byte { return append(b, "what was here before"...) },
	"two swapped sectors": func(random *rand.Rand, b []byte) []byte {
		first, second := random.IntN(len(b))/block*block, random.IntN(len(b))/block*block
		n := min(block, len(b)-first, len(b)-second)
		kept := bytes.Clone(b[first : first+n])
		copy(b[first:first+n], b[second:second+n])
		copy(b[second:second+n], kept)
		return b
	},
	"a lost beginning": func(_ *rand.Rand, b []byte) []byte { clear(b[:min(block, len(b))]); return b },
}
