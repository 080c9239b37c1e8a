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

// SuspendPartial implements [backend.Writer]. The bytes are synced before they get the name by which [Open] knows that they stay.
func (w *writer) SuspendPartial() (mirror.PartialBlob, error) {
	if w.closed {
		return mirror.PartialBlob{}, errClosed
	}
	part, err := w.savePartial()
	if err != nil {
		return mirror.PartialBlob{}, errors.Join(fmt.Errorf("keep a part of blob %s: %w", w.id, err), w.discard())
	}
	w.close()
	return part, nil
}

func (w *writer) savePartial() (part mirror.PartialBlob, err error) {
	part = mirror.PartialBlob{ID: w.id, Algorithm: w.algorithm, Size: w.size}
	if part.Hash, err = w.hasher.flush().(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return part, err
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
	if err == nil { // also of one that has its name: a process may have died before it did
		err = w.files.syncFolder(w.files.incoming(""))
	}
	return part, err
}

// renamePartial gives the bytes the name of a part, if they have another one. It is called with the lock.
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

// cut has only the part stay that was kept, also if it had come to be called a blob. It is called with the lock.
func (w *writer) truncatePartial() error {
	if err := w.renamePartial(); err != nil {
		return err
	}
	err := os.Truncate(w.path, w.partialSize)
	w.path = ""
	return err
}

// forget has nothing stay of a part that was kept.
func (w *writer) dropPartial() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partialSize = 0
}

// ResumeBlob implements [backend.Blobs]. It costs no reading, whatever became of the machine: what was kept is durable.
func (f *Files) ResumeBlob(ctx context.Context, part mirror.PartialBlob) (backend.Writer, error) {
	w, err := f.resumePartial(ctx, part)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mirror.Errorf(mirror.CodeBlobUploadUnknown, "what was kept of a blob is not here any more: part %.100q", part.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("go on with part %s of a blob: %w", part.ID, err)
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
		return fmt.Errorf("take blob %s back: %w", d, err)
	}
	return nil
}

// grow never touches a file that has another name as well: a file system may keep both names of a blob that was
// committed when power was lost.
func (f *Files) resumePartial(ctx context.Context, part mirror.PartialBlob) (*writer, error) {
	if !validID(part.ID) || !mirror.ValidAlgorithm(part.Algorithm) || part.Size < 0 {
		return nil, fs.ErrNotExist
	}
	path := f.incoming(part.ID + partialSuffix)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	w := &writer{files: f, id: part.ID, algorithm: part.Algorithm, file: file, path: path, partialSize: part.Size}
	info, err := file.Stat()
	if err == nil && (info.Size() < part.Size || hardLinked(info)) {
		err = fs.ErrNotExist
	}
	if err == nil {
		s := state{Algorithm: part.Algorithm, Offset: part.Size, Hash: part.Hash, Boot: f.boot}
		w.hasher.hash, w.size, err = s.restore(ctx, file, f.boot)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	w.writeback.from = w.size
	return w, nil
}
