package bundle

import (
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kind is the kind of an archive.
type Kind string

// Kinds of archives.
const (
	KindBundle Kind = "bundle" // a bundle of this package
	KindLayout Kind = "layout" // an OCI image layout, with or without a manifest.json
	KindDocker Kind = "docker" // an archive of docker save without an index.json
)

// Reader reads manifests and blobs in one pass. It is not safe for concurrent use. The caller has to verify the content
// of entries.
type Reader struct{ source source }

// source yields the entries of one kind of archive.
type source interface {
	kind() Kind
	next() (*Entry, error)
	roots() ([]Root, error)
	setDigest(e *Entry, d digest.Digest)
	offset() int64
	io.Closer
}

// Entry is a manifest or a blob. It can be read until the next call of [Reader.Next].
type Entry struct {
	// Digest is the expected digest. It is empty if it is unknown, as for a layer in an archive of an old docker save.
	// The caller then computes it and calls SetDigest.
	Digest digest.Digest
	// Size is the size in bytes, including Skipped.
	Size int64
	// Manifest says that the entry is a manifest. Outside of a bundle, a manifest may have false.
	Manifest bool
	// Skipped is the number of bytes that were read before [Continue].
	Skipped int64
	// Reader reads the remaining bytes.
	io.Reader

	source source
	name   string
}

// SetDigest tells the reader the digest of an entry whose Digest is empty.
func (e *Entry) SetDigest(d digest.Digest) { e.source.setDigest(e, d) }

// Root is a manifest that an image layout or an archive of docker save lists.
type Root struct {
	// Names are full references as they are written in the archive. There may be none.
	Names []string
	// Tag is the name of the image if it is not a full reference.
	Tag string
	// CosignSuffix says that cosign saved the manifest about another image. It is .sig, .att or .sbom, and is appended
	// to the digest of that image to form the tag. Names are then the names of the image. It is empty for other
	// manifests.
	CosignSuffix string
	// Descriptor is the descriptor of the manifest, from index.json if it is listed there.
	Descriptor v1.Descriptor
	// Data is a manifest that the reader generated, because the archive has none or a wrong one. It is nil otherwise.
	Data []byte
}

// Kind returns the kind of the archive. It may change from [KindDocker] to [KindLayout] until the end of the archive.
func (r *Reader) Kind() Kind { return r.source.kind() }

// Document returns the document of a bundle, or nil for another archive.
func (r *Reader) Document() *Document {
	if s, ok := r.source.(*bundleSource); ok {
		return s.doc
	}
	return nil
}

// Raw returns the bytes of bundle.json and of its signature, which is not verified. Both are nil for other archives,
// and signature is nil for an unsigned bundle.
func (r *Reader) Raw() (document, signature []byte) {
	if s, ok := r.source.(*bundleSource); ok {
		return s.document, s.signature
	}
	return nil, nil
}

// errEntryClosed is returned when an entry is read after the next call of Next.
var errEntryClosed = errors.New("the entry is over: another one was asked for")

// Next returns the next manifest or blob. The previous one need not have been read. At the end of the archive it
// returns io.EOF; for a bundle, this means that the tar contained exactly what the document lists.
func (r *Reader) Next() (*Entry, error) { return r.source.next() }

// Roots returns the manifests that the archive lists, after Next returned io.EOF. It returns nil for a bundle. Roots
// may refer to content that is not in the archive.
func (r *Reader) Roots() ([]Root, error) { return r.source.roots() }

// Offset returns the number of bytes of the uncompressed tar that were read or skipped.
func (r *Reader) Offset() int64 { return r.source.offset() }

// Close closes the files of a folder. It does not close the reader that was passed to [Open].
func (r *Reader) Close() error { return r.source.Close() }
