package transfer

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// imageTree contains the manifests of an archive that is not a bundle, and what they need.
type imageTree struct {
	content       content
	protection    *protection
	inArchive     map[digest.Digest]int64 // sizes of the entries of the archive
	seen          map[digest.Digest]*node
	order         []*node // children first
	recentlyAdded []*node // added by the last calls of addTo; callers reset it
	added         int     // number of pairs of a manifest and a repository
}

// maxPlacements is the maximum number of pairs of a manifest and a repository that an archive can create. A few MiB of
// names could otherwise add thousands of manifests to a hundred thousand repositories.
const maxPlacements = 1 << 20

// node is a manifest with everything that it needs.
type node struct {
	digest    digest.Digest
	mediaType string
	size      int64
	blobs     []v1.Descriptor // stored ones
	owned     []digest.Digest // content of the archive that it names and does not need
	children  []*node
	subject   digest.Digest
	repos     []mirror.Repo
	inRepo    map[mirror.Repo]bool // the set of repos
	total     int64                // size with everything that it needs; 0 until totalSize
	err       error                // why it is incomplete
}

// walk reads a manifest and everything that it needs, once. The err field of an incomplete manifest names the missing
// content.
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
		stored, err := t.content.isIntact(ctx, desc.Digest, desc.Size)
		if err != nil {
			return err
		}
		if !stored {
			return mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is missing", desc.Digest)
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
		return mirror.Errorf(mirror.CodeBlobUnknown, "no image of the index is complete: %w", t.seen[refs.Manifests[0].Digest].err)
	}
	return nil
}

// addOwned adds content that a manifest names and does not need: as a manifest if it is a valid one, and otherwise as a
// blob. Only content of the archive is added, because naming a digest gives no right to read content that is stored for
// others.
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
		if child.blobs != nil || child.children != nil { // an incomplete manifest
			return nil
		}
	}
	if !here {
		return nil
	}
	t.protection.protect(desc.Digest)
	stored, err := t.content.isIntact(ctx, desc.Digest, size)
	if stored {
		b.blobs = append(b.blobs, v1.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: size})
		b.owned = append(b.owned, desc.Digest)
	}
	return err
}

// addTo adds a manifest and everything that it needs to a repository.
func (t *imageTree) addTo(b *node, repo mirror.Repo) error {
	if b.inRepo[repo] {
		return nil
	}
	if t.added++; t.added > maxPlacements {
		return mirror.Errorf(mirror.CodeBundleInvalid, "the archive names too many repositories for its images")
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

// totalSize returns the size of a manifest and everything that it needs, in bytes.
func (b *node) totalSize() int64 {
	if b.total == 0 {
		b.total = b.addSize(make(map[digest.Digest]bool))
	}
	return b.total
}

// addSize returns the size of a manifest and everything that it needs. It counts each digest once and records it in
// seen.
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

// manifests returns the manifests that were added to a repository, children first.
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

// count sets the counts and sizes of the summary.
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

// takeUnneeded removes from in.added the blobs that no imported manifest needs, and returns them.
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
