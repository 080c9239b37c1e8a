package migrate

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// visitRepository walks through a repository and adds its manifests and tags to the batch. The error ends the run.
func (b *batch) visitRepository(ctx context.Context, name string) error {
	repo, err := b.names.Repo(name, "")
	if err != nil {
		b.skip(name, err)
		return nil
	}
	s := &repository{name: name, repo: repo, manifests: make(map[digest.Digest]outcome)}
	b.SetCurrent(name)
	for root, err := range b.source.roots(ctx, name) {
		if err == nil {
			err = b.visitRoot(ctx, s, root)
		}
		if endsRun(ctx, err) {
			return runError(ctx, err)
		}
		if err != nil {
			b.skipIn(s, root.in(name), err)
		}
	}
	b.done = append(b.done, s)
	return nil
}

// skipIn reports that something in a repository was skipped.
func (b *batch) skipIn(s *repository, name string, err error) {
	s.skipped++
	b.skip(name, err)
}

// visitRoot walks from a tag, or from a manifest that may have no tag.
func (b *batch) visitRoot(ctx context.Context, s *repository, root root) error {
	if root.tag != "" && !mirror.ValidTag(root.tag) {
		return mirror.Errorf(mirror.CodeManifestInvalid, "it is not a tag")
	}
	if conflict := b.conflicts[root.in(s.name)]; conflict != nil && root.tag != "" {
		return conflict
	}
	if err := b.walk(ctx, s, &visit{digest: root.digest, man: root.man}); err != nil {
		return err
	}
	if root.tag != "" {
		b.tags = append(b.tags, tag{s, root.tag, root.digest})
	}
	return b.flushFull(ctx)
}

// maxInMemory is the maximum number of manifests of a walk that are in memory at a time. Indexes that are nested deeper
// are read again after their children.
const maxInMemory = 16

// visit is a manifest of a walk whose children have not all been visited.
type visit struct {
	digest   digest.Digest
	man      *mirror.Manifest // nil if it was not read yet
	item     *item            // nil before it is read, and while it is not in memory
	opened   bool             // it was read, and its children are in next
	added    bool             // it is in the batch, and its referrers are in next
	next     []digest.Digest  // manifests to visit
	maybe    []digest.Digest  // manifests to visit after them, unless the source has blobs of these digests
	optional bool             // it may be absent: another manifest refers to it
}

// walk adds a manifest to the batch, after all manifests that it refers to, because its outcome depends on theirs. Then
// walk visits the referrers. Indexes may be nested to any depth. The error is about the manifest itself or ends the
// run; errors of other manifests are reported.
func (b *batch) walk(ctx context.Context, s *repository, root *visit) error {
	for stack := []*visit{root}; len(stack) > 0; {
		v := stack[len(stack)-1]
		next, err := b.step(ctx, s, v, len(stack) <= maxInMemory)
		switch {
		case err == nil && next != "":
			stack = append(stack, &visit{digest: next, optional: true})
			continue
		case endsRun(ctx, err):
			return runError(ctx, err)
		case err != nil && !v.optional:
			return err
		case err != nil && !isManifestUnknown(err):
			b.skipIn(s, s.name+"@"+v.digest.String(), err)
		}
		stack = stack[:len(stack)-1]
	}
	return nil
}

// step continues the visit of a manifest. It returns the digest of a manifest to visit before the next step, or "" if
// the visit is done. keep is false if the manifest must not stay in memory between steps.
func (b *batch) step(ctx context.Context, s *repository, v *visit, keep bool) (next digest.Digest, err error) {
	if !v.opened {
		if err := b.open(ctx, s, v); err != nil {
			return "", err
		}
	}
	if next := b.nextVisit(ctx, s, v); next != "" {
		if !keep {
			v.item = nil
		}
		return next, nil
	}
	if v.added || !v.opened {
		return "", nil
	}
	if err := b.close(ctx, s, v); err != nil {
		return "", err
	}
	return b.nextVisit(ctx, s, v), nil
}

// open reads the manifest, unless it was visited before.
func (b *batch) open(ctx context.Context, s *repository, v *visit) error {
	if _, seen := s.manifests[v.digest]; seen {
		return nil
	}
	s.manifests[v.digest] = pending
	if err := b.read(ctx, s, v); err != nil {
		s.manifests[v.digest] = outcomeOf(err)
		return err
	}
	v.opened, v.next, v.maybe = true, v.item.children, v.item.maybeManifests
	return nil
}

// nextVisit returns the next manifest that v refers to and that was not visited yet, or "".
func (b *batch) nextVisit(ctx context.Context, s *repository, v *visit) digest.Digest {
	for {
		var next digest.Digest
		switch {
		case len(v.next) > 0:
			next, v.next = v.next[0], v.next[1:]
		case len(v.maybe) > 0:
			next, v.maybe = v.maybe[0], v.maybe[1:]
			if !isAbsent(b.source.has(ctx, s.name, next)) {
				continue
			}
		default:
			return ""
		}
		if _, seen := s.manifests[next]; !seen {
			return next
		}
	}
}

// close adds the manifest to the batch and lists its referrers.
func (b *batch) close(ctx context.Context, s *repository, v *visit) error {
	if v.item == nil {
		if err := b.read(ctx, s, v); err != nil {
			s.manifests[v.digest] = outcomeOf(err)
			return err
		}
	}
	b.add(v.item)
	v.item, v.added = nil, true
	if err := b.flushFull(ctx); err != nil {
		return err
	}
	referrers, err := b.source.referrers(ctx, s.name, v.digest)
	if endsRun(ctx, err) {
		return err
	}
	if err != nil {
		b.skipIn(s, s.name+"@"+v.digest.String(), mirror.Errorf(mirror.CodeOf(err), "its referrers cannot be listed: %w", err))
	}
	v.next = referrers
	return nil
}

// read reads the manifest of v, if that was not done yet, and parses it.
func (b *batch) read(ctx context.Context, s *repository, v *visit) error {
	man := v.man
	v.man = nil
	if man == nil {
		m, err := b.source.manifest(ctx, s.name, v.digest)
		if err != nil {
			return err
		}
		man = &m
	}
	i, err := newItem(s, v.digest, man)
	v.item = i
	return err
}

// newItem parses a manifest of a repository.
func newItem(s *repository, d digest.Digest, man *mirror.Manifest) (*item, error) {
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
		if role == mirror.RoleNamed && mirror.IsSchema1(mediaType) { // a layer, which the source should have
			role = mirror.RoleEntry
		}
		o := owned{blob{digest: desc.Digest, size: desc.Size}, role}
		if role >= mirror.RoleManifest { // the size in the descriptor may be wrong
			o.size = -1
		}
		i.owned = append(i.owned, o)
	}
	return i, nil
}

// mayBeManifest reports whether content of unknown kind is requested as a manifest first.
func mayBeManifest(desc v1.Descriptor) bool {
	return desc.Size <= mirror.MaxManifestSize && desc.MediaType != "" &&
		(mirror.LooksLikeManifest(desc.MediaType) || strings.HasSuffix(desc.MediaType, "json"))
}
