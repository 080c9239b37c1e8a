package bundle_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"airmirror/sync/bundle"
)

// copied copies a bundle and signs it.
func copied(t testing.TB, data []byte, signature string) []byte {
	t.Helper()
	var out bytes.Buffer
	sign := func([]byte) ([]byte, error) { return []byte(signature), nil }
	if _, err := bundle.Copy(t.Context(), &out, bytes.NewReader(data), sign, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCopySigns(t *testing.T) {
	c, contents, data := someBundle(t)
	for _, signature := range []string{"first", "second, in its place"} {
		var out bytes.Buffer
		var document []byte
		var announced int64
		sign := func(data []byte) ([]byte, error) { document = data; return []byte(signature), nil }
		seen := func(doc *bundle.Document, size int64) error {
			if doc.ID != contents.Document.ID || out.Len() > 0 {
				t.Errorf("saw %s of %d bytes after %d bytes", doc.ID, size, out.Len())
			}
			announced = size
			return nil
		}
		if _, err := bundle.Copy(t.Context(), &out, bytes.NewReader(data), sign, seen); err != nil {
			t.Fatal(err)
		}
		data = out.Bytes()
		if int64(len(data)) != announced {
			t.Errorf("the copy has %d bytes, %d were announced", len(data), announced)
		}
		r, err := bundle.Open(bytes.NewReader(data), bundle.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got, gotSignature := r.Raw(); !bytes.Equal(got, document) || string(gotSignature) != signature {
			t.Errorf("signed %q, got signature %q", document, gotSignature)
		}
		c.holds(t, readAll(t, r))
	}
	if got := names(t, data); got[2] != bundle.DocumentName || got[3] != bundle.SignatureName {
		t.Errorf("entries are %q", got[:4])
	}
}

func TestCopyChangesNothingElse(t *testing.T) {
	_, _, data := someBundle(t)
	signed := copied(t, data, "signature")
	for _, data := range [][]byte{data, signed} {
		var out bytes.Buffer
		if _, err := bundle.Copy(t.Context(), &out, bytes.NewReader(gzipped(t, data)), nil, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), data) {
			t.Error("the copy is another one")
		}
	}
}

func TestCopyTruncatedBundle(t *testing.T) {
	_, _, data := someBundle(t)
	for n := 0; n < len(data); n += 97 {
		_, err := bundle.Copy(t.Context(), io.Discard, bytes.NewReader(data[:n]), nil, nil)
		if err == nil {
			t.Fatalf("%d bytes of %d were accepted as a bundle", n, len(data))
		}
	}
	_, err := bundle.Copy(t.Context(), io.Discard, bytes.NewReader(append(data, 0)), nil, nil)
	isInvalid(t, err)
	broken := errors.New("no key")
	_, err = bundle.Copy(t.Context(), io.Discard, bytes.NewReader(data), func([]byte) ([]byte, error) { return nil, broken }, nil)
	if !errors.Is(err, broken) {
		t.Errorf("a signature that cannot be made: %v", err)
	}
}
