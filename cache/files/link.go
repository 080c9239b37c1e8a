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

// Link implements [backend.Linker]. The file gets its second name among those of blobs that are being written, which
// nobody else can put another file under, and is read by that one. Then it is committed like any other; a crash before
// leaves a name that [Open] removes.
//
// A file that anybody may write to is copied: so is one that lies on another file system, has too many names, or belongs
// to somebody whose files the kernel does not let this process link. Whoever else may write to it can go on changing the
// bytes under their digest, which only reading them again can find.
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
	held, err := os.Stat(target)
	return info.Size(), err == nil && os.SameFile(held, info), nil
}

// hashLinked makes w the writer of the file that it has linked, as if it had written what it reads there.
func (w *writer) hashLinked(ctx context.Context) (os.FileInfo, error) {
	const anybodyWrites = 0o002
	before, err := os.Lstat(w.path)
	switch {
	case err != nil:
		return nil, err
	case !before.Mode().IsRegular():
		return nil, mirror.Errorf(mirror.CodeUnsupported, "it is not a regular file")
	case before.Mode().Perm()&anybodyWrites != 0:
		return nil, fmt.Errorf("%w: anybody may write to it", errors.ErrUnsupported)
	case runtime.GOOS == "windows":
		return nil, fmt.Errorf("%w: files that are open for reading cannot be synced there", errors.ErrUnsupported)
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
		err = mirror.Errorf(mirror.CodeDigestInvalid, "it was changed while it was read")
	}
	return after, err
}
