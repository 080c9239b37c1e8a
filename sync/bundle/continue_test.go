package bundle_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/sync/bundle"
)

// TestContinueAtAnyByte reads a bundle as two volumes, for nearly every position of the cut. Of positions that are
// alike, it tests some.
func TestContinueAtAnyByte(t *testing.T) {
	t.Parallel()
	c := content{}
	image := c.image(t, "amd64", "", "layer")
	contents := c.compose(t, c.document([]bundle.Image{{Repository: "a.example/b", Tag: "1", Digest: image.Digest}}))
	plain := c.write(t, contents)
	signed := copied(t, plain, "untrusted comment: x\nRW…\n")
	for _, data := range [][]byte{plain, signed} {
		document, signature := raw(t, data)
		step := 1
		if signature == nil {
			step = 31 // the other one covers the same cases
		}
		for offset := 0; offset <= len(data); offset += step {
			if offset%8 > 1 && within(data, offset) {
				continue
			}
			seeks := offset%2 == 0
			got := content{}
			half := map[digest.Digest][]byte{}
			first, err := bundle.Open(reader(data[:offset], seeks), bundle.Limits{})
			if err == nil {
				err = got.readPart(t, first, half)
				if first.Offset() != int64(offset) {
					t.Fatalf("cut at %d: %d bytes were read: %v", offset, first.Offset(), err)
				}
			}
			if (offset == len(data)) != (err == io.EOF) || offset < len(data) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d: %v", offset, err)
			}
			second, err := bundle.Continue(reader(data[offset:], seeks), document, signature, int64(offset), bundle.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if err := got.readPart(t, second, half); err != io.EOF {
				t.Fatalf("continued at %d: %v", offset, err)
			}
			c.holds(t, got)
		}
	}
}

// within reports whether an offset is surrounded by content only, or by padding only.
func within(data []byte, offset int) bool {
	const near = 8
	if offset < near || offset+near > len(data) || (offset+near)%512 <= 2*near {
		return false
	}
	zeros := bytes.Count(data[offset-near:offset+near], []byte{0})
	return zeros == 0 || zeros == 2*near
}

// readPart reads to the end of r. half is the beginning of an entry from the previous part.
func (c content) readPart(t *testing.T, r *bundle.Reader, half map[digest.Digest][]byte) error {
	t.Helper()
	for {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if int64(len(half[e.Digest])) != e.Skipped {
			t.Fatalf("%d bytes of %s are skipped, %d were read", e.Skipped, e.Digest, len(half[e.Digest]))
		}
		data, err := io.ReadAll(e)
		half[e.Digest] = append(half[e.Digest], data...)
		if err == nil {
			c.take(t, e, half[e.Digest])
		}
	}
}

func reader(data []byte, seeks bool) io.Reader {
	if seeks {
		return bytes.NewReader(data)
	}
	return struct{ io.Reader }{bytes.NewReader(data)}
}

func raw(t *testing.T, data []byte) (document, signature []byte) {
	t.Helper()
	r, err := bundle.Open(bytes.NewReader(data), bundle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Raw()
}

func TestSkipTruncatedEntry(t *testing.T) {
	_, _, data := someBundle(t)
	for _, seeks := range []bool{true, false} {
		for offset := 8 * 512; offset < len(data); offset += 61 {
			r, err := bundle.Open(reader(data[:offset], seeks), bundle.Limits{})
			for err == nil {
				_, err = r.Next()
			}
			if r == nil {
				continue
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) || r.Offset() != int64(offset) {
				t.Fatalf("cut at %d: Offset = %d: %v", offset, r.Offset(), err)
			}
		}
	}
}

func TestContinueOutOfRange(t *testing.T) {
	_, _, data := someBundle(t)
	document, _ := raw(t, data)
	for _, offset := range []int64{-1, int64(len(data)) + 1} {
		_, err := bundle.Continue(bytes.NewReader(nil), document, nil, offset, bundle.Limits{})
		isInvalid(t, err)
	}
	r, err := bundle.Continue(bytes.NewReader(data[1024:]), document, nil, 512, bundle.Limits{}) // the wrong volume
	for err == nil {
		_, err = r.Next()
	}
	isInvalid(t, err)
}
