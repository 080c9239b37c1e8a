package bundle

import (
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kind is what a [Reader] found.
type Kind string

// What can be read.
const (
	KindBundle Kind = "bundle" // ours
	KindLayout Kind = "layout" // an OCI image layout, with or without a manifest.json
	KindDocker Kind = "docker" // by docker save, before it wrote layouts
)

// Reader reads manifests and blobs one after the other, in one pass. It is safe for use by one goroutine. What it
// yields is not verified: that is for who stores it.
type Reader struct{ source source }

// source is where entries come from.
type source interface {
	kind() Kind
	next() (*Entry, error)
	roots() ([]Root, error)
	setDigest(e *Entry, d digest.Digest)
	offset() int64
	io.Closer
}

// Entry is a manifest or a blob, to be read until the next call of [Reader.Next].
type Entry struct {
	// Digest is what it is said to be; "" if that is not known, as of a layer in an archive by an old docker save.
	// Whoever stores it says what it was by Known.
	Digest digest.Digest
	// Size is how many bytes it has, those of Skipped included.
	Size int64
	// Manifest says that it is one; false says nothing, but in a bundle.
	Manifest bool
	// Skipped is how many of its bytes were read before [Continue].
	Skipped int64
	// Reader reads the rest of it.
	io.Reader

	source source
	name   string
}

// SetDigest tells the reader what an entry without a digest turned out to be.
func (e *Entry) SetDigest(d digest.Digest) { e.source.setDigest(e, d) }

// Root is a manifest that an image layout or an archive by docker save names, or has for its own sake.
type Root struct {
	// Names are full references as they were written; there may be none.
	Names []string
	// Tag is what it was called if that is no full reference.
	Tag string
	// CosignSuffix says that it is about another image, in the way of cosign, and goes under a tag that is made of that image's
	// digest with this behind: .sig, .att or .sbom. Its names, if it has any, are those of the image. "" for all else.
	CosignSuffix string
	// Descriptor is that of the manifest, as index.json has it if it does.
	Descriptor v1.Descriptor
	// Data is the manifest if the archive had none and it had to be made, or none that fits its layers: nil otherwise.
	Data []byte
}

// Kind says what is being read. An image layout may turn out to be one only at its end: it is [KindDocker] until then.
func (r *Reader) Kind() Kind { return r.source.kind() }

// Document is that of a bundle; nil for anything else.
func (r *Reader) Document() *Document {
	if s, ok := r.source.(*bundleSource); ok {
		return s.doc
	}
	return nil
}

// Raw returns bundle.json and its signature as they came. Both are nil for what is not a bundle, and the signature for
// one that is not signed. Nobody has verified it.
func (r *Reader) Raw() (document, signature []byte) {
	if s, ok := r.source.(*bundleSource); ok {
		return s.document, s.signature
	}
	return nil, nil
}

// errEntryClosed is what comes of reading an entry too late.
var errEntryClosed = errors.New("the entry is over: another one was asked for")

// Next returns the next manifest or blob, whether or not the one before it was read. After the last one it returns
// io.EOF, and only if everything that was announced came and nothing else: of a bundle, exactly what its document lists.
func (r *Reader) Next() (*Entry, error) { return r.source.next() }

// Roots returns what an image layout or an archive by docker save has, after Next returned io.EOF; nil for a bundle.
// That their manifests and blobs came is not checked: what is not there may be held already.
func (r *Reader) Roots() ([]Root, error) { return r.source.roots() }

// Offset is how many bytes of the tar were read or skipped so far, as they are without compression.
func (r *Reader) Offset() int64 { return r.source.offset() }

// Close lets go of what the reader has opened itself, which is nothing but files of a folder.
func (r *Reader) Close() error { return r.source.Close() }
