package transfer

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// tree is what the images of an archive need that is no bundle.
type imageTree struct {
	content       content
	protection    *protection
	inArchive     map[digest.Digest]int64 // what the archive has, with sizes
	seen          map[digest.Digest]*node
	order         []*node // children first
	recentlyAdded []*node // that were entered last
	added         int     // manifests, counted once for each repository that they are in
}

// maxPlacements is how many manifests may be entered from an archive that is no bundle, counted once for each repository. In
// a few MiB of names it can put thousands of manifests into a hundred thousand repositories.
const maxPlacements = 1 << 20

// branch is a manifest with everything under it.
type node struct {
	digest    digest.Digest
	mediaType string
	size      int64
	blobs     []v1.Descriptor // that are stored
	owned     []digest.Digest // those of what it names and does not need that the archive has
	children  []*node
	subject   digest.Digest
	repos     []mirror.Repo
	inRepo    map[mirror.Repo]bool // the same
	total     int64                // of all under it, once it was asked for
	err       error                // why it is not whole
}

// grow looks at a manifest. One that is not whole has an error that says why.
func (t *imageTree) walk(ctx context.Context, desc v1.Descriptor) (*node, error) {
	if b := t.seen[desc.Digest]; b != nil {
		return b, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &node{digest: desc.Digest, mediaType: desc.MediaType}
	t.seen[desc.Digest] = b
	err := t.read(ctx, b)
	if isFault(err) {
		return nil, err
	}
	if b.err = err; err == nil {
		t.order = append(t.order, b)
	}
	return b, nil
}

func (t *imageTree) read(ctx context.Context, b *node) error {
	t.protection.protect(b.digest)
	data, err := t.content.readManifest(ctx, b.digest)
	if err != nil {
		return err
	}
	mediaType, refs, err := mirror.ParseManifest(b.mediaType, data)
	if err != nil {
		return err
	}
	b.mediaType, b.size = mediaType, int64(len(data))
	if refs.Subject != nil {
		b.subject = refs.Subject.Digest
	}
	for _, desc := range refs.Blobs {
		t.protection.protect(desc.Digest)
		held, err := t.content.isIntact(ctx, desc.Digest, desc.Size)
		if err != nil {
			return err
		}
		if !held {
			return mirror.Errorf(mirror.CodeBlobUnknown, "it lacks blob %s", desc.Digest)
		}
	}
	b.blobs = slices.Clone(refs.Blobs)
	for role, desc := range refs.Owned() {
		if role == mirror.RoleBlob {
			continue
		}
		if err := t.addOwned(ctx, b, role, desc); err != nil {
			return err
		}
	}
	if len(refs.Manifests) > 0 && len(b.children)+len(b.owned) == 0 {
		return mirror.Errorf(mirror.CodeBlobUnknown, "it has no image of its index: %w", t.seen[refs.Manifests[0].Digest].err)
	}
	return nil
}

// own looks at what a manifest names and does not need: it is a manifest if it can be read as one, or else a blob. Only what
// the archive has belongs to it: to name a digest gives no right to read what is stored here for others.
func (t *imageTree) addOwned(ctx context.Context, b *node, role mirror.Role, desc v1.Descriptor) error {
	size, here := t.inArchive[desc.Digest]
	if role == mirror.RoleManifest || here && size <= mirror.MaxManifestSize && desc.MediaType != "" && mirror.LooksLikeManifest(desc.MediaType) {
		child, err := t.walk(ctx, desc)
		if err != nil {
			return err
		}
		if child.err == nil {
			b.children = append(b.children, child)
			return nil
		}
		if child.blobs != nil || child.children != nil { // it is a manifest that lacks something
			return nil
		}
	}
	if !here {
		return nil
	}
	t.protection.protect(desc.Digest)
	held, err := t.content.isIntact(ctx, desc.Digest, size)
	if held {
		b.blobs = append(b.blobs, v1.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: size})
		b.owned = append(b.owned, desc.Digest)
	}
	return err
}

// enter puts a manifest and everything under it into a repository.
func (t *imageTree) addTo(b *node, repo mirror.Repo) error {
	if b.inRepo[repo] {
		return nil
	}
	if t.added++; t.added > maxPlacements {
		return mirror.Errorf(mirror.CodeBundleInvalid, "it puts its images into more repositories than is believable")
	}
	if b.inRepo == nil {
		b.inRepo = make(map[mirror.Repo]bool)
	}
	b.inRepo[repo] = true
	b.repos = append(b.repos, repo)
	t.recentlyAdded = append(t.recentlyAdded, b)
	for _, child := range b.children {
		if err := t.addTo(child, repo); err != nil {
			return err
		}
	}
	return nil
}

// total is what is under a manifest, itself included, in bytes.
func (b *node) totalSize() int64 {
	if b.total == 0 {
		b.total = b.addSize(make(map[digest.Digest]bool))
	}
	return b.total
}

// weigh adds up what is under a manifest, itself included.
func (b *node) addSize(seen map[digest.Digest]bool) (size int64) {
	if seen[b.digest] {
		return 0
	}
	seen[b.digest] = true
	size = b.size
	for _, desc := range b.blobs {
		if !seen[desc.Digest] {
			seen[desc.Digest] = true
			size += desc.Size
		}
	}
	for _, child := range b.children {
		size += child.addSize(seen)
	}
	return size
}

// manifests are those that were entered somewhere, children first.
func (t *imageTree) manifests() []manifest {
	var list []manifest
	for _, b := range t.order {
		if len(b.repos) > 0 {
			list = append(list, manifest{
				digest: b.digest, mediaType: b.mediaType, repos: b.repos, local: make([]bool, len(b.repos)), references: len(b.blobs) + len(b.children), owned: b.owned,
			})
		}
	}
	return list
}

// count counts what is entered.
func (t *imageTree) count(s *Summary, found []foundImage) {
	seen := make(map[digest.Digest]bool)
	for _, f := range found {
		s.Bytes += f.node.addSize(seen)
	}
	for d := range seen {
		if t.seen[d] != nil {
			s.Manifests++
		} else {
			s.Blobs++
		}
	}
}

// unneeded forgets of what was brought what nothing needs that was entered, and returns it.
func (in *importer) takeUnneeded(t *imageTree) (list []digest.Digest) {
	needed := make(map[digest.Digest]bool)
	for _, b := range t.order {
		if len(b.repos) > 0 {
			b.addSize(needed)
		}
	}
	for d := range in.added {
		if !needed[d] {
			list = append(list, d)
			delete(in.added, d)
		}
	}
	return list
}
