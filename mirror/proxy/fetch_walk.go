package proxy

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// leaf is content that a manifest names and that is fetched as a blob.
type leaf struct {
	v1.Descriptor      // the size is -1 if it is unknown
	ambiguous     bool // it may be a manifest
	optional      bool // the fetch succeeds if it does not exist
}

// enter implements [visitor]. It selects the platforms to fetch.
func (i *imageFetch) enter(ctx context.Context, man mirror.Manifest, unselected bool) (mirror.References, bool, error) {
	if ctx.Err() != nil {
		return mirror.References{}, false, nil
	}
	i.got.Manifests++
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		i.fail(mirror.Errorf(mirror.CodeOf(err), "%s@%s: %w", i.repo, man.Digest, err))
		return refs, false, nil
	}
	if unselected && !i.accepts(ctx, refs) {
		return refs, false, nil
	}
	refs.Manifests, refs.Entries = i.selectEntries(refs.Manifests), i.selectEntries(refs.Entries)
	return refs, true, nil
}

// open implements [visitor]. It fetches manifests.
func (i *imageFetch) open(ctx context.Context, _ mirror.Manifest, role mirror.Role, desc v1.Descriptor) (mirror.Manifest, nodeKind, error) {
	ref := mirror.Ref{Repo: i.repo, Digest: desc.Digest}
	if role == mirror.RoleManifest {
		man, _, err := i.find(ctx, ref)
		switch {
		case err == nil:
			return man, isManifest, nil
		case isAbsent(err) && i.blobExists(ctx, desc.Digest):
			return man, isLeaf, nil
		}
		i.fail(missError(ctx, ref, err))
		return man, isSkipped, nil
	}
	// The content may be a manifest or a blob. It is a manifest if it is stored as one, or if its media type says so
	// and it can be fetched as one. Otherwise it is a leaf: fetchBlobs fetches it as a blob first and then as a
	// manifest.
	man, err := i.content.manifest(ctx, i.repo, desc.Digest)
	if err != nil && desc.MediaType != "" && mirror.LooksLikeManifest(desc.MediaType) && !i.isStored(ctx, desc.Digest) {
		man, _, err = i.find(ctx, ref)
	}
	if err != nil {
		return man, isLeaf, nil
	}
	return man, isManifest, nil
}

// leaf implements [visitor]. It collects the blobs.
func (i *imageFetch) leaf(ctx context.Context, _ mirror.Manifest, role mirror.Role, desc v1.Descriptor) error {
	l := leaf{Descriptor: desc}
	switch role {
	case mirror.RoleNondistributable:
		l.optional = i.ignoreNondistributable
	case mirror.RoleEntry:
		l.ambiguous = true
	case mirror.RoleNamed:
		l.ambiguous, l.optional = true, true
	}
	stat, err := i.store.StatBlob(ctx, i.repo, l.Digest)
	switch {
	case err != nil:
		i.fail(err)
	case !stat.Stored || !stat.Linked:
		i.missing = append(i.missing, l)
		if !i.opts.DryRun {
			i.opts.Progress.AddTotal(max(0, l.Size))
		}
	default:
		if l.Size < 0 {
			l.Size = stat.Size
		}
		i.stored = append(i.stored, l)
	}
	i.count(1, l.Size)
	return nil
}

// referrersAtOnce and referrersBytes are the number of referrers, and of bytes of them, that one call lists.
const (
	referrersAtOnce = 256
	referrersBytes  = 1 << 20
)

// leave implements [visitor]. It fetches the referrers of a manifest: those of the referrers API, and those of the tags
// that cosign uses.
func (i *imageFetch) leave(ctx context.Context, man mirror.Manifest) {
	if !i.opts.Referrers {
		return
	}
	d := man.Digest
	for after, more := digest.Digest(""), true; more; {
		list, err := i.lists.Referrers(mirror.WithFullLists(ctx), i.repo, d, after, referrersAtOnce, referrersBytes)
		if err == nil {
			err = list.Stale
		}
		if err != nil && after == "" {
			i.notChecked(mirror.Errorf(mirror.CodeUnavailable, "cannot list the referrers of %s@%s: %w", i.repo, d, err))
		}
		for _, desc := range list.Items {
			_ = i.walk.node(ctx, man, mirror.RoleManifest, desc, false) // its errors are in failures
			after = desc.Digest
		}
		more = list.More && ctx.Err() == nil
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		ref := mirror.Ref{Repo: i.repo, Tag: strings.Replace(d.String(), ":", "-", 1) + suffix}
		referrer, notChecked, reason := i.find(ctx, ref)
		if reason == nil {
			_ = i.walk.manifest(ctx, referrer, false)
		}
		switch reason = cmp.Or(reason, notChecked); {
		case reason == nil:
		case !mirror.Definitive(reason) || mirror.UpstreamRefused(reason):
			i.notChecked(mirror.Errorf(mirror.CodeUnavailable, "cannot check whether %s exists: %w", ref, reason))
		}
	}
}

// notChecked records why the upstream could not be asked for referrers. The image is complete without them. The first
// reason is kept.
func (i *imageFetch) notChecked(err error) {
	if i.got.NotChecked == nil {
		i.got.NotChecked = err
	}
}

// blobExists reports whether there is a blob with a digest, stored or at the upstream.
func (i *imageFetch) blobExists(ctx context.Context, d digest.Digest) bool {
	if i.isStored(ctx, d) {
		return true
	}
	if i.routing.fetchable(ctx, i.repo) != nil {
		return false
	}
	_, err := i.downloads.statUpstream(ctx, i.repo, d)
	return err == nil
}

// isAbsent reports whether err says that content does not exist. Content of a local repository exists only if it is
// stored.
func isAbsent(err error) bool {
	return mirror.Definitive(err) && mirror.CodeOf(err) != mirror.CodeDenied || errors.Is(err, errLocal)
}
