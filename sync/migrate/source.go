package migrate

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// source is where content comes from: a folder or a registry. Names are those that the source uses. An error is about the
// requested content, unless it is a [storeError].
type source interface {
	// repositories lists the names of repositories. It calls skip for each entry that is not a repository.
	repositories(ctx context.Context, skip func(name string, err error)) ([]string, error)
	// roots yields the tags of a repository, and manifests that may have no tag. An error without a root is about the whole
	// repository.
	roots(ctx context.Context, name string) iter.Seq2[root, error]
	// manifest reads and verifies a manifest.
	manifest(ctx context.Context, name string, d digest.Digest) (mirror.Manifest, error)
	// referrers lists the referrers of d that roots does not yield.
	referrers(ctx context.Context, name string, d digest.Digest) ([]digest.Digest, error)
	// fetch copies a blob into the store, or a manifest if b has its bytes. The store does not have it yet. linked is that of
	// [mirror.ImportStore.ImportFile].
	fetch(ctx context.Context, name string, b blob) (linked bool, err error)
	// has returns an error with [mirror.CodeBlobUnknown] if the repository does not have a blob.
	has(ctx context.Context, name string, d digest.Digest) error
}

// root is where the walk through a repository begins.
type root struct {
	tag    string // "" if it has none
	digest digest.Digest
	man    *mirror.Manifest // nil if it was not read yet
}

// in names the root in a repository, in messages.
func (r root) in(name string) string {
	if r.tag != "" {
		return name + ":" + r.tag
	}
	if r.digest != "" {
		return name + "@" + r.digest.String()
	}
	return name
}

// blob is content to fetch. fetch verifies the size, which is -1 if it is unknown.
type blob struct {
	digest digest.Digest
	size   int64
	bytes  []byte // of a manifest; nil for a blob
}

// storeError is an error of the store. It ends the run, since it affects all content.
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

// outcome is the state of a manifest.
type outcome int

const (
	pending  outcome = iota // it is being read, or is in the batch
	migrated                // it is stored
	missing                 // it was skipped, and another run would skip it as well
	failed                  // it was skipped, and another run may migrate it
)

// outcomeOf returns the outcome of content that was skipped because of err.
func outcomeOf(err error) outcome {
	switch mirror.CodeOf(err) {
	case mirror.CodeBlobUnknown, mirror.CodeManifestUnknown, mirror.CodeNameUnknown,
		mirror.CodeDigestInvalid, mirror.CodeManifestInvalid, mirror.CodeNameInvalid, mirror.CodeSizeInvalid,
		mirror.CodeManifestTooLarge, mirror.CodeUnsupported:
		return missing
	}
	if errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	return failed
}

// isAbsent reports whether err says that the source does not have the content.
func isAbsent(err error) bool {
	return isManifestUnknown(err) || mirror.CodeOf(err) == mirror.CodeBlobUnknown
}

// isManifestUnknown reports whether err says that the source does not have the manifest.
func isManifestUnknown(err error) bool {
	code := mirror.CodeOf(err)
	return code == mirror.CodeManifestUnknown || code == mirror.CodeNameUnknown
}

// isContentError reports whether err, of the store, is about the content and not about the store.
func isContentError(err error) bool {
	switch mirror.CodeOf(err) {
	case mirror.CodeUnknown, mirror.CodeUnavailable, mirror.CodeStorageFull:
		return false
	}
	return true
}

// endsRun reports whether err is not about content: it is of the store, or the run was canceled.
func endsRun(ctx context.Context, err error) bool {
	var e *storeError
	return ctx.Err() != nil || errors.As(err, &e)
}

// runError returns the error of a run that err ends.
func runError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
