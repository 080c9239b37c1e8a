package files

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Create implements [backend.Blobs]. A blob with a label can be resumed from the beginning even if this process dies
// now. A blob without a label can be resumed only after it was suspended.
func (f *Files) Create(_ context.Context, algorithm digest.Algorithm, label string) (backend.Writer, error) {
	if !mirror.ValidAlgorithm(algorithm) {
		return nil, mirror.Errorf(mirror.CodeDigestInvalid,
			"digest algorithm %q is not supported: use sha256 or sha512", algorithm)
	}
	w := &writer{files: f, id: uuid.NewString(), label: label, algorithm: algorithm}
	w.hasher.hash = algorithm.Hash()
	w.path = f.incoming(w.id)
	if label != "" {
		if err := w.saveState(); err != nil {
			return nil, errors.Join(fmt.Errorf("create a blob: %w", err), w.discard())
		}
	}
	return w, nil
}

// Resume implements [backend.Blobs]. It does not read the content unless the machine rebooted since the blob was
// suspended.
func (f *Files) Resume(ctx context.Context, id string) (backend.Writer, error) {
	if !validID(id) {
		return nil, mirror.Errorf(mirror.CodeBlobUploadUnknown, "blob upload unknown")
	}
	w, err := f.resume(ctx, id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, mirror.Errorf(mirror.CodeBlobUploadUnknown, "blob upload %s is unknown: it was completed, canceled or never started", id)
	case err != nil:
		return nil, fmt.Errorf("resume blob upload %s: %w", id, err)
	}
	return w, nil
}

func (f *Files) resume(ctx context.Context, id string) (*writer, error) {
	s := f.states.get(id)
	if s == nil {
		return nil, fs.ErrNotExist
	}
	w := &writer{files: f, id: id, label: string(s.Label), algorithm: s.Algorithm, path: f.incoming(id), saved: true}
	file, err := os.OpenFile(w.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) && s.Offset == 0 { // nothing was written yet
		w.hasher.hash, w.current = s.Algorithm.Hash(), true
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	w.file = file
	if w.hasher.hash, w.size, err = s.restore(ctx, file, f.boot); err != nil {
		file.Close()
		return nil, err
	}
	w.writeback.from, w.current = w.size, w.size == s.Offset && s.Boot == f.boot
	return w, nil
}

// restore prepares file for appending after the bytes that s describes, and returns their hash and number.
func (s *state) restore(ctx context.Context, file *os.File, boot string) (hash.Hash, int64, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	if hardLinked(info) { // after power loss, a file system may keep both names of a blob that was committed
		return nil, 0, fs.ErrNotExist
	}
	size := min(info.Size(), s.Offset)
	if size < info.Size() {
		if err := file.Truncate(size); err != nil {
			return nil, 0, err
		}
	}
	h := s.Algorithm.Hash()
	if s.Boot != boot || size < s.Offset || !restoreHash(h, s.Hash) {
		h.Reset()
		if err := hashFile(ctx, h, file, size); err != nil {
			return nil, 0, err
		}
	}
	_, err = file.Seek(size, io.SeekStart)
	return h, size, err
}

// hashFile hashes the first size bytes of file.
func hashFile(ctx context.Context, h hash.Hash, file *os.File, size int64) error {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := file.ReadAt(b.data[:min(size-at, bufferSize)], at)
		h.Write(b.data[:n])
		at += int64(n)
		if err != nil && at < size {
			return fmt.Errorf("read back the content: %w", err)
		}
	}
	return nil
}

// cleanIncoming deletes what cannot be resumed, such as content without a state.
func (f *Files) cleanIncoming() error {
	entries, err := os.ReadDir(f.incoming(""))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		id, isPartial := strings.CutSuffix(name, partialSuffix)
		if entry.IsDir() || name == statesFile || isPartial && validID(id) || f.states.get(name) != nil {
			continue
		}
		if err := remove(f.incoming(name)); err != nil {
			return err
		}
	}
	return nil
}

// validID reports whether Create could have made id. Any other id must not become part of a path.
func validID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

// remove deletes a file. A missing file is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
