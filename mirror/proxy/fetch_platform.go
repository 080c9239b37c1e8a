package proxy

import (
	"context"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// selectEntries returns the entries of an index for the platforms to fetch. An entry without a platform is selected;
// accepts checks its config later. Attestations have the platform "unknown" and are fetched with the referrers.
func (i *imageFetch) selectEntries(entries []v1.Descriptor) (selected []v1.Descriptor) {
	if len(i.platforms) == 0 {
		return entries
	}
	matching := i.platforms.Select(entries)
	for n, desc := range entries {
		switch {
		case desc.Platform == nil:
			selected = append(selected, desc)
		case desc.Platform.OS == "unknown":
			if i.opts.Referrers {
				selected = append(selected, desc)
			}
		case matching[n]:
			i.accepted = true
			selected = append(selected, desc)
		default:
			i.decline(*desc.Platform)
		}
	}
	return selected
}

// accepts reports whether a manifest is for one of the platforms to fetch. It accepts a manifest whose config states no
// platform.
func (i *imageFetch) accepts(ctx context.Context, refs mirror.References) bool {
	config, ok := mirror.ConfigOf(refs)
	if len(i.platforms) == 0 || !ok {
		i.accepted = i.accepted || len(refs.Manifests) == 0
		return true
	}
	p, ok, err := i.configPlatform(ctx, config)
	if err != nil {
		i.fail(err)
		return false
	}
	if ok && p.OS != "unknown" && !i.platforms.Accept(p) {
		i.decline(p)
		return false
	}
	i.accepted = true
	return true
}

// configPlatform reads the platform of a config. It fetches the config if necessary; a dry run does not store it.
func (i *imageFetch) configPlatform(ctx context.Context, config v1.Descriptor) (p v1.Platform, ok bool, err error) {
	stat, err := i.store.StatBlob(ctx, i.repo, config.Digest)
	if err != nil || stat.Stored && stat.Linked {
		return i.storedPlatform(ctx, config, err)
	}
	if !i.opts.DryRun {
		i.opts.Progress.AddTotal(config.Size)
		return i.storedPlatform(ctx, config, i.fetchBlob(ctx, config))
	}
	ref := mirror.Ref{Repo: i.repo, Digest: config.Digest}
	if reason := i.routing.fetchable(ctx, i.repo); reason != nil {
		return p, false, mirror.MissError(mirror.CodeBlobUnknown, ref, reason)
	}
	body, _, err := i.upstream.Blob(ctx, i.repo, config.Digest)
	if err != nil {
		return p, false, mirror.MissError(mirror.CodeBlobUnknown, ref, err)
	}
	defer body.Close()
	p, ok = mirror.ReadPlatform(body)
	return p, ok, nil
}

func (i *imageFetch) storedPlatform(ctx context.Context, config v1.Descriptor, err error) (v1.Platform, bool, error) {
	if err != nil {
		return v1.Platform{}, false, err
	}
	return mirror.ConfigPlatform(ctx, i.store, i.repo, config)
}

// decline records a platform of the image that is not fetched.
func (i *imageFetch) decline(p v1.Platform) {
	if text := mirror.PlatformString(p); !slices.Contains(i.declined, text) {
		i.declined = append(i.declined, text)
	}
}

// platformError returns an error if the image has none of the platforms.
func (i *imageFetch) platformError(ref mirror.Ref) error {
	if len(i.platforms) == 0 || i.accepted || len(i.failures) > 0 || len(i.declined) == 0 {
		return nil
	}
	return mirror.NoPlatform(ref.String(), i.platforms, i.declined)
}
