// Package files stores blobs as files that are named by their digest. It implements [backend.Blobs] on a file system.
//
//	<root>/blobs/sha256/ab/abcd…       a blob, in a folder named after the first byte of its digest
//	<root>/blobs/sha512/ab/abcd…
//	<root>/incoming/<uuid>             content of a blob that is being written or suspended; created by the first write
//	<root>/incoming/states             states to resume such blobs; [Open] deletes content without a state
//	<root>/incoming/<uuid>.part        content of a partial blob; the caller keeps the state to resume it
//	<root>/quarantine/sha256-abcd…     a damaged blob, for an operator to examine or delete; never read again
//	<root>/quarantine/sha256-abcd….txt reason and time of the quarantine
//
// # Durable, then visible
//
// The content is verified and the file is fsynced before it is renamed to its place under blobs. [Files.Open] and
// [Files.Stat] of that digest wait until the folder is fsynced as well. So no caller relies on a blob that power loss
// could undo. A blob can be a hard link to a file of somebody else, see [Files.Link].
//
// # Verified blobs
//
// A file counts as verified after this process wrote it, or after [Files.Check] read all of it. It stays verified for a
// week, unless its inode, size or times change. If a blob is committed again, the new copy is dropped if the stored file
// is verified, and replaces it otherwise. Anything in the place of a blob that is not a regular file is quarantined.
//
// # Suspended blobs
//
// [writer.Suspend] does not fsync, so that a client that sends a blob in chunks waits for the disk only once, at the end.
// Bytes in the page cache survive the death of the process, but power loss loses any of them. The state therefore
// contains the boot ID of the machine. Within the same boot, the saved state of the hash is restored; after a reboot,
// the bytes in the file are hashed again. A checksum detects a state that power loss left partly overwritten. That
// upload is then unknown, and the client starts again.
//
// # Partial blobs
//
// [writer.SuspendPartial] makes a partial blob durable, because its source may not be available again. The caller stores
// its size and the state of its hash. Bytes beyond that size are truncated when the blob is resumed, so the caller's
// record is decisive, whatever happened to the process while it wrote.
package files

import (
	"cmp"
	_ "crypto/sha256" // for digest.Algorithm.Hash
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
	"airmirror/mirror/durable"
)

const (
	folderMode = 0o750
	fileMode   = 0o640
)

// Files is a folder of blobs. [Open] creates it. It needs no Close: it keeps no files open except those that it
// returned, and the file of states, which needs none.
type Files struct {
	root           string
	boot           string
	commits        commits
	states         *states
	durableFolders sync.Map // folders of blobs whose names are durable
	verified       *verified
	fsync          func(*os.File) error // replaced by tests, like startWriteback
	// startWriteback is [durable.StartWriteback].
	startWriteback func(file *os.File, from, n int64)
}

var _ backend.Blobs = (*Files)(nil)

// Open opens the folder root, and creates it if necessary. It deletes unfinished blobs of earlier processes that
// cannot be resumed. No other process may use root at the same time.
func Open(root string) (*Files, error) {
	f := &Files{root: root, boot: cmp.Or(backend.BootID(), uuid.NewString()), verified: newVerified(), fsync: (*os.File).Sync, startWriteback: durable.StartWriteback}
	f.commits.busy = make(map[digest.Digest]*commit)
	if err := f.makeFolders(); err != nil {
		return nil, fmt.Errorf("prepare blob folder %s: %w", root, err)
	}
	f.states = &states{path: f.incoming(statesFile)}
	if err := errors.Join(f.states.load(f.hasContent), f.cleanIncoming()); err != nil {
		return nil, fmt.Errorf("clean up blob folder %s: %w", root, err)
	}
	return f, nil
}

func (f *Files) incoming(name string) string { return filepath.Join(f.root, "incoming", name) }

func (f *Files) algorithmFolder(a digest.Algorithm) string {
	return filepath.Join(f.root, "blobs", a.String())
}

// path returns the path of blob d. It returns an error if d is not a digest, so the path never leads out of root.
func (f *Files) path(d digest.Digest) (string, error) {
	d, err := mirror.ParseDigest(d.String())
	if err != nil {
		return "", err
	}
	return filepath.Join(f.algorithmFolder(d.Algorithm()), d.Encoded()[:2], d.Encoded()), nil
}

// algorithms are those that [mirror.ValidAlgorithm] accepts.
func algorithms() []digest.Algorithm { return []digest.Algorithm{digest.SHA256, digest.SHA512} }

// makeFolders creates the folders. It fsyncs existing folders too, because the process that created one may have died
// before its fsync.
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

// makeFolder is os.MkdirAll, and makes each new folder durable.
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

// prepareFolder makes the folder of a blob durable before this process stores its first blob there. Like makeFolders,
// it also fsyncs an existing folder. Concurrent writers do not wait for one another; each prepares the folder.
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

// syncFolder makes new names in a folder durable.
func (f *Files) syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot sync folders; NTFS journals names
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return f.fsync(folder)
}
