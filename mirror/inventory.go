package mirror

import (
	"context"
	"iter"
	"math"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is what is held of an image for one platform under one tag.
type Image struct {
	Repo     string        `json:"repository"` // as [Repo.String] writes it
	Tag      string        `json:"tag"`
	Digest   digest.Digest `json:"digest"`
	Platform string        `json:"platform,omitempty"` // os/arch; empty for an image that no index says it of
	Origin   Origin        `json:"origin"`             // of the tag
	Complete bool          `json:"complete"`           // it runs with no network
	Size     int64         `json:"size"`               // of all its blobs, in bytes; 0 if its manifest is not held
	Missing  int64         `json:"missing"`            // of that, bytes that are not held
	Updated  time.Time     `json:"updated"`            // when the tag was made or last moved
	LastUsed time.Time     `json:"lastUsed,omitzero"`
	Pinned   bool          `json:"pinned,omitempty"` // by its tag or digest; see [Mirror.Pin]
}

// page is how much of a list is read from the store at a time, so that no transaction lasts as long as a listing.
const page = 256

// referrersSize is how many bytes of referrers are read at a time.
const referrersSize = 1 << 20

// Images yields what is held, for every tag and platform, in the order of repository and tag; in repositories that
// match accepts, or all if it is nil.
func (m *Mirror) Images(ctx context.Context, match func(Repo) bool) iter.Seq2[Image, error] {
	ctx = Look(ctx)
	return func(yield func(Image, error) bool) {
		pins, err := m.store.Notes(ctx, PinNotes)
		if err != nil {
			yield(Image{}, err)
			return
		}
		for repo, err := range m.repos(ctx) {
			if err != nil {
				yield(Image{}, err)
				return
			}
			if match != nil && !match(repo) {
				continue
			}
			for image, err := range m.imagesOf(ctx, repo) {
				image.Pinned = len(pins) > 0 && pinned(pins, repo, image)
				if !yield(image, err) || err != nil {
					return
				}
			}
		}
	}
}

func pinned(pins map[string][]byte, repo Repo, image Image) bool {
	_, byTag := pins[Ref{Repo: repo, Tag: image.Tag}.String()]
	_, byDigest := pins[Ref{Repo: repo, Digest: image.Digest}.String()]
	return byTag || byDigest
}

func (m *Mirror) repos(ctx context.Context) iter.Seq2[Repo, error] {
	return func(yield func(Repo, error) bool) {
		after := ""
		for {
			repos, err := m.store.Repos(ctx, after, page)
			if err != nil {
				yield(Repo{}, err)
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

func (m *Mirror) imagesOf(ctx context.Context, repo Repo) iter.Seq2[Image, error] {
	return func(yield func(Image, error) bool) {
		after := ""
		for {
			tags, err := m.store.Tags(ctx, repo, after, page)
			if err != nil {
				yield(Image{}, err)
				return
			}
			for _, tag := range tags {
				images, err := m.imagesUnder(ctx, repo, tag)
				if CodeOf(err) == CodeManifestUnknown { // deleted since
					continue
				}
				if err != nil {
					yield(Image{}, err)
					return
				}
				for _, image := range images {
					if !yield(image, nil) {
						return
					}
				}
				after = tag
			}
			if len(tags) < page {
				return
			}
		}
	}
}

// imagesUnder lists the images under one tag: one for each platform of an index.
func (m *Mirror) imagesUnder(ctx context.Context, repo Repo, tag string) ([]Image, error) {
	held, err := m.held(ctx, Ref{Repo: repo, Tag: tag})
	if err != nil && flawOf(err) == nil {
		return nil, err
	}
	image := Image{Repo: repo.String(), Tag: tag, Digest: held.tag.Digest, Origin: held.tag.Origin, Updated: held.tag.Updated}
	if err != nil { // it lost its file
		return []Image{image}, nil
	}
	_, refs, err := ParseManifest(held.MediaType, held.Bytes)
	if err != nil || len(refs.Manifests) == 0 {
		err := m.measure(ctx, repo, &image)
		return []Image{image}, err
	}
	var images []Image
	for _, desc := range refs.Manifests {
		if desc.Platform != nil && desc.Platform.OS == "unknown" { // an attestation of the build, not an image
			continue
		}
		child := image
		child.Digest = desc.Digest
		if desc.Platform != nil {
			child.Platform = PlatformString(*desc.Platform)
		}
		if err := m.measure(ctx, repo, &child); err != nil {
			return nil, err
		}
		images = append(images, child)
	}
	return images, nil
}

// measure fills in what is held of the manifest that image.Digest names.
func (m *Mirror) measure(ctx context.Context, repo Repo, image *Image) (err error) {
	if image.LastUsed, err = m.store.LastUsed(ctx, repo, image.Digest); err != nil {
		return err
	}
	total, missing, err := m.weigh(ctx, repo, image.Digest, make(map[digest.Digest]bool))
	if CodeOf(err) == CodeManifestUnknown {
		return nil
	}
	image.Size, image.Missing, image.Complete = total, missing.bytes, missing.count == 0
	return err
}

type shortage struct {
	count int
	bytes int64
}

// weigh adds up the blobs below a manifest, and those of them that are missing; each once.
func (m *Mirror) weigh(ctx context.Context, repo Repo, d digest.Digest, seen map[digest.Digest]bool) (total int64, missing shortage, err error) {
	seen[d] = true
	man, err := m.store.Manifest(ctx, repo, d)
	if err != nil {
		return 0, missing, err
	}
	_, refs, err := ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		return 0, missing, err
	}
	for role, desc := range refs.Owned() {
		if seen[desc.Digest] {
			continue
		}
		var t int64
		var less shortage
		if role == RoleManifest {
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
func (m *Mirror) weighPart(ctx context.Context, repo Repo, role Role, desc v1.Descriptor, origin Origin, seen map[digest.Digest]bool) (int64, shortage, error) {
	stat, err := m.store.StatBlob(ctx, repo, desc.Digest)
	if err != nil {
		return 0, shortage{}, err
	}
	if stat.Held && stat.Linked {
		seen[desc.Digest] = true
		return stat.Size, shortage{}, nil
	}
	if role == RoleEntry || role == RoleNamed {
		if total, missing, err := m.weigh(ctx, repo, desc.Digest, seen); CodeOf(err) != CodeManifestUnknown {
			return total, missing, err
		}
	}
	seen[desc.Digest] = true
	size := max(0, desc.Size)
	if role == RoleNondistributable && m.opts.IgnoreNondistributable || role == RoleNamed && origin != Mirrored && !stat.Linked {
		return 0, shortage{}, nil
	}
	return size, shortage{count: 1, bytes: size}, nil
}

// sum adds sizes that manifests of others claim: more than there can be is as much as there can be.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// weighChild weighs an index's entry; one whose manifest is not held is missing whole, however large it is.
func (m *Mirror) weighChild(ctx context.Context, repo Repo, desc v1.Descriptor, seen map[digest.Digest]bool) (int64, shortage, error) {
	total, missing, err := m.weigh(ctx, repo, desc.Digest, seen)
	if CodeOf(err) == CodeManifestUnknown {
		if stat, err := m.store.StatBlob(ctx, repo, desc.Digest); err != nil || stat.Held && stat.Linked { // it is a blob
			return stat.Size, shortage{}, err
		}
		return 0, shortage{count: 1, bytes: desc.Size}, nil
	}
	return total, missing, err
}

// Status is how a mirror is doing.
type Status struct {
	Mode       Mode             `json:"mode"`
	ReadOnly   bool             `json:"readOnly,omitempty"`
	Upstreams  []UpstreamStatus `json:"upstreams"`
	Transfers  int              `json:"transfers"`  // under way
	Incomplete int              `json:"incomplete"` // images that were pulled and are still to be completed
	Wants      int              `json:"wants"`
	Verify     VerifyStatus     `json:"verify"`
}

// Status says how the mirror is doing; it asks nobody.
func (m *Mirror) Status() Status {
	status := Status{Mode: m.Mode(), ReadOnly: m.ReadOnly(), Transfers: m.flights.count(), Wants: m.wants.count(), Upstreams: []UpstreamStatus{}, Verify: m.verified.status()}
	if m.upstream != nil {
		status.Upstreams = m.upstream.Status()
	}
	m.chores.mu.Lock()
	status.Incomplete = len(m.chores.open)
	m.chores.mu.Unlock()
	return status
}
