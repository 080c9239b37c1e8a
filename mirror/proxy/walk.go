package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// nodeKind is what a descriptor in a manifest turns out to be.
type nodeKind int

const (
	isManifest nodeKind = iota // a manifest, whose contents are visited
	isLeaf                     // anything else
	isSkipped                  // not to be visited
)

// visitor handles what a walk finds. An error ends the walk.
type visitor interface {
	// enter is called with each manifest. unselected says that the manifest is the root of the walk or a child of an index
	// without a platform, so that nothing has selected it by its platform yet. enter returns the references to visit. If ok
	// is false, the walk visits nothing of the manifest, and does not call leave.
	enter(ctx context.Context, man mirror.Manifest, unselected bool) (refs mirror.References, ok bool, err error)
	// open returns the manifest that desc names, or what else it is. It is not called for blobs of images.
	open(ctx context.Context, parent mirror.Manifest, role mirror.Role, desc v1.Descriptor) (mirror.Manifest, nodeKind, error)
	// leaf is called with everything that is no manifest.
	leaf(ctx context.Context, parent mirror.Manifest, role mirror.Role, desc v1.Descriptor) error
	// leave is called after the contents of a manifest were visited.
	leave(ctx context.Context, man mirror.Manifest)
}

// walk visits everything that belongs to an image, each digest once.
type walk struct {
	visitor
	seen map[digest.Digest]bool
}

func newWalk(v visitor) *walk { return &walk{v, make(map[digest.Digest]bool)} }

// manifest visits a manifest and its contents.
func (w *walk) manifest(ctx context.Context, man mirror.Manifest, unselected bool) error {
	if w.seen[man.Digest] {
		return nil
	}
	w.seen[man.Digest] = true
	refs, ok, err := w.enter(ctx, man, unselected)
	if err != nil || !ok {
		return err
	}
	for role, desc := range refs.Owned() {
		if err := w.node(ctx, man, role, desc, role == mirror.RoleManifest && desc.Platform == nil); err != nil {
			return err
		}
	}
	w.leave(ctx, man)
	return nil
}

// node visits what a descriptor in parent names.
func (w *walk) node(ctx context.Context, parent mirror.Manifest, role mirror.Role, desc v1.Descriptor, unselected bool) error {
	if w.seen[desc.Digest] {
		return nil
	}
	if role != mirror.RoleBlob && role != mirror.RoleNondistributable {
		man, kind, err := w.open(ctx, parent, role, desc)
		if err != nil || kind == isSkipped {
			w.seen[desc.Digest] = true
			return err
		}
		if kind == isManifest {
			return w.manifest(ctx, man, unselected)
		}
	}
	w.seen[desc.Digest] = true
	return w.leaf(ctx, parent, role, desc)
}
