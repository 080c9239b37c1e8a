package bundle_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// FuzzReader reads any input. It checks that reading ends with an error about the input, or with all content that was
// listed.
func FuzzReader(f *testing.F) {
	c := content{}
	image := c.image(f, "amd64", "layer")
	plain := c.write(f, c.compose(f, c.document([]bundle.Image{{Repository: "a.example/b", Tag: "1", Digest: image.Digest}})))
	f.Add(plain, 7)
	f.Add(copied(f, plain, "signature"), 4000)
	f.Add(c.layoutOf(f, []v1.Descriptor{named(image, v1.AnnotationRefName, "a:1")}), 0)
	f.Add(c.dockerNew(f, image, "a:1"), 0)
	f.Add(dockerOld(f, saved{config(f, "one", "two"), []string{"one", "two"}, []string{"a:1"}}, saved{config(f, "one"), []string{"one"}, nil}), 0)
	f.Add(gzipped(f, plain), 0)
	f.Add(zstded(f, plain), 0)
	limits := bundle.Limits{Document: 1 << 20, Index: 1 << 20, Kept: 1 << 20, Entries: 1000, MaxBytes: 1 << 24}
	f.Fuzz(func(t *testing.T, data []byte, offset int) {
		if offset%2 == 0 {
			data = summed(data)
		}
		r, err := bundle.Open(bytes.NewReader(data), limits)
		for err == nil {
			var e *bundle.Entry
			if e, err = r.Next(); err == nil {
				e.SetDigest(fuzzEntry(t, e))
			}
		}
		if err == io.EOF {
			_, err = r.Roots()
		}
		if err != nil && err != io.EOF && mirror.CodeOf(err) != mirror.CodeBundleInvalid {
			t.Fatalf("error %v of code %s", err, mirror.CodeOf(err))
		}
		if r == nil || r.Document() == nil || offset < 0 || offset > len(data) {
			return
		}
		document, signature := r.Raw()
		again, err := bundle.Continue(bytes.NewReader(data[offset:]), document, signature, int64(offset), limits)
		for err == nil {
			_, err = again.Next()
		}
	})
}

// summed corrects the checksums of headers, so that changed headers are parsed.
func summed(data []byte) []byte {
	data = bytes.Clone(data)
	for start := 0; start+512 <= len(data); start += 512 {
		block := data[start : start+512]
		if string(block[257:262]) != "ustar" {
			continue
		}
		sum := 8 * int(' ')
		for i, b := range block {
			if i < 148 || i >= 156 {
				sum += int(b)
			}
		}
		copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
	return data
}

func fuzzEntry(t *testing.T, e *bundle.Entry) digest.Digest {
	n, err := io.Copy(io.Discard, e)
	if err == nil && n+e.Skipped != e.Size {
		t.Fatalf("%s has %d bytes, %d were read", e.Digest, e.Size, n)
	}
	if e.Digest != "" {
		return e.Digest
	}
	return digest.FromString("something")
}
