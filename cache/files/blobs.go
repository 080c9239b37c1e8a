package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Open implements [backend.Blobs]. The blob's ReadSeekCloser is an *os.File.
func (f *Files) Open(ctx context.Context, d digest.Digest) (mirror.Blob, error) {
	path, err := f.path(d)
	if err != nil {
		return mirror.Blob{}, err
	}
	for {
		file, err := os.Open(path)
		if err != nil {
			return mirror.Blob{}, readError("open", d, err)
		}
		waited, err := f.commits.waitHidden(ctx, d)
		if err == nil && !waited {
			return openBlob(file, d)
		}
		file.Close() // the commit that created the file may have failed
		if err != nil {
			return mirror.Blob{}, readError("open", d, err)
		}
	}
}

func openBlob(file *os.File, d digest.Digest) (mirror.Blob, error) {
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		file.Close()
		return mirror.Blob{}, readError("open", d, err)
	}
	return mirror.Blob{ReadSeekCloser: file, Size: info.Size()}, nil
}

// errNotRegular reports that something other than a regular file has the name of a blob. Such a blob is not stored.
var errNotRegular = fmt.Errorf("%w: not a regular file", fs.ErrNotExist)

// Stat implements [backend.Blobs].
func (f *Files) Stat(ctx context.Context, d digest.Digest) (int64, error) {
	path, err := f.path(d)
	if err != nil {
		return 0, err
	}
	for {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = errNotRegular
		}
		if err != nil {
			return 0, readError("stat", d, err)
		}
		waited, err := f.commits.waitHidden(ctx, d)
		if err != nil {
			return 0, readError("stat", d, err)
		}
		if !waited {
			return info.Size(), nil
		}
	}
}

func readError(doing string, d digest.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not stored", d)
	}
	return fmt.Errorf("%s blob %s: %w", doing, d, err)
}

// Describe implements [backend.Blobs].
func (f *Files) Describe(_ context.Context, d digest.Digest) (backend.StoredBlob, error) {
	path, err := f.path(d)
	if err != nil {
		return backend.StoredBlob{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return backend.StoredBlob{}, readError("stat", d, err)
	}
	return backend.StoredBlob{Digest: d, Size: info.Size(), Written: info.ModTime()}, nil
}

// Delete implements [backend.Blobs]. It does not fsync: a blob that reappears after power loss is undamaged, and
// nothing refers to it.
func (f *Files) Delete(_ context.Context, d digest.Digest) error {
	path, err := f.path(d)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	return nil
}

// All implements [backend.Blobs]. It leaves out files that are not named like a blob in its folder. After a folder
// that cannot be read, it yields the error and continues.
func (f *Files) All(ctx context.Context) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		for _, a := range algorithms() {
			for first := range 256 {
				if err := ctx.Err(); err != nil {
					yield("", fmt.Errorf("list blobs: %w", err))
					return
				}
				if !f.listFolder(a, fmt.Sprintf("%02x", first), yield) {
					return
				}
			}
		}
	}
}

// listFolder yields the blobs of one folder and reports whether to continue. [os.ReadDir] sorts them.
func (f *Files) listFolder(a digest.Algorithm, first string, yield func(digest.Digest, error) bool) bool {
	entries, err := os.ReadDir(filepath.Join(f.algorithmFolder(a), first))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !yield("", fmt.Errorf("list blobs: %w", err)) {
		return false
	}
	for _, entry := range entries {
		// Not by the method of the algorithm, whose regular expression takes longer than reading the folder.
		d, err := mirror.ParseDigest(a.String() + ":" + entry.Name())
		if err != nil || !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), first) {
			continue
		}
		if !yield(d, nil) {
			return false
		}
	}
	return true
}
