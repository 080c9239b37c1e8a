package bundle

import (
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// maxLinks is how many links may lead to a file.
const maxLinks = 8

// found is what came of an archive so far.
type found struct {
	limits Limits
	index  *v1.Index
	docker []loadable // manifest.json; nil before it came
	listed map[digest.Digest]bool
	files  map[string]file   // by name
	links  map[string]string // to what they point at
	kept   map[digest.Digest][]byte
	size   int64 // of what is kept
	full   bool  // some could not be kept
	worked int64 // bytes that were made sense of for manifest.json
}

// file is an entry that the caller was given: its digest, if that is known, and size.
type file struct {
	digest digest.Digest
	size   int64
	packed string // as compression says
}

func newFound(limits Limits) found {
	return found{limits: limits, listed: map[digest.Digest]bool{}, files: map[string]file{}, links: map[string]string{},
		kept: map[digest.Digest][]byte{}}
}

func (f *found) takeLayout(data []byte) error {
	var layout v1.ImageLayout
	if err := f.limits.decode(LayoutName, data, &layout); err != nil {
		return err
	}
	if major, _, _ := strings.Cut(layout.Version, "."); major != "1" {
		return invalid("the image layout is of version %q, and this program reads 1", short(layout.Version))
	}
	return nil
}

func (f *found) takeIndex(data []byte) error {
	if f.index != nil {
		return twice(IndexName)
	}
	index := new(v1.Index)
	if err := f.limits.decode(IndexName, data, index); err != nil {
		return err
	}
	for _, desc := range index.Manifests {
		_, err := mirror.ParseDigest(desc.Digest.String())
		if err != nil || desc.Size < 0 || desc.Size > mirror.MaxManifestSize {
			return invalid("%s lists a manifest with digest %q and %d bytes", IndexName, short(desc.Digest.String()), desc.Size)
		}
		f.listed[desc.Digest] = true
	}
	f.index = index
	return nil
}

func (f *found) takeDocker(data []byte) error {
	if f.docker != nil {
		return twice(DockerName)
	}
	err := f.limits.decode(DockerName, data, &f.docker)
	f.docker = append([]loadable{}, f.docker...) // never nil
	return err
}

// add notes an entry.
func (f *found) add(name string, what file) error {
	if _, ok := f.files[name]; ok || f.links[name] != "" {
		return twice(name)
	}
	f.files[name] = what
	return nil
}

func twice(name string) error { return invalid("%s comes twice", name) }

// known notes the digest of an entry, which only who stored it could find out.
func (f *found) known(name string, d digest.Digest) {
	what := f.files[name]
	what.digest = d
	f.files[name] = what
}

// link notes a link to target, as seen from the folder dir. Old docker save archives have layers that are links to
// those of other images; content that is named by its digest is never one.
func (f *found) link(name, dir, target string) error {
	if _, ok := f.files[name]; ok || f.links[name] != "" {
		return twice(name)
	}
	to := path.Join(dir, target)
	if path.IsAbs(target) || to == ".." || strings.HasPrefix(to, "../") || len(target) > maxName {
		return invalid("%s is a link out of the archive, to %q", name, short(target))
	}
	if name == LayoutName || name == IndexName || name == DockerName || strings.HasPrefix(name, "blobs/") {
		return invalid("%s is a link, to %q", name, short(target))
	}
	f.links[name] = to
	return nil
}

// room reports whether size bytes more can be kept.
func (f *found) room(size int64) bool {
	if f.size+size > f.limits.Kept {
		f.full = true
		return false
	}
	return true
}

func (f *found) keep(d digest.Digest, data []byte) {
	if _, ok := f.kept[d]; !ok {
		f.kept[d] = data
		f.size += int64(len(data))
	}
}

// find returns the entry that manifest.json calls name.
func (f *found) find(name string) (file, error) {
	at := path.Clean(name)
	for range maxLinks {
		if what, ok := f.files[at]; ok {
			if what.digest == "" {
				return file{}, invalid("%s was not stored", at)
			}
			return what, nil
		}
		to, ok := f.links[at]
		if !ok {
			return file{}, invalid("%s names %q, which is not in the archive", DockerName, short(name))
		}
		at = to
	}
	return file{}, invalid("%s leads from link to link", short(name))
}
