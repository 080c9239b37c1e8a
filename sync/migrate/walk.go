package migrate

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// maxDepth is how deep indexes may be in one another. More than two is hardly seen.
const maxDepth = 16

// repository walks through a repository and puts what it finds into the batch. The error is one that ends the run.
func (b *batch) visitRepository(ctx context.Context, name string) error {
	repo, err := b.names.Repo(name, "")
	if err != nil {
		b.skip(name, err)
		return nil
	}
	s := &repository{name: name, repo: repo, manifests: make(map[digest.Digest]outcome)}
	b.Doing(name)
	for root, err := range b.source.roots(ctx, name) {
		if err == nil {
			err = b.visitRoot(ctx, s, root)
		}
		if endsRun(ctx, err) {
			return runError(ctx, err)
		}
		if err != nil {
			b.skipIn(s, root.of(name), err)
		}
	}
	b.done = append(b.done, s)
	return nil
}

// ends reports whether err is no word about some content.
func endsRun(ctx context.Context, err error) bool {
	var f *storeError
	return ctx.Err() != nil || errors.As(err, &f)
}

func runError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (b *batch) skipIn(s *repository, what string, err error) {
	s.skipped++
	b.skip(what, err)
}

// root walks from a tag, or from a manifest that may have none.
func (b *batch) visitRoot(ctx context.Context, s *repository, root root) error {
	if root.tag != "" && !mirror.ValidTag(root.tag) {
		return mirror.Errorf(mirror.CodeManifestInvalid, "it is not a tag")
	}
	if conflict := b.conflicts[root.of(s.name)]; conflict != nil && root.tag != "" {
		return conflict
	}
	if err := b.visit(ctx, s, root.digest, root.man, 0); err != nil {
		return err
	}
	if root.tag != "" {
		b.tags = append(b.tags, tag{s, root.tag, root.digest})
	}
	return b.flushFull(ctx)
}

// visit puts a manifest into the batch, after its children: what becomes of it depends on them. The error is about the
// manifest itself, if it does not end the run; what is wrong with others is told.
func (b *batch) visit(ctx context.Context, s *repository, d digest.Digest, man *mirror.Manifest, depth int) error {
	if _, seen := s.manifests[d]; seen {
		return nil
	}
	s.manifests[d] = pending
	item, err := b.read(ctx, s, d, man, depth)
	if err != nil {
		s.manifests[d] = outcomeOf(err)
		return err
	}
	for _, child := range item.children {
		if err := b.follow(ctx, s, child, depth); err != nil {
			return err
		}
	}
	for _, d := range item.maybeManifests {
		if !isAbsent(b.source.has(ctx, s.name, d)) {
			continue
		}
		if err := b.follow(ctx, s, d, depth); err != nil {
			return err
		}
	}
	b.add(item)
	if err := b.flushFull(ctx); err != nil {
		return err
	}
	referrers, err := b.source.referrers(ctx, s.name, d)
	if endsRun(ctx, err) {
		return runError(ctx, err)
	}
	if err != nil {
		b.skipIn(s, s.name+"@"+d.String(), mirror.Errorf(mirror.CodeOf(err), "what refers to it cannot be listed: %w", err))
	}
	for _, referrer := range referrers {
		if err := b.follow(ctx, s, referrer, depth); err != nil {
			return err
		}
	}
	return nil
}

// follow visits what a manifest leads to. That may be absent.
func (b *batch) follow(ctx context.Context, s *repository, d digest.Digest, depth int) error {
	err := b.visit(ctx, s, d, nil, depth+1)
	switch {
	case endsRun(ctx, err):
		return runError(ctx, err)
	case err != nil && !isManifestUnknown(err):
		b.skipIn(s, s.name+"@"+d.String(), err)
	}
	return nil
}

// read reads a manifest, if it was not read yet, and what it needs.
func (b *batch) read(ctx context.Context, s *repository, d digest.Digest, man *mirror.Manifest, depth int) (*item, error) {
	if depth > maxDepth {
		return nil, mirror.Errorf(mirror.CodeManifestInvalid, "it is in an index that is in another, %d deep", depth)
	}
	if man == nil {
		m, err := b.source.manifest(ctx, s.name, d)
		if err != nil {
			return nil, err
		}
		man = &m
	}
	mediaType, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		return nil, err
	}
	i := &item{repository: s, mediaType: mediaType, content: blob{digest: d, size: int64(len(man.Bytes)), bytes: man.Bytes}}
	for _, desc := range refs.Blobs {
		i.blobs = append(i.blobs, blob{digest: desc.Digest, size: desc.Size})
	}
	for role, desc := range refs.Owned() {
		switch {
		case role == mirror.RoleBlob:
			continue
		case role == mirror.RoleManifest || role > mirror.RoleManifest && mayBeManifest(desc):
			i.children = append(i.children, desc.Digest)
		case role > mirror.RoleManifest && desc.Size <= mirror.MaxManifestSize && !mirror.IsSchema1(mediaType):
			i.maybeManifests = append(i.maybeManifests, desc.Digest)
		}
		if role == mirror.RoleNamed && mirror.IsSchema1(mediaType) { // its layers, which must have been there
			role = mirror.RoleEntry
		}
		o := owned{blob{digest: desc.Digest, size: desc.Size}, role}
		if role >= mirror.RoleManifest { // what is named need not be as large as is said
			o.size = -1
		}
		i.owned = append(i.owned, o)
	}
	return i, nil
}

// mayBeManifest reports whether it is worth looking whether what does not need to be a manifest is one.
func mayBeManifest(desc v1.Descriptor) bool {
	return desc.Size <= mirror.MaxManifestSize && desc.MediaType != "" &&
		(mirror.LooksLikeManifest(desc.MediaType) || strings.HasSuffix(desc.MediaType, "json"))
}
