package cache

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// ImportFile implements [mirror.ImportStore].
//
// A linked file shares its content, mode and owner with the original: anyone who may write to the original can change
// the blob. The next verification of the blob finds such a change.
func (s *Store) ImportFile(ctx context.Context, d digest.Digest, path string) (linked bool, err error) {
	if _, err := mirror.ParseDigest(d.String()); err != nil {
		return false, err
	}
	linked, err = s.linkFile(ctx, d, path)
	if errors.Is(err, errors.ErrUnsupported) {
		err = s.copyFile(ctx, d, path)
	}
	if err != nil {
		return false, wrapError(err, "cannot import file %s as blob %s", path, d)
	}
	return linked, nil
}

func (s *Store) linkFile(ctx context.Context, d digest.Digest, path string) (linked bool, err error) {
	if _, err := statFile(path); err != nil {
		return false, err
	}
	linker, ok := s.blobs.(backend.Linker)
	if !ok {
		return false, errors.ErrUnsupported
	}
	defer s.locks.share(d)()
	size, linked, err := linker.Link(ctx, d, path)
	if err != nil {
		return false, err
	}
	return linked, s.indexBlob(ctx, mirror.Repo{}, d, size, s.linkUsed)
}

func (s *Store) copyFile(ctx context.Context, d digest.Digest, path string) error {
	file, err := openFile(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w, err := s.blobs.Create(ctx, d.Algorithm(), "")
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.ReadFrom(contextReader{ctx, file}); err != nil {
		return err
	}
	return s.commitBlob(ctx, mirror.Repo{}, w, d, s.linkUsed)
}

// statFile checks a path before it is opened: opening a device can change it, and opening a named pipe blocks.
func statFile(path string) (os.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, mirror.Errorf(mirror.CodeUnsupported, "it is not a regular file")
	}
	return info, nil
}

// openFile opens a regular file. It returns an error if another file took its name since statFile.
func openFile(path string) (*os.File, error) {
	info, err := statFile(path)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = mirror.Errorf(mirror.CodeDigestInvalid, "another file replaced it during the import")
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// contextReader returns an error when its context ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
