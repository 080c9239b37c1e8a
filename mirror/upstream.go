package mirror

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Upstream fetches content from the registries that are configured, found by the host of the repository. It never dials
// any other. It may be used concurrently.
//
// An [Error] with [CodeManifestUnknown], [CodeBlobUnknown] or [CodeNameUnknown] means that the upstream does not have
// the content, or denies it to this mirror. [CodeNameUnknown] also means that no upstream is configured for the host,
// which takes no request. Any other error, mostly [CodeUnavailable], says nothing about the content.
//
// No method waits longer than its context or, for the beginning of an answer, than the configured timeout. An upstream
// that has failed several times is considered down: requests fail at once, except for one probe at a time and requests
// with a context of [BypassBreaker].
type Upstream interface {
	// Resolve returns the descriptor of a manifest, by a HEAD request if the upstream answers that in full.
	Resolve(ctx context.Context, ref Ref) (v1.Descriptor, error)
	// Manifest fetches a manifest. If ref has a digest, the manifest is verified. A manifest over [MaxManifestSize] is
	// refused.
	Manifest(ctx context.Context, ref Ref) (Manifest, error)
	// StatBlob returns the size of a blob in bytes.
	StatBlob(ctx context.Context, repo Repo, d digest.Digest) (size int64, err error)
	// Tags lists all tags of a repository in byte order. [CodeNameUnknown] if the upstream has no such repository. A
	// list that is returned with an error is incomplete.
	Tags(ctx context.Context, repo Repo) ([]string, error)
	// Referrers lists the manifests whose subject is d, by the referrers API or, if the upstream lacks it, by the
	// referrers tag. The list is empty if there are none. A list that is returned with an error is incomplete.
	Referrers(ctx context.Context, repo Repo, subject digest.Digest) ([]v1.Descriptor, error)
	// Blob starts the transfer of a blob, which is not verified. It returns the size that the upstream states, or -1. A
	// transfer that breaks off or stalls is resumed for as long as configured, while the reader waits. Cancelling ctx
	// ends it.
	Blob(ctx context.Context, repo Repo, d digest.Digest) (body io.ReadCloser, size int64, err error)
	// BlobPart starts the transfer of n bytes of a blob from an offset, which cannot be verified. It returns the size of
	// the complete blob, or -1. The reader returns exactly n bytes, or an error. It fails if the upstream does not
	// support ranges.
	BlobPart(ctx context.Context, repo Repo, d digest.Digest, off, n int64) (body io.ReadCloser, size int64, err error)
	// Status returns the state of each upstream. It sends no request.
	Status() []UpstreamStatus
}

// UpstreamStatus is the state of an upstream.
type UpstreamStatus struct {
	Host     string    `json:"host"`
	URLs     []string  `json:"urls"`               // in the order of preference
	Asked    bool      `json:"asked"`              // this process has sent it a request
	Down     bool      `json:"down"`               // it is considered down: only probes are sent
	Since    time.Time `json:"since,omitzero"`     // when it went down
	Failures int       `json:"failures,omitempty"` // consecutive ones
	Error    string    `json:"error,omitempty"`    // of the last failure
}
