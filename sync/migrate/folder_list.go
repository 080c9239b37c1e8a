package migrate

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// pageSize is how many entries of a folder are read at a time.
const pageSize = 1000

// repositories implements [place].
func (f *folder) repositories(ctx context.Context, leave func(string, error)) (names []string, err error) {
	var walk func(name string)
	walk = func(name string) {
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
			case !entry.IsDir():
				leave(path.Join(name, entry.Name()), mirror.Errorf(mirror.CodeNameInvalid, "it is no folder, and links are not followed"))
			default:
				below := path.Join(name, entry.Name())
				if err := (mirror.Repo{Host: "localhost", Path: below}).Validate(); err != nil {
					leave(below, err)
					continue
				}
				walk(below)
			}
		}
	}
	walk("")
	return names, ctx.Err()
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
					if _, gone := f.root.Lstat(path.Join(within, entry.Name(), "link")); errors.Is(gone, fs.ErrNotExist) {
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
		info, err := f.root.Lstat(name)
		if err == nil && !info.IsDir() {
			err = mirror.Errorf(mirror.CodeUnsupported, "%s is no folder", name)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		dir, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
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
