package migrate

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// pageSize is how many entries of a folder are read at a time.
const pageSize = 1000

// maxLinks is how many symbolic links there may be on the way to a repository: folders that link to one another could
// otherwise make more names than anybody can read.
const maxLinks = 4

// repositories implements [place].
func (f *folder) repositories(ctx context.Context, leave func(string, error)) (names []string, err error) {
	var above []fs.FileInfo // the folders that the walk is in
	var walk func(name string, links int)
	walk = func(name string, links int) {
		info, err := os.Stat(f.at(path.Join(repositories, name)))
		if err == nil && slices.ContainsFunc(above, func(dir fs.FileInfo) bool { return os.SameFile(dir, info) }) {
			leave(name, mirror.Errorf(mirror.CodeNameInvalid, "it is a link back to a folder that it is in"))
			return
		}
		above = append(above, info)
		defer func() { above = above[:len(above)-1] }()
		for entry, failed := range f.entries(path.Join(repositories, name)) {
			switch {
			case ctx.Err() != nil:
				return
			case failed != nil && name == "" && errors.Is(failed, fs.ErrNotExist): // nothing was ever pushed
			case failed != nil:
				leave(path.Join(name, "*"), failed)
			case strings.HasPrefix(entry.Name(), "_"):
				if entry.Name() == "_manifests" {
					names = append(names, name)
				}
			case !f.isFolder(path.Join(repositories, name, entry.Name())):
				leave(path.Join(name, entry.Name()), mirror.Errorf(mirror.CodeNameInvalid, "it is no folder"))
			default:
				below := path.Join(name, entry.Name())
				if err := (mirror.Repo{Host: "localhost", Path: below}).Validate(); err != nil {
					leave(below, err)
					continue
				}
				if entry.Type()&fs.ModeSymlink == 0 {
					walk(below, links)
				} else if links < maxLinks {
					walk(below, links+1)
				} else {
					leave(below, mirror.Errorf(mirror.CodeNameInvalid, "it is a link behind %d others", maxLinks))
				}
			}
		}
	}
	walk("", 0)
	return names, ctx.Err()
}

// isFolder reports whether a name is that of a folder, or of a link to one.
func (f *folder) isFolder(name string) bool {
	info, err := os.Stat(f.at(name))
	return err == nil && info.IsDir()
}

// roots implements [place].
func (f *folder) roots(ctx context.Context, name string) iter.Seq2[root, error] {
	return func(yield func(root, error) bool) {
		for r, err := range f.tags(name) {
			if ctx.Err() != nil || !yield(r, err) {
				return
			}
		}
		for r, err := range f.revisions(name) {
			if ctx.Err() != nil || !yield(r, err) {
				return
			}
		}
	}
}

func (f *folder) tags(name string) iter.Seq2[root, error] {
	return func(yield func(root, error) bool) {
		folder := path.Join(manifestsOf(name), "tags")
		for entry, err := range f.entries(folder) {
			if errors.Is(err, fs.ErrNotExist) {
				return
			}
			if err != nil {
				yield(root{}, err)
				return
			}
			d, err := f.link(path.Join(folder, entry.Name(), "current"))
			if errors.Is(err, fs.ErrNotExist) { // it was deleted, or is just being pushed
				continue
			}
			if !yield(root{tag: entry.Name(), digest: d}, err) {
				return
			}
		}
	}
}

func (f *folder) revisions(name string) iter.Seq2[root, error] {
	return func(yield func(root, error) bool) {
		folder := path.Join(manifestsOf(name), "revisions")
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			within := path.Join(folder, algorithm.String())
			for entry, err := range f.entries(within) {
				if errors.Is(err, fs.ErrNotExist) {
					break
				}
				if err != nil {
					yield(root{}, err)
					return
				}
				d, err := mirror.ParseDigest(algorithm.String() + ":" + entry.Name())
				if err == nil {
					if _, gone := os.Lstat(f.at(path.Join(within, entry.Name(), "link"))); errors.Is(gone, fs.ErrNotExist) {
						continue // it was deleted
					}
				}
				if !yield(root{digest: d}, err) {
					return
				}
			}
		}
	}
}

// entries yields what is in a folder, in no order, or why that cannot be read.
func (f *folder) entries(name string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		info, err := os.Stat(f.at(name))
		if err == nil && !info.IsDir() {
			err = mirror.Errorf(mirror.CodeUnsupported, "%s is no folder", name)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		dir, err := os.OpenFile(f.at(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			yield(nil, err)
			return
		}
		defer dir.Close()
		for {
			page, err := dir.ReadDir(pageSize)
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}
