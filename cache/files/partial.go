package files

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

const partialSuffix = ".part"

// SuspendPartial implements [backend.Writer]. It fsyncs the content before the rename to the name that [Open]
// preserves.
func (w *writer) SuspendPartial() (mirror.PartialBlob, error) {
	if w.closed {
		return mirror.PartialBlob{}, errClosed
	}
	partial, err := w.savePartial()
	if err != nil {
		return mirror.PartialBlob{}, errors.Join(fmt.Errorf("suspend partial blob %s: %w", w.id, err), w.discard())
	}
	w.close()
	return partial, nil
}

func (w *writer) savePartial() (partial mirror.PartialBlob, err error) {
	partial = mirror.PartialBlob{ID: w.id, Algorithm: w.algorithm, Size: w.size}
	if partial.Hash, err = w.hasher.flush().(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return partial, err
	}
	file, err := w.open()
	if err == nil {
		err = w.files.fsync(file)
	}
	if err == nil {
		w.mu.Lock()
		err = w.renamePartial()
		w.mu.Unlock()
	}
	if err == nil { // even if the file had its name already: a process may have died before this fsync
		err = w.files.syncFolder(w.files.incoming(""))
	}
	return partial, err
}

// renamePartial gives the file the name of a partial blob. The caller holds w.mu.
func (w *writer) renamePartial() error {
	path := w.files.incoming(w.id + partialSuffix)
	if path == w.path {
		return nil
	}
	err := os.Rename(w.path, path)
	if err == nil {
		w.path = path
	}
	return err
}

// truncatePartial restores the partial blob as it was when it was resumed, even if it had already been renamed to a
// blob. The caller holds w.mu.
func (w *writer) truncatePartial() error {
	if err := w.renamePartial(); err != nil {
		return err
	}
	err := os.Truncate(w.path, w.partialSize)
	w.path = ""
	return err
}

// dropPartial makes discard delete the partial blob as well.
func (w *writer) dropPartial() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partialSize = 0
}

// ResumeBlob implements [backend.Blobs]. It does not read the content unless the saved hash is unusable: a partial
// blob is durable.
func (f *Files) ResumeBlob(ctx context.Context, partial mirror.PartialBlob) (backend.Writer, error) {
	w, err := f.resumePartial(ctx, partial)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mirror.Errorf(mirror.CodeBlobUploadUnknown, "partial blob %.100q is no longer stored", partial.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("resume partial blob %s: %w", partial.ID, err)
	}
	return w, nil
}

// Uncommit implements [backend.Blobs].
func (f *Files) Uncommit(_ context.Context, d digest.Digest, id string) error {
	path, err := f.path(d)
	if err == nil && validID(id) {
		err = os.Rename(path, f.incoming(id+partialSuffix))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("uncommit blob %s: %w", d, err)
	}
	return nil
}

func (f *Files) resumePartial(ctx context.Context, partial mirror.PartialBlob) (*writer, error) {
	if !validID(partial.ID) || !mirror.ValidAlgorithm(partial.Algorithm) || partial.Size < 0 {
		return nil, fs.ErrNotExist
	}
	path := f.incoming(partial.ID + partialSuffix)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	w := &writer{files: f, id: partial.ID, algorithm: partial.Algorithm, file: file, path: path, partialSize: partial.Size}
	info, err := file.Stat()
	if err == nil && info.Size() < partial.Size {
		err = fs.ErrNotExist
	}
	if err == nil {
		s := state{Algorithm: partial.Algorithm, Offset: partial.Size, Hash: partial.Hash, Boot: f.boot}
		w.hasher.hash, w.size, err = s.restore(ctx, file, f.boot)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	w.writeback.from = w.size
	return w, nil
}
