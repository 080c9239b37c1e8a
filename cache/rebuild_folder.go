package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"airmirror/cache/bolt"
	"airmirror/cache/files"
	"airmirror/mirror/durable"
)

var (
	// ErrRebuilding is the error if another process is rebuilding the index of a data folder.
	ErrRebuilding = errors.New("another process is rebuilding the index of the data folder")
	// ErrBackup is the error if the backup cannot be opened.
	ErrBackup = errors.New("cannot open the backup")
)

// RebuildFolder makes a new index for a data folder that no process has open. It sets sources.Old and
// sources.Unreadable from the index in the folder, and sources.Backup from the file at path backup, unless that is "".
// The new index replaces the old one only when it is complete. oldIndex is the new path of the old index; "" if there
// was none. RebuildFolder returns [ErrInUse], [ErrRebuilding] or [ErrBackup]; see [Rebuild] for the rest.
func RebuildFolder(ctx context.Context, folder, backup string, sources RebuildSources, report func(RebuildEvent)) (summary RebuildSummary, oldIndex string, err error) {
	r := &folderRebuild{ctx: ctx, folder: folder, index: filepath.Join(folder, IndexName)}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.openOld(&sources); err != nil {
		return summary, "", err
	}
	if err := r.openBackup(&sources, backup); err != nil {
		return summary, "", err
	}
	next, err := r.create()
	if err != nil {
		return summary, "", err
	}
	blobs, err := files.Open(folder)
	if err != nil {
		return summary, "", err
	}
	if summary, err = Rebuild(ctx, blobs, next, sources, report); err != nil {
		return summary, "", errors.Join(err, os.Remove(r.next()))
	}
	oldIndex, err = r.replace()
	return summary, oldIndex, err
}

// folderRebuild is a run of [RebuildFolder].
type folderRebuild struct {
	ctx      context.Context
	folder   string
	index    string // path of the index
	salvaged string // path of the readable part of a damaged index; "" if there is none
	opened   []io.Closer
}

// next returns the path of the new index before it replaces the old one.
func (r *folderRebuild) next() string { return r.index + ".new" }

// openOld opens the old index, if there is one, and locks it.
func (r *folderRebuild) openOld(sources *RebuildSources) error {
	if _, err := os.Stat(r.index); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	index, err := bolt.OpenCopy(r.index)
	if errors.Is(err, bolt.ErrDamaged) {
		return r.salvage(sources, err)
	}
	if err != nil {
		return err
	}
	r.opened = append(r.opened, index)
	sources.Old = index
	return nil
}

// salvage copies the readable part of a damaged index, and opens the copy instead.
func (r *folderRebuild) salvage(sources *RebuildSources, damage error) error {
	lock, err := bolt.Lock(r.index)
	if err != nil {
		return err
	}
	r.opened = append(r.opened, lock)
	r.salvaged = r.index + ".read"
	if err := removeLeftover(r.salvaged); err != nil {
		return err
	}
	if sources.Unreadable, err = bolt.Salvage(r.ctx, r.index, r.salvaged); err != nil {
		return err
	}
	if len(sources.Unreadable) == 0 {
		sources.Unreadable = []error{damage}
	}
	index, err := bolt.OpenCopy(r.salvaged)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing could be read
	}
	if err != nil {
		return err
	}
	r.opened = append(r.opened, index)
	sources.Old = index
	return nil
}

// openBackup opens the backup at path, unless that is the old index, which is open already.
func (r *folderRebuild) openBackup(sources *RebuildSources, path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	if old, err := os.Stat(r.index); err == nil && os.SameFile(old, info) {
		return nil
	}
	index, err := bolt.OpenCopy(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	r.opened = append(r.opened, index)
	sources.Backup = index
	return nil
}

// create creates the new index. It replaces one that an interrupted rebuild left.
func (r *folderRebuild) create() (*bolt.Index, error) {
	leftover, err := bolt.Open(r.next()) // fails if another process has it open
	if err == nil {
		err = leftover.Close()
	}
	if errors.Is(err, bolt.ErrLocked) {
		return nil, ErrRebuilding
	}
	if err := removeLeftover(r.next()); err != nil {
		return nil, err
	}
	index, err := bolt.Open(r.next())
	if err != nil {
		return nil, err
	}
	r.opened = append(r.opened, index)
	return index, nil
}

// replace renames the old index, moves the new one to its place, and returns the new path of the old one. Both are
// open, so no other process can open them.
func (r *folderRebuild) replace() (oldIndex string, err error) {
	renamed := r.index + "." + time.Now().UTC().Format("20060102T150405.000Z")
	err = os.Link(r.index, renamed) // a link instead of a rename: the folder always has an index
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(r.index, renamed) // this file system has no hard links
	}
	switch {
	case err == nil:
		oldIndex = renamed
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("keep the old index: %w", err)
	}
	if err := os.Rename(r.next(), r.index); err != nil {
		return oldIndex, err
	}
	return oldIndex, durable.SyncFolder(r.folder)
}

// close closes what is open, in reverse order, and deletes the salvaged index.
func (r *folderRebuild) close() (err error) {
	for i := len(r.opened) - 1; i >= 0; i-- {
		err = errors.Join(err, r.opened[i].Close())
	}
	if r.salvaged != "" {
		err = errors.Join(err, removeLeftover(r.salvaged))
	}
	return err
}

// removeLeftover deletes a file that an interrupted rebuild may have left.
func removeLeftover(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
