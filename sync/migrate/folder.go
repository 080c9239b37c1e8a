package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// folder is the storage folder of the distribution registry, version 2 or 3. Below docker/registry/v2 it has:
//
//	blobs/sha256/ab/abcd…/data                                       content, also of manifests
//	repositories/team/app/_manifests/tags/v1/current/link            the digest that a tag points at
//	repositories/team/app/_manifests/revisions/sha256/abcd…/link     the repository has this manifest
//	repositories/team/app/_layers/sha256/abcd…/link                  and this blob
//
// The links say which content belongs to the repository. The link of a blob that a manifest needs is not read: the registry
// stored the manifest only because the repository had the blob. All names in this type are relative to the root, with
// slashes.
//
// Symbolic links to folders and to content are followed: blobs or repositories may be on another disk. Their content is
// verified like all other content. A file named link is never a symbolic link.
//
// https://github.com/distribution/distribution/blob/main/registry/storage/paths.go
type folder struct {
	store    mirror.ImportStore
	progress mirror.Progress
	path     string // of the root
	cache    bool   // the registry is a pull-through cache: it stores a schedule of evictions in the folder
}

const (
	layout   = "docker/registry/v2"
	schedule = "scheduler-state.json"
)

// maxLink is the maximal size of a link in bytes: a digest and an end of line.
const maxLink = 256

func openFolder(store mirror.ImportStore, req Request) (*folder, error) {
	if err := checkRequest(req, req.Root); err != nil {
		return nil, err
	}
	// The path of the folder docker/registry/v2 is accepted as well.
	name := strings.TrimSuffix(filepath.Clean(req.Root), filepath.FromSlash("/"+layout))
	f := &folder{store: store, progress: mirror.NoProgress{}, path: name}
	if _, err := os.ReadDir(name); err != nil {
		return nil, mirror.Errorf(mirror.CodeUnsupported, "the mirror cannot open the storage folder: %w", err)
	}
	info, err := os.Stat(f.at(layout))
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a folder")
	}
	if err != nil {
		return nil, mirror.Errorf(mirror.CodeUnsupported,
			"%s is not the storage folder of a registry: it has no folder %s (%w); name the rootdirectory of the registry's configuration, usually /var/lib/registry",
			name, layout, err)
	}
	_, err = os.Lstat(f.at(schedule))
	f.cache = err == nil
	return f, nil
}

// at returns the path of a name in the folder.
func (f *folder) at(name string) string { return filepath.Join(f.path, filepath.FromSlash(name)) }

func (f *folder) manifest(ctx context.Context, name string, d digest.Digest) (mirror.Manifest, error) {
	if err := ctx.Err(); err != nil {
		return mirror.Manifest{}, err
	}
	link, err := f.link(path.Join(manifestsOf(name), "revisions", d.Algorithm().String(), d.Encoded()))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return mirror.Manifest{}, mirror.Errorf(mirror.CodeManifestUnknown, "the repository does not have manifest %s: it was deleted", d)
	case err != nil:
		return mirror.Manifest{}, err
	case link != d:
		return mirror.Manifest{}, mirror.Errorf(mirror.CodeDigestInvalid, "its link has another digest, %s", link)
	}
	data, err := f.read(dataOf(d), mirror.MaxManifestSize)
	if errors.Is(err, fs.ErrNotExist) {
		return mirror.Manifest{}, mirror.Errorf(mirror.CodeBlobUnknown, "the registry has lost it: %s is missing", dataOf(d))
	}
	if err != nil {
		return mirror.Manifest{}, err
	}
	if actual := d.Algorithm().FromBytes(data); actual != d {
		return mirror.Manifest{}, mirror.Errorf(mirror.CodeDigestInvalid, "it is damaged: %s has digest %s", dataOf(d), actual)
	}
	return mirror.Manifest{Digest: d, Bytes: data}, nil
}

// referrers implements [source]. It returns nothing: roots yields all manifests of the repository.
func (f *folder) referrers(context.Context, string, digest.Digest) ([]digest.Digest, error) {
	return nil, nil
}

func (f *folder) fetch(ctx context.Context, _ string, b blob) (linked bool, err error) {
	name := dataOf(b.digest)
	file, err := filepath.EvalSymlinks(f.at(name)) // a hard link must be to the file
	var info fs.FileInfo
	if err == nil {
		info, err = os.Lstat(file)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is missing from the registry", b.digest)
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, mirror.Errorf(mirror.CodeUnsupported, "blob %s is not a regular file", b.digest)
	case b.size >= 0 && info.Size() != b.size:
		return false, errSize(b, info.Size())
	}
	b.size = info.Size()
	f.progress.AddTotal(b.size)
	linked, err = f.store.ImportFile(ctx, b.digest, file)
	f.progress.AddDone(b.size)
	if err == nil || ctx.Err() != nil {
		return linked, err
	}
	if mirror.CodeOf(err) == mirror.CodeDigestInvalid {
		return false, mirror.Errorf(mirror.CodeDigestInvalid, "blob %s is damaged: %s has another digest", b.digest, name)
	}
	if isContentError(err) {
		return false, err
	}
	if unreadable := f.readable(ctx, name); unreadable != nil {
		return false, fmt.Errorf("blob %s cannot be read: %w", b.digest, unreadable)
	}
	return false, &storeError{err}
}

// has implements [source]. A blob belongs to the repository if there is a link to it.
func (f *folder) has(_ context.Context, name string, d digest.Digest) error {
	_, err := f.link(path.Join(repositories, name, "_layers", d.Algorithm().String(), d.Encoded()))
	if errors.Is(err, fs.ErrNotExist) {
		return mirror.Errorf(mirror.CodeBlobUnknown, "the repository does not have blob %s", d)
	}
	return err
}

// readable reads a file and returns the error, if any.
func (f *folder) readable(ctx context.Context, name string) error {
	file, err := os.OpenFile(f.at(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	defer context.AfterFunc(ctx, func() { file.Close() })()
	_, err = io.Copy(io.Discard, file)
	return err
}

// link reads the digest in the file named link of a folder.
func (f *folder) link(folder string) (digest.Digest, error) {
	name := path.Join(folder, "link")
	info, err := os.Lstat(f.at(name))
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		err = mirror.Errorf(mirror.CodeUnsupported, "%s is not a regular file", name)
	}
	if err != nil {
		return "", err
	}
	text, err := f.read(name, maxLink)
	if err != nil {
		return "", err
	}
	return mirror.ParseDigest(strings.TrimSpace(string(text)))
}

// read reads a file of up to limit bytes.
func (f *folder) read(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(f.at(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, mirror.Errorf(mirror.CodeUnsupported, "%s is not a regular file", name)
	}
	// It may have been replaced by a named pipe meanwhile, which would block.
	file, err := os.OpenFile(f.at(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, mirror.Errorf(mirror.CodeSizeInvalid, "%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

const repositories = layout + "/repositories"

func manifestsOf(name string) string { return path.Join(repositories, name, "_manifests") }

func dataOf(d digest.Digest) string {
	return path.Join(layout, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded(), "data")
}
