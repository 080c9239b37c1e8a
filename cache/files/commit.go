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

// commit puts the verified bytes in the place of blob d. After an error they are still w's to drop.
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

	there, err := w.checkExisting(target, d)
	if err != nil {
		return err
	}
	if there == identical {
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
	if err := w.publish(target, there == unverified); err != nil {
		return errors.Join(err, w.discard()) // before another commit of d can find it
	}
	w.markVerified(d)
	return nil
}

// found is what has the name of a blob that is being committed.
type existing int

const (
	absent     existing = iota
	identical           // a file that is known to have the blob's bytes
	unverified          // a file that may have others
)

// look looks at what is in the place of blob d. What is no file is set aside: no file can replace it.
func (w *writer) checkExisting(target string, d digest.Digest) (existing, error) {
	info, err := os.Stat(target)
	switch {
	case err != nil: // rename meets the same, and says what is wrong
		return absent, nil
	case !info.Mode().IsRegular():
		return absent, w.files.moveToQuarantine(target, d, "what had its name was no file")
	case info.Size() == w.size && w.files.verified.contains(d, info):
		return identical, nil
	}
	if file, err := w.open(); err == nil { // a file that was linked here before, and has been read now
		own, err := file.Stat()
		if err == nil && os.SameFile(own, info) {
			w.files.verified.add(d, info)
			return identical, nil
		}
	}
	return unverified, nil
}

// adopt drops the bytes in favour of the same ones in target, which were verified. Those were synced before they got that name, but a process
// that died may not have come to sync the name.
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

// publish gives the synced bytes their name. The state goes first: one that outlived the rename could lead to a write
// into a committed blob on a file system that may keep both names of a file when power is lost. Bytes that have replaced
// others stay, whatever fails after that: the others may have been all that there was of the blob.
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

// rename moves the file; if anything fails from here on, drop removes it from where it is then.
func (w *writer) rename(target string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := os.Rename(w.path, target); err != nil {
		return err
	}
	w.path = target
	return nil
}
