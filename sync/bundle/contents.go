package bundle

import (
	"cmp"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// maxLinks is the maximum number of links from a name to a file.
const maxLinks = 8

// contents is what was read from an archive so far.
type contents struct {
	limits    Limits
	folders   map[string]*layoutFolder // by the name of the folder
	zarf      map[string]bool          // folders with a zarf package
	index     *v1.Index                // manifests of all layouts, set by finish; nil if there is no layout
	docker    []loadable               // items of all manifest.json files, set by finish
	listed    map[digest.Digest]bool
	blobs     map[digest.Digest]bool // files whose names are digests
	files     map[string]file        // by name
	links     map[string]string      // targets by name
	keptJSON  map[digest.Digest][]byte
	keptBytes int64 // size of keptJSON
	keptFull  bool  // some JSON did not fit into keptJSON
	conflict  error // a file occurred twice with different content
	workBytes int64 // bytes of JSON that were parsed for manifest.json
}

// file is an entry that was passed to the caller.
type file struct {
	digest      digest.Digest
	size        int64
	compression string // result of the function compression
}

// layoutFolder is what was read of an image layout, or of an archive of docker save, in one folder.
type layoutFolder struct {
	layout, blobs bool // an oci-layout, or a blob, was read
	index         *v1.Index
	docker        []loadable // nil until manifest.json was read
	// indexSum and dockerSum are the digests of the files, which may occur twice.
	indexSum, dockerSum digest.Digest
	failed              error // error in a file, which matters if the folder is a layout
}

func newContents(limits Limits) contents {
	return contents{limits: limits, folders: map[string]*layoutFolder{}, zarf: map[string]bool{}, blobs: map[digest.Digest]bool{}, listed: map[digest.Digest]bool{}, files: map[string]file{}, links: map[string]string{},
		keptJSON: map[digest.Digest][]byte{}}
}

// folder returns what was read in a folder.
func (f *contents) folder(dir string) *layoutFolder {
	if f.folders[dir] == nil {
		f.folders[dir] = &layoutFolder{}
	}
	return f.folders[dir]
}

// hasIndex reports whether the index.json of a layout was read.
func (f *contents) hasIndex() bool {
	for dir, at := range f.folders {
		if at.index != nil && at.isLayout(dir) {
			return true
		}
	}
	return false
}

// isLayout reports whether a folder is an image layout. An index.json below the top need not belong to one.
func (at *layoutFolder) isLayout(dir string) bool { return dir == "." || at.layout || at.blobs }

func (f *contents) readLayout(dir string, data []byte) error {
	var layout v1.ImageLayout
	if err := f.limits.decode(LayoutName, data, &layout); err != nil {
		return err
	}
	if major, _, _ := strings.Cut(layout.Version, "."); major != "1" {
		return invalid("the image layout has version %q, and this program reads version 1", short(layout.Version))
	}
	f.folder(dir).layout = true
	return nil
}

func (f *contents) readIndex(dir string, data []byte) error {
	at := f.folder(dir)
	sum := digest.FromBytes(data)
	if at.index != nil {
		return checkSame(path.Join(dir, IndexName), at.indexSum, sum)
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
	at.index, at.indexSum = index, sum
	return nil
}

func (f *contents) readDocker(dir string, data []byte) error {
	at := f.folder(dir)
	sum := digest.FromBytes(data)
	if at.docker != nil {
		return checkSame(path.Join(dir, DockerName), at.dockerSum, sum)
	}
	var one struct{ SchemaVersion int }
	if json.Unmarshal(data, &one) == nil && one.SchemaVersion > 0 {
		return invalid("%s describes a single image in the dir: format of skopeo and podman: use oci-archive: or docker-archive: instead", path.Join(dir, DockerName))
	}
	var list []loadable
	if err := f.limits.decode(DockerName, data, &list); err != nil {
		return err
	}
	at.docker, at.dockerSum = append([]loadable{}, list...), sum // not nil, even if list is empty
	return nil
}

// checkSame rejects a second file of the same name with other content.
func checkSame(name string, before, now digest.Digest) error {
	if before != now {
		return duplicate(name)
	}
	return nil
}

// finish merges the content of all folders at the end of the archive. An error in an index.json or manifest.json counts
// if its folder is a layout, or if there is no other.
func (f *contents) finish() error {
	var failed error
	for _, dir := range slices.Sorted(maps.Keys(f.folders)) {
		at := f.folders[dir]
		if at.failed != nil && at.isLayout(dir) {
			return at.failed
		}
		failed = cmp.Or(failed, at.failed)
		if at.index != nil && at.isLayout(dir) {
			f.addIndex(at.index, dir != "." && f.zarf[path.Dir(dir)])
		}
		if at.docker != nil && f.docker == nil {
			f.docker = []loadable{}
		}
		for _, item := range at.docker {
			f.docker = append(f.docker, item.in(dir))
		}
	}
	if f.index == nil && f.docker == nil {
		return failed
	}
	return nil
}

// addIndex adds the manifests of one index.json. Zarf writes image names to the annotation for the base image.
func (f *contents) addIndex(index *v1.Index, zarf bool) {
	if f.index == nil {
		f.index = &v1.Index{}
	}
	for _, desc := range index.Manifests {
		name := desc.Annotations[v1.AnnotationBaseImageName]
		if zarf && name != "" && desc.Annotations[AnnotationName] == "" && desc.Annotations[v1.AnnotationRefName] == "" {
			desc.Annotations = maps.Clone(desc.Annotations)
			desc.Annotations[AnnotationName] = name
		}
		f.index.Manifests = append(f.index.Manifests, desc)
	}
}

// hasBlob reports whether a file with the name of digest d was read.
func (f *contents) hasBlob(d digest.Digest) bool { return f.blobs[d] }

// add records an entry. A second entry of the same name without a digest is compared when its digest is known.
func (f *contents) add(name string, what file) error {
	if _, ok := f.links[name]; ok {
		return duplicate(name)
	}
	if before, ok := f.files[name]; ok {
		if before.size != what.size || before.digest != what.digest && before.digest != "" && what.digest != "" {
			return duplicate(name)
		}
		return nil
	}
	if d, _ := digestInName(name); d != "" {
		f.blobs[d] = true
	}
	f.files[name] = what
	return nil
}

func duplicate(name string) error {
	return invalid("%s occurs twice with different content", short(name))
}

// setDigest records the digest of an entry, which the caller computed.
func (f *contents) setDigest(name string, d digest.Digest) {
	what := f.files[name]
	if what.digest != "" && what.digest != d {
		f.conflict = duplicate(name)
		return
	}
	what.digest = d
	f.files[name] = what
}

// link records a link to target, relative to the folder dir. Old archives of docker save have layers that are links to
// layers of other images. Files that are named by digests are never links.
func (f *contents) link(name, dir, target string) error {
	to := path.Join(dir, target)
	if before, ok := f.links[name]; ok && before == to {
		return nil
	} else if _, file := f.files[name]; ok || file {
		return duplicate(name)
	}
	if path.IsAbs(target) || to == ".." || strings.HasPrefix(to, "../") || len(target) > maxName {
		return invalid("%s is a link out of the archive, to %q", name, short(target))
	}
	if d, _ := digestInName(name); d != "" || name == LayoutName || name == IndexName || name == DockerName {
		return invalid("%s is a link, to %q", name, short(target))
	}
	f.links[name] = to
	return nil
}

// hasRoom reports whether size more bytes can be kept.
func (f *contents) hasRoom(size int64) bool {
	if f.keptBytes+size > f.limits.Kept {
		f.keptFull = true
		return false
	}
	return true
}

func (f *contents) keep(d digest.Digest, data []byte) {
	if _, ok := f.keptJSON[d]; !ok {
		f.keptJSON[d] = data
		f.keptBytes += int64(len(data))
	}
}

// find returns the entry with a name from manifest.json. It follows links.
func (f *contents) find(name string) (file, error) {
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
	return file{}, invalid("%s is a chain of too many links", short(name))
}
