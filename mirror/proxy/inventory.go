package proxy

import (
	"context"
	"iter"
	"math"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// page is how much of a list is read from the store at a time, so that no transaction lasts as long as a listing.
const page = 256

// referrersSize is how many bytes of referrers are read at a time.
const referrersSize = 1 << 20

// Images yields what is stored, for every tag and platform and for what was brought in by its digest and has no tag, in
// the order of repository and name; in repositories that match accepts, or all if it is nil.
//
// A platform of an index of which nothing was ever stored is left out: nobody asked for it, as with a sync of other
// platforms. It is listed once a client asked for it in vain. What was stored and is lost is listed as incomplete; so is
// an index of which no platform is stored.
func (m *Proxy) Images(ctx context.Context, match func(mirror.Repo) bool) iter.Seq2[mirror.Image, error] {
	return m.images(ctx, match, true)
}

// images is Images; platforms says whether configs are read for the platforms of images that no index tells.
func (m *Proxy) images(ctx context.Context, match func(mirror.Repo) bool, platforms bool) iter.Seq2[mirror.Image, error] {
	ctx = mirror.WithoutUsage(ctx)
	return func(yield func(mirror.Image, error) bool) {
		l, offset := lister{Proxy: m, platforms: platforms}, mirror.WallClockOffset(m.store)
		var err error
		if l.pins, err = m.store.State(ctx, mirror.PinState); err != nil {
			yield(mirror.Image{}, err)
			return
		}
		for repo, err := range m.repos(ctx) {
			if err != nil {
				yield(mirror.Image{}, err)
				return
			}
			if match != nil && !match(repo) {
				continue
			}
			for image, err := range l.imagesOf(ctx, repo) {
				image.Updated, image.LastUsed = mirror.WallClockTime(image.Updated, offset), mirror.WallClockTime(image.LastUsed, offset)
				if !yield(image, err) || err != nil {
					return
				}
			}
		}
	}
}

// lister lists images.
type lister struct {
	*Proxy
	pins      map[string][]byte
	platforms bool // read configs
}

// pinned reports whether a name, or what it means, is pinned.
func (l lister) pinned(repo mirror.Repo, tag string, of ...digest.Digest) bool {
	if len(l.pins) == 0 {
		return false
	}
	_, pinned := l.pins[mirror.Ref{Repo: repo, Tag: tag}.String()]
	for _, d := range of {
		_, byDigest := l.pins[mirror.Ref{Repo: repo, Digest: d}.String()]
		pinned = pinned || byDigest
	}
	return pinned
}

func (m *Proxy) repos(ctx context.Context) iter.Seq2[mirror.Repo, error] {
	return func(yield func(mirror.Repo, error) bool) {
		after := ""
		for {
			repos, err := m.store.Repos(ctx, after, page)
			if err != nil {
				yield(mirror.Repo{}, err)
				return
			}
			for _, repo := range repos {
				if !yield(repo, nil) {
					return
				}
				after = repo.String()
			}
			if len(repos) < page {
				return
			}
		}
	}
}

func (l lister) imagesOf(ctx context.Context, repo mirror.Repo) iter.Seq2[mirror.Image, error] {
	return func(yield func(mirror.Image, error) bool) {
		pass := func(images []mirror.Image, err error) bool {
			if mirror.CodeOf(err) == mirror.CodeManifestUnknown { // deleted since
				return true
			}
			if err != nil {
				yield(mirror.Image{}, err)
				return false
			}
			for _, image := range images {
				if !yield(image, nil) {
					return false
				}
			}
			return true
		}
		for after, more := "", true; more; {
			tags, err := l.store.Tags(ctx, repo, after, page)
			if err != nil {
				yield(mirror.Image{}, err)
				return
			}
			for _, tag := range tags {
				if after = tag; !pass(l.imagesUnder(ctx, repo, tag)) {
					return
				}
			}
			more = len(tags) == page
		}
		for after, more := digest.Digest(""), true; more; {
			roots, err := l.store.Roots(ctx, repo, after, page)
			if err != nil {
				yield(mirror.Image{}, err)
				return
			}
			for _, root := range roots {
				if after = root.Digest; !root.Tagged && !pass(l.imagesOfRoot(ctx, repo, root)) {
					return
				}
			}
			more = len(roots) == page
		}
	}
}

// imagesUnder lists the images under one tag: one for each platform of an index.
func (l lister) imagesUnder(ctx context.Context, repo mirror.Repo, tag string) ([]mirror.Image, error) {
	held, err := l.held(ctx, mirror.Ref{Repo: repo, Tag: tag})
	if err != nil && mirror.DefectOf(err) == nil {
		return nil, err
	}
	image := mirror.Image{Repo: repo.String(), Tag: tag, Digest: held.tag.Digest, Origin: held.tag.Origin, Updated: held.tag.Updated}
	return l.imagesIn(ctx, repo, held.Manifest, image, err)
}

// imagesOfRoot lists the images of what was brought in by its digest.
func (l lister) imagesOfRoot(ctx context.Context, repo mirror.Repo, root mirror.Root) ([]mirror.Image, error) {
	man, err := l.stored(ctx, repo, root.Digest)
	if err != nil && mirror.DefectOf(err) == nil {
		return nil, err
	}
	image := mirror.Image{Repo: repo.String(), Root: root.Digest, Digest: root.Digest, Origin: man.Origin, Updated: root.Added}
	return l.imagesIn(ctx, repo, man, image, err)
}

// imagesIn lists the images of a manifest. lost is why its file is not there; nil if it is.
func (l lister) imagesIn(ctx context.Context, repo mirror.Repo, man mirror.Manifest, image mirror.Image, lost error) ([]mirror.Image, error) {
	image.Pinned = l.pinned(repo, image.Tag, image.Digest)
	if lost != nil {
		return []mirror.Image{image}, nil
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil || len(refs.Manifests) == 0 {
		if image.Platform, err = l.platform(ctx, repo, refs); err == nil {
			_, err = l.measure(ctx, repo, &image)
		}
		return []mirror.Image{image}, err
	}
	var images []mirror.Image
	leftOut := false
	for _, desc := range refs.Manifests {
		if desc.Platform != nil && desc.Platform.OS == "unknown" { // an attestation of the build, not an image
			continue
		}
		child := image
		child.Index = image.Digest
		child.Digest, child.Pinned = desc.Digest, image.Pinned || l.pinned(repo, image.Tag, desc.Digest)
		known, err := l.child(ctx, repo, desc, &child)
		if err != nil {
			return nil, err
		}
		if known || l.wants.has(mirror.Ref{Repo: repo, Digest: desc.Digest}) {
			images = append(images, child)
		} else {
			leftOut = true
		}
	}
	if len(images) == 0 || len(refs.Entries) > 0 { // or it is more than its platforms
		if _, err := l.measure(ctx, repo, &image); err != nil {
			return nil, err
		}
		image.Complete = image.Complete && !leftOut
		images = append(images, image)
	}
	return images, nil
}

// child fills in what is known of an index's entry, and reports whether it is or was stored.
func (l lister) child(ctx context.Context, repo mirror.Repo, desc v1.Descriptor, image *mirror.Image) (known bool, err error) {
	if known, err = l.measure(ctx, repo, image); err != nil {
		return known, err
	}
	if desc.Platform != nil {
		image.Platform = mirror.PlatformString(*desc.Platform)
		return known, nil
	}
	man, err := l.store.Manifest(ctx, repo, desc.Digest)
	if err != nil {
		return known, nil // it says nothing more
	}
	if _, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes); err == nil {
		image.Platform, err = l.platform(ctx, repo, refs)
		return known, err
	}
	return known, nil
}

// platform reads the platform of an image from its config; "" if it has none, or the config is not stored.
func (l lister) platform(ctx context.Context, repo mirror.Repo, refs mirror.References) (string, error) {
	config, ok := mirror.ConfigOf(refs)
	if !ok || !l.platforms {
		return "", nil
	}
	p, ok, err := mirror.ConfigPlatform(ctx, l.store, repo, config)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown || err == nil && !ok {
		return "", nil
	}
	return mirror.PlatformString(p), err
}

// measure fills in what is stored of the manifest that image.Digest names, and reports whether it is or was stored.
func (m *Proxy) measure(ctx context.Context, repo mirror.Repo, image *mirror.Image) (known bool, err error) {
	if image.LastUsed, err = m.store.LastUsed(ctx, repo, image.Digest); err != nil {
		return false, err
	}
	total, missing, err := m.weigh(ctx, repo, image.Digest, make(map[digest.Digest]bool))
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		if mirror.DefectOf(err) != nil {
			return true, nil
		}
		stat, err := m.store.StatBlob(ctx, repo, image.Digest)
		if known = err == nil && stat.Stored && stat.Linked; known { // an index calls a blob a manifest
			image.Size, image.Complete = stat.Size, true
		}
		return known, err
	}
	image.Size, image.Missing, image.Complete = total, missing.bytes, missing.count == 0
	return true, err
}

type shortage struct {
	count int
	bytes int64
}

// weigh adds up the blobs below a manifest, and those of them that are missing; each once.
func (m *Proxy) weigh(ctx context.Context, repo mirror.Repo, d digest.Digest, seen map[digest.Digest]bool) (total int64, missing shortage, err error) {
	seen[d] = true
	man, err := m.store.Manifest(ctx, repo, d)
	if err != nil {
		return 0, missing, err
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		return 0, missing, err
	}
	if lost, err := m.lostFile(ctx, d); err != nil {
		return 0, missing, err
	} else if lost { // it is only in memory
		missing.count, missing.bytes = 1, int64(len(man.Bytes))
	}
	for role, desc := range refs.Owned() {
		if seen[desc.Digest] {
			continue
		}
		var t int64
		var less shortage
		if role == mirror.RoleManifest {
			t, less, err = m.weighChild(ctx, repo, desc, seen)
		} else {
			t, less, err = m.weighPart(ctx, repo, role, desc, man.Origin, seen)
		}
		if err != nil {
			return 0, missing, err
		}
		total, missing.count, missing.bytes = sum(total, t), missing.count+less.count, sum(missing.bytes, less.bytes)
	}
	return total, missing, nil
}

// weighPart weighs what is a blob, or may be one. What a manifest of an unknown type names is missing if an upstream may
// have it, or if it was here: whoever pushed it need not have had it.
func (m *Proxy) weighPart(ctx context.Context, repo mirror.Repo, role mirror.Role, desc v1.Descriptor, origin mirror.Origin, seen map[digest.Digest]bool) (int64, shortage, error) {
	stat, err := m.store.StatBlob(ctx, repo, desc.Digest)
	if err != nil {
		return 0, shortage{}, err
	}
	if stat.Stored && stat.Linked {
		seen[desc.Digest] = true
		lost, err := m.lostFile(ctx, desc.Digest)
		if lost {
			return stat.Size, shortage{count: 1, bytes: stat.Size}, err
		}
		return stat.Size, shortage{}, err
	}
	if role == mirror.RoleEntry || role == mirror.RoleNamed {
		if total, missing, err := m.weigh(ctx, repo, desc.Digest, seen); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
			return total, missing, err
		}
	}
	seen[desc.Digest] = true
	size := max(0, desc.Size)
	if role == mirror.RoleNondistributable && m.opts.IgnoreNondistributable || role == mirror.RoleNamed && origin != mirror.Mirrored && !stat.Linked {
		return 0, shortage{}, nil
	}
	return size, shortage{count: 1, bytes: size}, nil
}

// lostFile reports whether the file of what is stored is missing, has another size or cannot be looked at.
func (m *Proxy) lostFile(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := m.store.StatContent(ctx, d)
	return err != nil, ctx.Err()
}

// sum adds sizes that manifests of others claim: more than there can be is as much as there can be.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// weighChild weighs an index's entry. One that was stored and is lost is missing whole, however large it is; one that never
// was is left out, see [Proxy.Images].
func (m *Proxy) weighChild(ctx context.Context, repo mirror.Repo, desc v1.Descriptor, seen map[digest.Digest]bool) (int64, shortage, error) {
	total, missing, err := m.weigh(ctx, repo, desc.Digest, seen)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		if stat, err := m.store.StatBlob(ctx, repo, desc.Digest); err != nil || stat.Stored && stat.Linked { // it is a blob
			return stat.Size, shortage{}, err
		}
		if mirror.DefectOf(err) == nil {
			return 0, shortage{}, nil
		}
		return 0, shortage{count: 1, bytes: desc.Size}, nil
	}
	return total, missing, err
}

// Status says how the mirror is doing; it asks nobody.
func (m *Proxy) Status() mirror.Status {
	status := mirror.Status{Mode: m.Mode(), ReadOnly: m.ReadOnly(), Downloads: m.flights.count(), Wants: m.wants.count(), Upstreams: []mirror.UpstreamStatus{}, Verify: m.verified.status()}
	if m.upstream != nil {
		status.Upstreams = m.upstream.Status()
	}
	m.chores.mu.Lock()
	status.Backfill = len(m.chores.open)
	m.chores.mu.Unlock()
	n, err := m.incomplete.of(m.ctx, m)
	if status.Incomplete = n; err != nil {
		status.IncompleteError = err.Error()
	}
	return status
}
