package mirror

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Upstream is where misses are fetched from: the registries that a mirror is configured to know, found by the host of
// the repository. It never dials any other. All of it may be used concurrently.
//
// An [Error] with [CodeManifestUnknown], [CodeBlobUnknown] or [CodeNameUnknown] is an upstream's own word that it does
// not have the content, or may not give it to this mirror; [CodeNameUnknown] also says that no upstream is configured
// for the host, which costs no dial. Any other error, [CodeUnavailable] for most, says nothing about the content. No
// method waits for longer than its context or, for an answer to begin, than the timeout it was configured with.
type Upstream interface {
	// Resolve asks for the descriptor of a manifest, with a HEAD request where the upstream answers one in full.
	Resolve(ctx context.Context, ref Ref) (v1.Descriptor, error)
	// Manifest fetches a manifest, verified if ref names a digest. A larger one than [MaxManifestSize] is refused.
	Manifest(ctx context.Context, ref Ref) (Manifest, error)
	// StatBlob asks for the size of a blob.
	StatBlob(ctx context.Context, repo Repo, d digest.Digest) (size int64, err error)
	// Blob begins the transfer of a blob, not verified, and says how large the upstream says it is, or -1. Cancelling
	// ctx ends the transfer.
	Blob(ctx context.Context, repo Repo, d digest.Digest) (body io.ReadCloser, size int64, err error)
}
