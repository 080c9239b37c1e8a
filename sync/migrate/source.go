package migrate

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// place is where content comes from: a folder, or a registry that answers. Names are those that the place uses. Errors
// are about the content that was asked for, unless they are a [fault].
type source interface {
	// repositories lists the names of repositories. What cannot be one is left out by way of leave.
	repositories(ctx context.Context, leave func(name string, err error)) ([]string, error)
	// roots yields the tags of a repository, and the digests of manifests there that may have none. An error without a
	// root is about the whole repository.
	roots(ctx context.Context, name string) iter.Seq2[root, error]
	// manifest reads a manifest, verified.
	manifest(ctx context.Context, name string, d digest.Digest) (mirror.Manifest, error)
	// referrers lists what refers to d, as far as roots does not yield it.
	referrers(ctx context.Context, name string, d digest.Digest) ([]digest.Digest, error)
	// take takes a blob or, if there are bytes, a manifest into the store. It is not held there; linked is as
	// [mirror.ImportStore.ImportFile] says.
	fetch(ctx context.Context, name string, b blob) (linked bool, err error)
	// has reports with [mirror.CodeBlobUnknown] that the repository does not have a blob.
	has(ctx context.Context, name string, d digest.Digest) error
}

// root is where a walk through a repository begins.
type root struct {
	tag    string // "" if it has none
	digest digest.Digest
	man    *mirror.Manifest // nil if it was not read yet
}

// of names the root in a repository.
func (r root) of(name string) string {
	if r.tag != "" {
		return name + ":" + r.tag
	}
	if r.digest != "" {
		return name + "@" + r.digest.String()
	}
	return name
}

// blob is content to be taken. size is in bytes, and verified by who takes it; it is -1 if it is not known.
type blob struct {
	digest digest.Digest
	size   int64
	bytes  []byte // of a manifest that is nowhere but in memory; nil for all else
}

// fault is an error of the store, which would go for all other content as well.
type storeError struct{ error }

func (f *storeError) Unwrap() error { return f.error }

// outcome is what became of a manifest.
type outcome int

const (
	pending outcome = iota // it is in the batch
	imported
	missing // it is not to be had
	failed  // it could not be had this time
)

// outcomeOf tells from why something was left out whether it can be had another time.
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

// absent reports whether err says that the place does not have something, and not that it is wrong.
func isAbsent(err error) bool {
	return isManifestUnknown(err) || mirror.CodeOf(err) == mirror.CodeBlobUnknown
}

// unknown reports whether err says that the place does not have a manifest.
func isManifestUnknown(err error) bool {
	code := mirror.CodeOf(err)
	return code == mirror.CodeManifestUnknown || code == mirror.CodeNameUnknown
}
