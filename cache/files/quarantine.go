package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// quarantinePath returns where blob d is moved if it is damaged.
func (f *Files) quarantinePath(d digest.Digest) string {
	return filepath.Join(f.root, "quarantine", strings.Replace(d.String(), ":", "-", 1))
}

// Quarantine implements [backend.Blobs]. It replaces a file that was quarantined under the same digest before, so
// that repeated damage does not fill the disk. It writes the reason beside the file if it can.
func (f *Files) Quarantine(ctx context.Context, d digest.Digest, check func(mirror.Blob) (string, error)) (moved bool, err error) {
	path, err := f.path(d)
	if err != nil {
		return false, err
	}
	// From here on, a blob that another commit made visible is durable, and no other commit of d begins.
	if err := f.commits.begin(ctx, d); err != nil {
		return false, err
	}
	defer f.commits.end(d)
	reason, err := f.check(path, d, check)
	if reason == "" || err != nil {
		return false, err
	}
	if err := f.moveToQuarantine(path, d, reason); err != nil {
		return false, fmt.Errorf("quarantine blob %s: %w", d, err)
	}
	return true, nil
}

// check calls check with the open blob. It also reports a path that is not a regular file.
func (f *Files) check(path string, d digest.Digest, check func(mirror.Blob) (string, error)) (reason string, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", readError("open", d, err)
	}
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		file.Close()
		return "its path is not a regular file", nil
	}
	blob, err := openBlob(file, d)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	return check(blob)
}

// moveToQuarantine moves the file at path to the quarantine and records the reason.
func (f *Files) moveToQuarantine(path string, d digest.Digest, reason string) error {
	target := f.quarantinePath(d)
	if err := f.makeFolder(filepath.Dir(target)); err != nil {
		return err
	}
	// The file must be moved even if the reason cannot be written.
	_ = os.WriteFile(target+".txt", fmt.Appendf(nil, "%s\n%s: %s\n", d, time.Now().UTC().Format(time.RFC3339), reason), fileMode)
	if err := os.RemoveAll(target); err != nil { // a folder can neither be replaced by a rename nor replace a file
		return err
	}
	if err := os.Rename(path, target); err != nil {
		return err
	}
	return errors.Join(f.syncFolder(filepath.Dir(target)), f.syncFolder(filepath.Dir(path)))
}
