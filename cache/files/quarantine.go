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

// quarantined returns where blob d is put when it turns out damaged.
func (f *Files) quarantinePath(d digest.Digest) string {
	return filepath.Join(f.root, "quarantine", strings.Replace(d.String(), ":", "-", 1))
}

// Quarantine implements [backend.Blobs]. A file that was quarantined under the same digest before is replaced, so that what
// is damaged again and again does not fill the disk. The reason is beside it if there was room to write that.
func (f *Files) Quarantine(ctx context.Context, d digest.Digest, judge func(mirror.Blob) (string, error)) (moved bool, err error) {
	path, err := f.path(d)
	if err != nil {
		return false, err
	}
	// What another commit made visible is durable after this, and no other one begins.
	if err := f.commits.begin(ctx, d); err != nil {
		return false, err
	}
	defer f.commits.end(d)
	reason, err := f.check(path, d, judge)
	if reason == "" || err != nil {
		return false, err
	}
	if err := f.moveToQuarantine(path, d, reason); err != nil {
		return false, fmt.Errorf("quarantine blob %s: %w", d, err)
	}
	return true, nil
}

func (f *Files) check(path string, d digest.Digest, judge func(mirror.Blob) (string, error)) (reason string, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", readError("open", d, err)
	}
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		file.Close()
		return "what has its name is no file", nil
	}
	blob, err := openBlob(file, d)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	return judge(blob)
}

func (f *Files) moveToQuarantine(path string, d digest.Digest, reason string) error {
	target := f.quarantinePath(d)
	if err := f.makeFolder(filepath.Dir(target)); err != nil {
		return err
	}
	// That the file goes matters more than that somebody can read why.
	_ = os.WriteFile(target+".txt", fmt.Appendf(nil, "%s\n%s: %s\n", d, time.Now().UTC().Format(time.RFC3339), reason), fileMode)
	if err := os.RemoveAll(target); err != nil { // a folder cannot be replaced, nor replace a file
		return err
	}
	if err := os.Rename(path, target); err != nil {
		return err
	}
	return errors.Join(f.syncFolder(filepath.Dir(target)), f.syncFolder(filepath.Dir(path)))
}
