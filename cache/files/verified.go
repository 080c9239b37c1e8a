package files

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

const (
	// verifiedFor is how long an unchanged file stays verified. Disks rarely lose bits without a change of size or
	// times.
	verifiedFor = 7 * 24 * time.Hour
	// maxVerified bounds the memory to about 40 MB. Files beyond this number are verified again.
	maxVerified = 1 << 17
)

// version distinguishes a file from other files and from its earlier content.
type version struct {
	device, inode    uint64 // 0 on systems other than Linux
	size             int64
	written, changed int64 // in nanoseconds
}

// verified remembers which files were verified, for the lifetime of the process.
type verified struct {
	mu      sync.Mutex
	entries *simplelru.LRU[digest.Digest, verifiedFile]
}

// verifiedFile is a version of a file, and the time when it was verified.
type verifiedFile struct {
	version
	at time.Time
}

func newVerified() *verified {
	entries, _ := simplelru.NewLRU[digest.Digest, verifiedFile](maxVerified, nil) // only fails for a size of zero
	return &verified{entries: entries}
}

// contains reports whether the file was verified to be d and has not changed since.
func (v *verified) contains(d digest.Digest, info os.FileInfo) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	found, ok := v.entries.Get(d)
	return ok && found.version == versionOf(info) && time.Since(found.at) < verifiedFor
}

// add records that the file was verified to be d.
func (v *verified) add(d digest.Digest, info os.FileInfo) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d = digest.Digest(strings.Clone(string(d))) // d may be a slice of something large
	v.entries.Add(d, verifiedFile{versionOf(info), time.Now()})
}

// Verified implements [backend.Blobs].
func (f *Files) Verified(d digest.Digest, blob mirror.Blob) bool {
	file, ok := blob.ReadSeekCloser.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && f.verified.contains(d, info)
}

// Check implements [backend.Blobs].
func (f *Files) Check(ctx context.Context, d digest.Digest, before func(context.Context, int) error) (reason string, err error) {
	blob, err := f.Open(ctx, d)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	file := blob.ReadSeekCloser.(*os.File)
	opened, err := file.Stat()
	if err != nil {
		return "", readError("check", d, err)
	}
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	if reason, err = backend.CheckContent(ctx, blob, d, b.data[:], before); err != nil || reason != "" {
		return reason, err
	}
	read, err := file.Stat()
	if err != nil {
		return "", readError("check", d, err)
	}
	if versionOf(opened) == versionOf(read) {
		f.verified.add(d, read)
	}
	return "", nil
}

// markVerified records that the file is verified. Call it after the rename, which changes the version of the file.
func (w *writer) markVerified(d digest.Digest) {
	if info, err := w.file.Stat(); err == nil {
		w.files.verified.add(d, info)
	}
}
