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

// maxLinks is how many links may lead to a file.
const maxLinks = 8

// found is what came of an archive so far.
type contents struct {
	limits    Limits
	folders   map[string]*layoutFolder // by their folder
	zarf      map[string]bool          // folders with a package of zarf
	index     *v1.Index                // what all layouts list, once everything came; nil if there is none
	docker    []loadable               // the same of all manifest.json
	listed    map[digest.Digest]bool
	blobs     map[digest.Digest]bool // files that are named by it
	files     map[string]file        // by name
	links     map[string]string      // to what they point at
	keptJSON  map[digest.Digest][]byte
	keptBytes int64 // of what is kept
	keptFull  bool  // some could not be kept
	// conflict says of a file that it came twice, with other content.
	conflict  error
	workBytes int64 // bytes that were made sense of for manifest.json
}

// file is an entry that the caller was given: its digest, if that is known, and size.
type file struct {
	digest      digest.Digest
	size        int64
	compression string // as compression says
}

// layoutFolder is what came of an image layout, or of what docker save wrote, in one folder.
type layoutFolder struct {
	layout, blobs bool // oci-layout came, or blobs
	index         *v1.Index
	docker        []loadable // nil before manifest.json came
	// indexSum and dockerSum are what the files were: an archive may have them twice.
	indexSum, dockerSum digest.Digest
	failed              error // what is wrong with a file, if that is one of a layout at all
}

func newContents(limits Limits) contents {
	return contents{limits: limits, folders: map[string]*layoutFolder{}, zarf: map[string]bool{}, blobs: map[digest.Digest]bool{}, listed: map[digest.Digest]bool{}, files: map[string]file{}, links: map[string]string{},
		keptJSON: map[digest.Digest][]byte{}}
}

// at returns what is known of a folder.
func (f *contents) folder(dir string) *layoutFolder {
	if f.folders[dir] == nil {
		f.folders[dir] = &layoutFolder{}
	}
	return f.folders[dir]
}

// hasIndex reports whether an index.json of a layout came.
func (f *contents) hasIndex() bool {
	for dir, at := range f.folders {
		if at.index != nil && at.isLayout(dir) {
			return true
		}
	}
	return false
}

// isLayout reports whether a folder is an image layout: an index.json elsewhere than at the top can be anything.
func (at *layoutFolder) isLayout(dir string) bool { return dir == "." || at.layout || at.blobs }

func (f *contents) readLayout(dir string, data []byte) error {
	var layout v1.ImageLayout
	if err := f.limits.decode(LayoutName, data, &layout); err != nil {
		return err
	}
	if major, _, _ := strings.Cut(layout.Version, "."); major != "1" {
		return invalid("the image layout is of version %q, and this program reads 1", short(layout.Version))
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
		return invalid("%s is that of a single image, as skopeo and podman write it to a folder (dir:): have them write oci-archive: or docker-archive:", path.Join(dir, DockerName))
	}
	var list []loadable
	if err := f.limits.decode(DockerName, data, &list); err != nil {
		return err
	}
	at.docker, at.dockerSum = append([]loadable{}, list...), sum // never nil
	return nil
}

// same refuses a file that came twice, unless it was the same one.
func checkSame(name string, before, now digest.Digest) error {
	if before != now {
		return duplicate(name)
	}
	return nil
}

// finish brings together what is in the folders of an archive, once all of it came. What is wrong with an index.json or a
// manifest.json counts if it is that of a layout, or if there is no other.
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

// addIndex adds what one layout lists. Zarf writes names where others say what an image was built on.
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

// has reports whether a file came that is named by d.
func (f *contents) hasBlob(d digest.Digest) bool { return f.blobs[d] }

// add notes an entry. One without a digest may come twice; that it is the same is seen when its digest is known.
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

func duplicate(name string) error { return invalid("%s comes twice, with other content", short(name)) }

// known notes the digest of an entry, which only who stored it could find out.
func (f *contents) setDigest(name string, d digest.Digest) {
	what := f.files[name]
	if what.digest != "" && what.digest != d {
		f.conflict = duplicate(name)
		return
	}
	what.digest = d
	f.files[name] = what
}

// link notes a link to target, as seen from the folder dir. Old docker save archives have layers that are links to
// those of other images; content that is named by its digest is never one.
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

// room reports whether size bytes more can be kept.
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

// find returns the entry that manifest.json calls name.
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
	return file{}, invalid("%s leads from link to link", short(name))
}
