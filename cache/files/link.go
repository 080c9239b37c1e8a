package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

var _ backend.Linker = (*Files)(nil)

// Link implements [backend.Linker]. It links the file into the folder incoming, where nobody else can replace it,
// reads it there, and commits it like any other blob. A crash before the commit leaves a name that [Open] deletes.
//
// It returns [errors.ErrUnsupported] for a file that everybody may write to, that is on another file system, has too
// many links, or belongs to a user whose files the kernel does not let this process link. A user with write access to
// the file can still change the content of the blob later; only reading it again detects that.
func (f *Files) Link(ctx context.Context, d digest.Digest, path string) (size int64, linked bool, err error) {
	target, err := f.path(d)
	if err != nil {
		return 0, false, err
	}
	w := &writer{files: f, id: uuid.NewString(), algorithm: d.Algorithm()}
	w.path = f.incoming(w.id)
	if err := os.Link(path, w.path); err != nil {
		return 0, false, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	info, err := w.hashLinked(ctx)
	if err != nil {
		return 0, false, errors.Join(fmt.Errorf("link %s: %w", path, err), w.discard())
	}
	if err := w.Commit(ctx, d); err != nil {
		return 0, false, fmt.Errorf("link %s: %w", path, err)
	}
	stored, err := os.Stat(target)
	return info.Size(), err == nil && os.SameFile(stored, info), nil
}

// hashLinked hashes the linked file as if w had written it.
func (w *writer) hashLinked(ctx context.Context) (os.FileInfo, error) {
	const worldWritable = 0o002
	before, err := os.Lstat(w.path)
	switch {
	case err != nil:
		return nil, err
	case !before.Mode().IsRegular():
		return nil, mirror.Errorf(mirror.CodeUnsupported, "not a regular file")
	case before.Mode().Perm()&worldWritable != 0:
		return nil, fmt.Errorf("%w: everybody may write to it", errors.ErrUnsupported)
	case runtime.GOOS == "windows":
		return nil, fmt.Errorf("%w: Windows cannot sync a file that is open for reading", errors.ErrUnsupported)
	}
	if w.file, err = os.Open(w.path); err != nil {
		return nil, err
	}
	w.size, w.hasher.hash = before.Size(), w.algorithm.Hash()
	if err := hashFile(ctx, w.hasher.hash, w.file, w.size); err != nil {
		return nil, err
	}
	after, err := w.file.Stat()
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = mirror.Errorf(mirror.CodeDigestInvalid, "the file changed while it was read")
	}
	return after, err
}
