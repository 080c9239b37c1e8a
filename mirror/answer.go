package mirror

import (
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Answer is a manifest as it is served.
type Answer struct {
	Manifest
	// Repo is the repository under which it was found.
	Repo Repo
	// Stale says why it could not be revalidated though that was due; nil if it is current.
	Stale error
}

// Put is a manifest that a client pushes.
type Put struct {
	Repo      Repo
	Digest    digest.Digest // what the client says it is; sha256 of the bytes if empty
	MediaType string        // what the client says it is; may be empty
	Bytes     []byte
	Spool     *Spool // has the bytes if they are not in memory; it is the caller's to close
	Tags      []string
}

// Size returns how many bytes the manifest has.
func (p *Put) Size() int {
	if p.Spool != nil {
		return int(p.Spool.size)
	}
	return len(p.Bytes)
}

// Listing is a list that may lack what an upstream would add to it.
type Listing[T any] struct {
	Items []T
	// More says whether the list goes on, where that cannot be told from the number of items.
	More bool
	// Stale says why the upstream could not be asked; nil if it was, or need not be.
	Stale error
	// UpstreamRefused says why the upstream listed nothing though it answered: it has no such list, or may not give it. It is nil
	// where it need not be asked.
	Refused error
}

// DescriptorSize estimates the bytes of a descriptor in JSON from above.
func DescriptorSize(desc v1.Descriptor) int {
	size := 256 + len(desc.MediaType) + len(desc.ArtifactType) + len(desc.Digest)
	for k, v := range desc.Annotations {
		size += 2*len(k) + 2*len(v) + 8
	}
	return size
}

// Span is a part of a blob that a client asks for.
type Span struct{ Off, Len int64 }
