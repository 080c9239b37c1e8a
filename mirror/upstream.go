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
// method waits for longer than its context or, for an answer to begin, than the timeout it was configured with. An
// upstream that failed several times counts as gone: it is not asked, and its errors come at once, but for one probe at
// a time; a context of which [BypassesBreaker] is true asks all the same.
type Upstream interface {
	// Resolve asks for the descriptor of a manifest, with a HEAD request where the upstream answers one in full.
	Resolve(ctx context.Context, ref Ref) (v1.Descriptor, error)
	// Manifest fetches a manifest, verified if ref names a digest. A larger one than [MaxManifestSize] is refused.
	Manifest(ctx context.Context, ref Ref) (Manifest, error)
	// StatBlob asks for the size of a blob.
	StatBlob(ctx context.Context, repo Repo, d digest.Digest) (size int64, err error)
	// Tags lists all tags of a repository, in byte order. [CodeNameUnknown] where the upstream has no such repository. A
	// list that comes with an error is not all of it.
	Tags(ctx context.Context, repo Repo) ([]string, error)
	// Referrers lists the manifests whose subject is d, by the referrers API or, where the upstream lacks it, by the
	// referrers tag. It is empty where there are none. A list that comes with an error is not all of it.
	Referrers(ctx context.Context, repo Repo, subject digest.Digest) ([]v1.Descriptor, error)
	// Blob begins the transfer of a blob, not verified, and says how large the upstream says it is, or -1. A transfer
	// that breaks off or stalls goes on where it stopped, for as long as configured; the reader only sees a pause.
	// Cancelling ctx ends it.
	Blob(ctx context.Context, repo Repo, d digest.Digest) (body io.ReadCloser, size int64, err error)
	// BlobPart begins the transfer of n bytes of a blob from off on, which cannot be verified, and says how large all of
	// it is, or -1. The reader has exactly so many bytes, or an error. An upstream that gives no parts is one.
	BlobPart(ctx context.Context, repo Repo, d digest.Digest, off, n int64) (body io.ReadCloser, size int64, err error)
	// Status says how each upstream is doing, without asking it.
	Status() []UpstreamStatus
}

// UpstreamStatus is how an upstream is doing.
type UpstreamStatus struct {
	Host     string   `json:"host"`
	URLs     []string `json:"urls"`               // in the order in which they are tried
	Asked    bool     `json:"asked"`              // by this process, and it answered or failed
	Down     bool     `json:"down"`               // it counts as gone: only a probe asks it
	Since    int64    `json:"since,omitempty"`    // when it went, in seconds of Unix time
	Failures int      `json:"failures,omitempty"` // one after another, up to now
	Error    string   `json:"error,omitempty"`    // the last of them
}
