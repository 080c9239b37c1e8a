package bundle_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

func TestWriteAndRead(t *testing.T) {
	c, contents, data := someBundle(t)
	for name, packed := range map[string][]byte{"plain": data, "gzip": gzipped(t, data), "zstd": zstded(t, data)} {
		t.Run(name, func(t *testing.T) {
			r, err := bundle.Open(struct{ io.Reader }{bytes.NewReader(packed)}, bundle.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind() != bundle.KindBundle || !reflect.DeepEqual(r.Document(), contents.Document) {
				t.Errorf("read a %s with %+v, wrote %+v", r.Kind(), r.Document(), contents.Document)
			}
			if _, signature := r.Raw(); signature != nil {
				t.Errorf("signature %q", signature)
			}
			c.holds(t, readAll(t, r))
			if r.Offset() != int64(len(data)) {
				t.Errorf("%d bytes were read of %d", r.Offset(), len(data))
			}
		})
	}
}

func TestManifestsComeFirst(t *testing.T) {
	_, contents, data := someBundle(t)
	want := []string{bundle.LayoutName, bundle.IndexName, bundle.DocumentName, bundle.DockerName}
	for _, m := range contents.Document.Manifests {
		want = append(want, "blobs/sha256/"+m.Digest.Encoded())
	}
	for _, b := range contents.Document.Blobs {
		want = append(want, "blobs/sha256/"+b.Digest.Encoded())
	}
	if got := names(t, data); !slices.Equal(got, want) {
		t.Errorf("entries are %q\nwant %q", got, want)
	}
}

func TestBundlesAreReproducible(t *testing.T) {
	c, images := some(t)
	first := c.document(slices.Clone(images))
	slices.Reverse(images)
	for i := range images {
		images[i].Platforms = slices.Clone(images[i].Platforms)
		slices.Reverse(images[i].Platforms)
	}
	second := c.document(images)
	second.Created, second.Host, second.Tool = first.Created.Add(time.Hour), "elsewhere", "mirror 2"
	one, other := c.compose(t, first), c.compose(t, second)
	if first.ID != second.ID {
		t.Errorf("ids are %s and %s", first.ID, second.ID)
	}
	a, b := entries(t, c.write(t, one)), entries(t, c.write(t, other))
	for name := range a {
		if same := a[name] == b[name]; same == (name == bundle.DocumentName) {
			t.Errorf("%s is the same: %t", name, same)
		}
	}
	second.Sequence++
	if c.compose(t, second); first.ID == second.ID {
		t.Error("another bundle has the same id")
	}
}

func TestSkipEntries(t *testing.T) {
	_, contents, data := someBundle(t)
	path := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, in := range map[string]io.Reader{"pipe": struct{ io.Reader }{bytes.NewReader(data)}, "file": file} {
		t.Run(name, func(t *testing.T) {
			r, err := bundle.Open(in, bundle.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for ; ; n++ {
				e, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if n%2 == 0 { // read some in part
					if _, err := io.CopyN(io.Discard, e, e.Size/2); err != nil {
						t.Fatal(err)
					}
				}
			}
			if want := len(contents.Document.Manifests) + len(contents.Document.Blobs); n != want {
				t.Errorf("%d entries, want %d", n, want)
			}
		})
	}
}

func TestWriteChecksSizes(t *testing.T) {
	c, images := some(t)
	for _, change := range []int64{1, -1} {
		doc := c.document(images)
		for i := range doc.Blobs {
			if doc.Blobs[i].Size > 1 {
				doc.Blobs[i].Size += change
				break
			}
		}
		err := bundle.Write(t.Context(), io.Discard, c.compose(t, doc), c.open)
		if mirror.CodeOf(err) != mirror.CodeSizeInvalid {
			t.Errorf("writing a blob that is listed with %+d bytes: %v", change, err)
		}
	}
}

func TestReaderErrorsAreUnchanged(t *testing.T) {
	_, _, data := someBundle(t)
	broken := errors.New("the disk is broken")
	for _, packed := range [][]byte{data, gzipped(t, data), zstded(t, data)} {
		for _, n := range []int{0, 3, 600, 2000, len(packed) - 10} {
			r, err := bundle.Open(io.MultiReader(bytes.NewReader(packed[:n]), failing{broken}), bundle.Limits{})
			for err == nil {
				_, err = r.Next()
			}
			if !errors.Is(err, broken) || mirror.CodeOf(err) != mirror.CodeUnknown {
				t.Errorf("after %d bytes: %v", n, err)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstded(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// names returns the names of the entries of a tar.
func names(t testing.TB, data []byte) (names []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Uname != "" || h.Mode != 0o644 || h.ModTime.Unix() != 0 {
			t.Errorf("%s has the header %+v", h.Name, h)
		}
		names = append(names, h.Name)
	}
}

// entries returns the content of the entries of a tar by name.
func entries(t testing.TB, data []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		var content strings.Builder
		if _, err := io.Copy(&content, r); err != nil {
			t.Fatal(err)
		}
		got[h.Name] = content.String()
	}
}
