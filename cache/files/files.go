// Package files keeps blobs as files named by their digest: an implementation of [backend.Blobs] on a file system.
//
//	<root>/blobs/sha256/ab/abcd…       a blob, in a folder named after the first byte of its digest
//	<root>/blobs/sha512/ab/abcd…
//	<root>/incoming/<uuid>             bytes of a blob that is being written or was suspended; not there before the first
//	<root>/incoming/<uuid>.state       what it takes to go on with it; without this, the bytes are dropped by [Open]
//	<root>/incoming/<uuid>.part        bytes of a blob that was kept; what it takes to go on with it is with who kept it
//	<root>/quarantine/sha256-abcd…     a damaged blob, for a person to look at or remove; nothing here reads it again
//	<root>/quarantine/sha256-abcd….txt why it is there, and since when
//
// # Durable, then visible
//
// Bytes are verified and the file is fsynced before it is renamed to where readers find it; until the fsync of the
// folder returns, [Files.Open] and [Files.Stat] of that digest wait. So nothing can be built on a blob that power loss
// might take away. A blob may be the second name of a file that came from elsewhere, see [Files.Link].
//
// # Verified blobs
//
// A file that was written here, or read to its end by [Files.Check], is known to be what its digest says for as long as it
// is the same file: by its inode, size and times, within this process, for a week. A new copy of a blob whose file is
// known is dropped; it replaces one that is not. What lies in the place of a blob and is no file goes to the quarantine.
//
// # Suspended blobs
//
// Suspending costs no fsync, so that a client that sends a blob in chunks waits for the disk once, at the end. Bytes in
// the page cache survive the death of the process and are lost with the machine's power, in any order. The saved state
// therefore names the boot of the machine that it was written under: within it, the saved state of the hash is taken up
// where it was; after it, the bytes that are there are hashed again. A state that power loss left half overwritten shows
// by its checksum, and its upload is not known any more: the client begins again.
//
// # Parts
//
// What [writer.SuspendPartial] keeps is durable: the media that it came on may be gone. How many of its bytes count, and the state
// of their hash, is for the caller to note; bytes after those are cut off when it goes on. So it is the caller's note
// that decides, whatever became of the process while it wrote.
package files

import (
	"cmp"
	_ "crypto/sha256" // what digest.Algorithm.Hash finds
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

const (
	folderMode = 0o750
	fileMode   = 0o640
)

// Files is a folder of blobs. It is made by [Open] and needs no closing: it holds no file open beside those that it
// handed out.
type Files struct {
	root           string
	boot           string
	commits        commits
	durableFolders sync.Map // the folders of blobs that are known to be durable
	verified       *verified
	fsync          func(*os.File) error // tests make it fail or wait, and the next one
	// startWriteback is the function of that name.
	startWriteback func(file *os.File, from, n int64)
}

var _ backend.Blobs = (*Files)(nil)

// Open opens the folder root and makes it if it is not there. It removes what earlier processes left behind
// unfinished, which is why no other process may be using root.
func Open(root string) (*Files, error) {
	f := &Files{root: root, boot: cmp.Or(backend.BootID(), uuid.NewString()), verified: newVerified(), fsync: (*os.File).Sync, startWriteback: startWriteback}
	f.commits.busy = make(map[digest.Digest]*commit)
	if err := f.makeFolders(); err != nil {
		return nil, fmt.Errorf("prepare blob folder %s: %w", root, err)
	}
	if err := f.cleanIncoming(); err != nil {
		return nil, fmt.Errorf("clean up blob folder %s: %w", root, err)
	}
	return f, nil
}

func (f *Files) incoming(name string) string { return filepath.Join(f.root, "incoming", name) }

func (f *Files) algorithmFolder(a digest.Algorithm) string {
	return filepath.Join(f.root, "blobs", a.String())
}

// path returns where blob d is. An error says that d is no digest, and keeps it from leading out of root.
func (f *Files) path(d digest.Digest) (string, error) {
	d, err := mirror.ParseDigest(d.String())
	if err != nil {
		return "", err
	}
	return filepath.Join(f.algorithmFolder(d.Algorithm()), d.Encoded()[:2], d.Encoded()), nil
}

// algorithms are those that [mirror.ValidAlgorithm] admits.
func algorithms() []digest.Algorithm { return []digest.Algorithm{digest.SHA256, digest.SHA512} }

// makeFolders syncs even what it finds, because a process that made it may have died before it did.
func (f *Files) makeFolders() error {
	if err := f.makeFolder(f.incoming("")); err != nil {
		return err
	}
	for _, a := range algorithms() {
		if err := f.makeFolder(f.algorithmFolder(a)); err != nil {
			return err
		}
	}
	if err := f.syncFolder(filepath.Join(f.root, "blobs")); err != nil {
		return err
	}
	return f.syncFolder(f.root)
}

// makeFolder is os.MkdirAll with each new folder made durable.
func (f *Files) makeFolder(path string) error {
	path = filepath.Clean(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := f.makeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return f.syncFolder(parent)
}

// prepare makes the folder of a blob durable before the first blob of this process goes there. It syncs one that it
// finds for the same reason as makeFolders. Writers that need the same folder at once each do it, and wait for no other.
func (f *Files) prepareFolder(folder string) error {
	if _, ok := f.durableFolders.Load(folder); ok {
		return nil
	}
	if err := os.Mkdir(folder, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := f.syncFolder(filepath.Dir(folder)); err != nil {
		return err
	}
	f.durableFolders.Store(folder, true)
	return nil
}

// syncFolder makes names that were added to a folder durable.
func (f *Files) syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there; NTFS journals its names
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return f.fsync(folder)
}
