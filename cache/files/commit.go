package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Commit implements [backend.Writer].
func (w *writer) Commit(ctx context.Context, d digest.Digest) error {
	if w.closed {
		return errClosed
	}
	if err := w.Verify(d); err != nil {
		if mirror.CodeOf(err) == mirror.CodeDigestInvalid {
			w.dropPartial()
		}
		return errors.Join(err, w.discard())
	}
	if err := w.commit(ctx, d); err != nil {
		return errors.Join(fmt.Errorf("commit blob %s: %w", d, err), w.discard())
	}
	w.close()
	return nil
}

// commit stores the verified content as blob d. After an error the caller must discard it.
func (w *writer) commit(ctx context.Context, d digest.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	target, err := w.files.path(d)
	if err != nil {
		return err
	}
	if err := w.files.prepareFolder(filepath.Dir(target)); err != nil {
		return err
	}
	if err := w.files.commits.begin(ctx, d); err != nil {
		return err
	}
	defer w.files.commits.end(d)

	found, err := w.checkExisting(target, d)
	if err != nil {
		return err
	}
	if found == identical {
		return w.useExisting(target)
	}
	file, err := w.open()
	if err != nil {
		return err
	}
	if err := w.files.fsync(file); err != nil {
		return err
	}
	w.files.commits.hide(d)
	if err := w.publish(target, found == unverified); err != nil {
		return errors.Join(err, w.discard()) // before another commit of d can find the file
	}
	w.markVerified(d)
	return nil
}

// existing says what already has the name of a blob that is being committed.
type existing int

const (
	absent     existing = iota
	identical           // a verified file with the same content
	unverified          // a file whose content may differ
)

// checkExisting examines what already has the name of blob d. Anything but a regular file is quarantined, because no
// file can replace it.
func (w *writer) checkExisting(target string, d digest.Digest) (existing, error) {
	info, err := os.Stat(target)
	switch {
	case err != nil: // rename fails in the same way and returns the error
		return absent, nil
	case !info.Mode().IsRegular():
		return absent, w.files.moveToQuarantine(target, d, "its name was taken by something that is not a regular file")
	case info.Size() == w.size && w.files.verified.contains(d, info):
		return identical, nil
	}
	if file, err := w.open(); err == nil { // the writer may have verified this very file, which was linked before
		own, err := file.Stat()
		if err == nil && os.SameFile(own, info) {
			w.files.verified.add(d, info)
			return identical, nil
		}
	}
	return unverified, nil
}

// useExisting drops the content, because target is verified and has the same. The file target was fsynced before it
// got its name, but the process that renamed it may have died before it fsynced the folder.
func (w *writer) useExisting(target string) error {
	if err := w.files.syncFolder(filepath.Dir(target)); err != nil {
		return err
	}
	w.dropPartial()
	if err := w.discard(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.path = target
	return nil
}

// publish renames the fsynced file. It deletes the state before that: on a file system that can keep both names of a
// file after power loss, a remaining state could lead to a write into a committed blob. A file that replaced another
// one stays even if an error follows: the other may have been the only copy of the blob.
func (w *writer) publish(target string, replaces bool) error {
	if err := w.removeState(); err != nil {
		return err
	}
	if err := w.rename(target); err != nil {
		return err
	}
	err := w.files.syncFolder(filepath.Dir(target))
	if err != nil && replaces {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.path = ""
	}
	return err
}

// rename moves the file. After a later error, discard deletes it from its new path.
func (w *writer) rename(target string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := os.Rename(w.path, target); err != nil {
		return err
	}
	w.path = target
	return nil
}
