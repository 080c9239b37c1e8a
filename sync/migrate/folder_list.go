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

// pageSize is how many entries of a folder are read at once.
const pageSize = 1000

// maxLinks is how many symbolic links the path of a repository may contain: folders that link to one another could otherwise
// have an unlimited number of names.
const maxLinks = 4

// repositories implements [source].
func (f *folder) repositories(ctx context.Context, skip func(string, error)) (names []string, err error) {
	var parents []fs.FileInfo // of the folder that is being read
	var walk func(name string, links int)
	walk = func(name string, links int) {
		info, err := os.Stat(f.at(path.Join(repositories, name)))
		if err == nil && slices.ContainsFunc(parents, func(dir fs.FileInfo) bool { return os.SameFile(dir, info) }) {
			skip(name, mirror.Errorf(mirror.CodeNameInvalid, "it is a link to one of its parent folders"))
			return
		}
		parents = append(parents, info)
		defer func() { parents = parents[:len(parents)-1] }()
		for entry, entryErr := range f.entries(path.Join(repositories, name)) {
			switch {
			case ctx.Err() != nil:
				return
			case entryErr != nil && name == "" && errors.Is(entryErr, fs.ErrNotExist): // nothing was ever pushed
			case entryErr != nil:
				skip(path.Join(name, "*"), entryErr)
			case strings.HasPrefix(entry.Name(), "_"):
				if entry.Name() == "_manifests" {
					names = append(names, name)
				}
			case !f.isFolder(path.Join(repositories, name, entry.Name())):
				skip(path.Join(name, entry.Name()), mirror.Errorf(mirror.CodeNameInvalid, "it is not a folder"))
			default:
				below := path.Join(name, entry.Name())
				if err := (mirror.Repo{Host: "localhost", Path: below}).Validate(); err != nil {
					skip(below, err)
					continue
				}
				if entry.Type()&fs.ModeSymlink == 0 {
					walk(below, links)
				} else if links < maxLinks {
					walk(below, links+1)
				} else {
					skip(below, mirror.Errorf(mirror.CodeNameInvalid, "its path has more than %d symbolic links", maxLinks))
				}
			}
		}
	}
	walk("", 0)
	return names, ctx.Err()
}

// isFolder reports whether a name is that of a folder or of a link to one.
func (f *folder) isFolder(name string) bool {
	info, err := os.Stat(f.at(name))
	return err == nil && info.IsDir()
}

// roots implements [source].
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
			if errors.Is(err, fs.ErrNotExist) { // the tag was deleted, or is being pushed
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
					if _, err := os.Lstat(f.at(path.Join(within, entry.Name(), "link"))); errors.Is(err, fs.ErrNotExist) {
						continue // the manifest was deleted
					}
				}
				if !yield(root{digest: d}, err) {
					return
				}
			}
		}
	}
}

// entries yields the entries of a folder in no particular order, or the error of reading it.
func (f *folder) entries(name string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		info, err := os.Stat(f.at(name))
		if err == nil && !info.IsDir() {
			err = mirror.Errorf(mirror.CodeUnsupported, "%s is not a folder", name)
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
