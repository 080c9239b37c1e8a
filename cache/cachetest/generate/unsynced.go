package generate

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// unsynced is a [backend.Blobs] that writes new blobs to their final place at once, without fsync.
type unsynced struct {
	backend.Blobs
	root string
}

// Create implements [backend.Blobs].
func (u *unsynced) Create(_ context.Context, algorithm digest.Algorithm, label string) (backend.Writer, error) {
	return &unsyncedWriter{root: u.root, algorithm: algorithm, id: uuid.NewString(), label: label}, nil
}

// unsyncedWriter keeps a blob in memory until its commit. The embedded Writer is nil: a blob is not suspended.
type unsyncedWriter struct {
	backend.Writer
	root      string
	algorithm digest.Algorithm
	id, label string
	data      bytes.Buffer
}

func (w *unsyncedWriter) ID() string    { return w.id }
func (w *unsyncedWriter) Label() string { return w.label }
func (w *unsyncedWriter) Size() int64   { return int64(w.data.Len()) }
func (w *unsyncedWriter) Abort() error  { return nil }

// Digest implements [backend.Writer].
func (w *unsyncedWriter) Digest() (digest.Digest, error) {
	return w.algorithm.FromBytes(w.data.Bytes()), nil
}

// Verify implements [backend.Writer].
func (w *unsyncedWriter) Verify(d digest.Digest) error {
	if actual := d.Algorithm().FromBytes(w.data.Bytes()); actual != d {
		return mirror.Errorf(mirror.CodeDigestInvalid, "blob has digest %s, not %s", actual, d)
	}
	return nil
}

// Commit implements [backend.Writer].
func (w *unsyncedWriter) Commit(_ context.Context, d digest.Digest) error {
	if err := w.Verify(d); err != nil {
		return err
	}
	path := filepath.Join(w.root, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	// Two writers of one blob must not truncate the file that the other one has committed.
	temporary := path + "." + w.id
	if err := os.WriteFile(temporary, w.data.Bytes(), 0o640); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// Write implements [backend.Writer].
func (w *unsyncedWriter) Write(p []byte) (int, error) { return w.data.Write(p) }

// ReadFrom implements [backend.Writer].
func (w *unsyncedWriter) ReadFrom(r io.Reader) (int64, error) { return w.data.ReadFrom(r) }
