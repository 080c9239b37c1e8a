package bundle

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// folderSource reads an image layout in a folder.
type folderSource struct {
	root       *os.Root
	limits     Limits
	contents   contents
	pending    []folderEntry // entries to yield
	readBytes  int64
	totalBytes int64
	file       *os.File // file of the current entry
	entry      *Entry
	err        error
}

// folderEntry is a file that will be yielded.
type folderEntry struct {
	File
	manifest bool
}

// OpenFolder returns a Reader for an OCI image layout in a folder. It yields the content that index.json refers to,
// manifests first. Links out of the folder are not followed.
func OpenFolder(path string, limits Limits) (*Reader, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	limits = limits.withDefaults()
	f := &folderSource{root: root, limits: limits, contents: newContents(limits)}
	err = f.readFile(LayoutName, f.contents.readLayout)
	if err == nil {
		err = f.readFile(IndexName, f.contents.readIndex)
	}
	if err == nil {
		err = f.contents.finish()
	}
	if err == nil {
		err = f.walk()
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Reader{f}, nil
}

func (f *folderSource) kind() Kind                      { return KindLayout }
func (f *folderSource) setDigest(*Entry, digest.Digest) {}
func (f *folderSource) offset() int64                   { return f.readBytes }

func (f *folderSource) roots() ([]Root, error) { return f.contents.roots() }

func (f *folderSource) Close() error {
	f.err = fs.ErrClosed
	return errors.Join(f.closeEntry(), f.root.Close())
}

func (f *folderSource) closeEntry() error {
	file := f.file
	f.file, f.entry = nil, nil
	if file == nil {
		return nil
	}
	return file.Close()
}

// open opens a regular file of at most limit bytes. Opening a named pipe could block for ever.
func (f *folderSource) open(name string, limit int64) (*os.File, int64, error) {
	info, err := f.root.Stat(filepath.FromSlash(name))
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, invalid("%s is not a regular file", name)
	}
	if info.Size() > limit {
		return nil, 0, invalid("%s is larger than %d bytes", name, limit)
	}
	file, err := f.root.Open(filepath.FromSlash(name))
	return file, info.Size(), err
}

func (f *folderSource) load(name string, limit int64) ([]byte, error) {
	file, size, err := f.open(name, limit)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(file, name, size, limit)
}

func (f *folderSource) readFile(name string, take func(dir string, data []byte) error) error {
	data, err := f.load(name, f.limits.Index)
	if errors.Is(err, fs.ErrNotExist) {
		return &mirror.Error{Code: mirror.CodeBundleInvalid, Message: "the folder is not an image layout: it has no " + name, Cause: err}
	}
	if err != nil {
		return err
	}
	return take(".", data)
}

// walk lists the content that index.json refers to. Missing files are no error: an index may lack platforms, and the
// mirror may have stored them already.
func (f *folderSource) walk() error {
	seen := map[digest.Digest]bool{}
	var blobs []folderEntry
	queue := slices.Clone(f.contents.index.Manifests)
	for ; len(queue) > 0; queue = queue[1:] {
		desc := queue[0]
		if seen[desc.Digest] {
			continue
		}
		seen[desc.Digest] = true
		refs, found, err := f.manifest(desc)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		f.pending = append(f.pending, folderEntry{File{desc.Digest, desc.Size}, true})
		for role, named := range refs.Owned() {
			manifest := role == mirror.RoleManifest || role > mirror.RoleManifest && named.MediaType != "" && mirror.LooksLikeManifest(named.MediaType)
			switch {
			case seen[named.Digest]:
			case manifest && named.Size >= 0:
				queue = append(queue, named)
			case role == mirror.RoleBlob:
				seen[named.Digest] = true
				blobs = append(blobs, folderEntry{File{named.Digest, named.Size}, false})
			default: // content that a manifest does not need may have any size
				seen[named.Digest] = true
				if info, err := f.root.Stat(filepath.FromSlash(blobName(named.Digest))); err == nil {
					blobs = append(blobs, folderEntry{File{named.Digest, info.Size()}, false})
				}
			}
		}
		if len(queue[1:])+len(f.pending)+len(blobs) > f.limits.Entries {
			return invalid("the folder has more than %d manifests and blobs", f.limits.Entries)
		}
	}
	f.pending = append(f.pending, blobs...)
	return nil
}

// manifest reads a manifest. found is false if it does not exist.
func (f *folderSource) manifest(desc v1.Descriptor) (refs mirror.References, found bool, err error) {
	name := blobName(desc.Digest)
	data, err := f.load(name, mirror.MaxManifestSize)
	if errors.Is(err, fs.ErrNotExist) {
		return refs, false, nil
	}
	if err != nil {
		return refs, false, err
	}
	if int64(len(data)) != desc.Size || desc.Digest.Algorithm().FromBytes(data) != desc.Digest {
		return refs, false, invalid("the content of %s does not match its digest: it is damaged", name)
	}
	if _, refs, err = mirror.ParseManifest(desc.MediaType, data); err != nil {
		return refs, false, invalid("%s: %w", name, err)
	}
	return refs, true, nil
}

func (f *folderSource) next() (*Entry, error) {
	if err := f.closeEntry(); err != nil && f.err == nil {
		f.err = err
	}
	for f.err == nil {
		if len(f.pending) == 0 {
			f.err = io.EOF
			break
		}
		item := f.pending[0]
		f.pending = f.pending[1:]
		name := blobName(item.Digest)
		file, size, err := f.open(name, item.Size)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && size != item.Size {
			err = errors.Join(invalid("%s has %d bytes, and its descriptor says %d", name, size, item.Size), file.Close())
		}
		if f.totalBytes += item.Size; err == nil && f.limits.MaxBytes > 0 && f.totalBytes > f.limits.MaxBytes {
			err = errors.Join(invalid("the folder has more than the allowed %d bytes", f.limits.MaxBytes), file.Close())
		}
		if err != nil {
			f.err = err
			break
		}
		f.file = file
		f.entry = &Entry{Digest: item.Digest, Size: size, Manifest: item.manifest, source: f, name: name}
		f.entry.Reader = &folderEntryReader{f: f, e: f.entry, rest: size}
		return f.entry, nil
	}
	return nil, f.err
}

// folderEntryReader reads the content of an entry.
type folderEntryReader struct {
	f    *folderSource
	e    *Entry
	rest int64
}

func (r *folderEntryReader) Read(p []byte) (int, error) {
	if r.f.entry != r.e {
		return 0, errEntryClosed
	}
	if r.rest == 0 {
		return 0, io.EOF
	}
	n, err := r.f.file.Read(p[:min(int64(len(p)), r.rest)])
	r.rest -= int64(n)
	r.f.readBytes += int64(n)
	if err == io.EOF {
		err = truncated(r.f.readBytes)
	}
	return n, err
}
