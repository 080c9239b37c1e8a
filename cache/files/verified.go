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
	// verifiedFor is how long a file is believed that was compared with its digest and was not changed since. Disks lose
	// bits without changing anything else of a file, but not often.
	verifiedFor = 7 * 24 * time.Hour
	// maxVerified bounds the memory, to some 40 MB. Files beyond it are compared again.
	maxVerified = 1 << 17
)

// version tells a file from another one and from itself after it was written to.
type version struct {
	device, inode    uint64 // 0 where the system does not say
	size             int64
	written, changed int64 // in nanoseconds
}

// verified remembers which files were compared with their digests. It is forgotten when the process ends.
type verified struct {
	mu      sync.Mutex
	entries *simplelru.LRU[digest.Digest, verifiedFile]
}

// verdict says that a file was right.
type verifiedFile struct {
	version
	at time.Time
}

func newVerified() *verified {
	entries, _ := simplelru.NewLRU[digest.Digest, verifiedFile](maxVerified, nil) // fails only without a size
	return &verified{entries: entries}
}

// knows reports whether the file was found to be d and is the same since.
func (v *verified) contains(d digest.Digest, info os.FileInfo) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, ok := v.entries.Get(d)
	return ok && known.version == versionOf(info) && time.Since(known.at) < verifiedFor
}

// add notes that the file was found to be d.
func (v *verified) add(d digest.Digest, info os.FileInfo) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d = digest.Digest(strings.Clone(string(d))) // it may be a part of something large
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
	began, err := file.Stat()
	if err != nil {
		return "", readError("check", d, err)
	}
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	if reason, err = backend.CheckContent(ctx, blob, d, b.data[:], before); err != nil || reason != "" {
		return reason, err
	}
	ended, err := file.Stat()
	if err != nil {
		return "", readError("check", d, err)
	}
	if versionOf(began) == versionOf(ended) {
		f.verified.add(d, ended)
	}
	return "", nil
}

// markVerified notes that a file that w has just given its name holds what w wrote. The file is asked after that: a new
// name changes it.
func (w *writer) markVerified(d digest.Digest) {
	if info, err := w.file.Stat(); err == nil {
		w.files.verified.add(d, info)
	}
}
