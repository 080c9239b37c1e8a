package mirror

import (
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Answer is a manifest that is served to a client.
type Answer struct {
	Manifest
	// Repo is the repository in which it was found.
	Repo Repo
	// Stale is why the manifest could not be revalidated although its TTL has passed; nil if it is current.
	Stale error
}

// Put is a manifest that a client pushes.
type Put struct {
	Repo      Repo
	Digest    digest.Digest // stated by the client; if empty, it is the sha256 of the bytes
	MediaType string        // stated by the client; may be empty
	Bytes     []byte
	Spool     *Spool // the bytes, if they are not in Bytes; the caller closes it
	Tags      []string
}

// Size returns the size of the manifest in bytes.
func (p *Put) Size() int {
	if p.Spool != nil {
		return int(p.Spool.size)
	}
	return len(p.Bytes)
}

// Listing is a list that may lack the items of an upstream.
type Listing[T any] struct {
	Items []T
	// More reports whether the list continues, if the number of items does not tell.
	More bool
	// Stale is why the upstream could not be asked; nil if it was, or need not be.
	Stale error
	// Refused is the answer of an upstream that has no such list, or denies it; nil otherwise.
	Refused error
}

// DescriptorSize returns an upper bound for the size of a descriptor as JSON, in bytes.
func DescriptorSize(desc v1.Descriptor) int {
	size := 256 + len(desc.MediaType) + len(desc.ArtifactType) + len(desc.Digest)
	for k, v := range desc.Annotations {
		size += 2*len(k) + 2*len(v) + 8
	}
	return size
}

// Span is a range of a blob that a client requests, in bytes.
type Span struct{ Off, Len int64 }
