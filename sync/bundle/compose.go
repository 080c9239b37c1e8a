package bundle

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
)

// LayoutJSON is the content of oci-layout.
const LayoutJSON = `{"imageLayoutVersion":"1.0.0"}`

// Contents is everything in a bundle but manifests and blobs, which its document lists.
type Contents struct {
	Document *Document
	Index    []byte // index.json
	Docker   []byte // manifest.json; nil if docker load could load nothing
}

// Compose makes the contents of a bundle from a document in which everything is set but Version, ID and Files, which it
// sets. It sorts what has no order of its own, in place.
//
// load returns manifests that are in the bundle. [mirror.CodeBundleInvalid] for a document that contradicts itself.
func Compose(doc *Document, load func(d digest.Digest) (mediaType string, data []byte, err error)) (*Contents, error) {
	return nil, nil
}

// Size is how many bytes the tar has, with a signature of so many; 0 for none.
func (c *Contents) Size(signature int) int64 { return 0 }

// Write writes a bundle without a signature in one pass. open opens the manifests and blobs that its document lists, in
// that order; each must have the size that is listed there.
func Write(ctx context.Context, w io.Writer, c *Contents, open func(ctx context.Context, d digest.Digest) (io.ReadCloser, error)) error {
	return nil
}

// Copy passes a bundle on. seen, unless it is nil, is called as soon as the document was read. sign, unless it is nil,
// signs bundle.json: so a bundle can be made by one process and signed by another, which has the key.
func Copy(ctx context.Context, w io.Writer, r io.Reader, sign func(document []byte) (signature []byte, err error), seen func(*Document)) (*Document, error) {
	return nil, nil
}
