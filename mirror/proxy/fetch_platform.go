package proxy

import (
	"context"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// selected returns the entries of an index that are for one of the platforms. An entry without one is for all, unless its
// config says something else; attestations of a build say "unknown" and come with the referrers.
func (f *fetch) selected(entries []v1.Descriptor) (list []v1.Descriptor) {
	if len(f.platforms) == 0 {
		return entries
	}
	chosen := f.platforms.Select(entries)
	for i, desc := range entries {
		switch {
		case desc.Platform == nil:
			list = append(list, desc)
		case desc.Platform.OS == "unknown":
			if f.opts.Referrers {
				list = append(list, desc)
			}
		case chosen[i]:
			f.accepted = true
			list = append(list, desc)
		default:
			f.declines(*desc.Platform)
		}
	}
	return list
}

// accepts reports whether a manifest is for one of the platforms, as far as its config says for which it is.
func (f *fetch) accepts(ctx context.Context, refs mirror.References) bool {
	config, ok := mirror.ConfigOf(refs)
	if len(f.platforms) == 0 || !ok {
		f.accepted = f.accepted || len(refs.Manifests) == 0
		return true
	}
	p, ok, err := f.configPlatform(ctx, config)
	if err != nil {
		f.fail(err)
		return false
	}
	if ok && p.OS != "unknown" && !f.platforms.Accept(p) {
		f.declines(p)
		return false
	}
	f.accepted = true
	return true
}

// configPlatform reads the platform that a config says, which is fetched first if need be. A dry run does not store it.
func (f *fetch) configPlatform(ctx context.Context, config v1.Descriptor) (p v1.Platform, ok bool, err error) {
	stat, err := f.m.store.StatBlob(ctx, f.repo, config.Digest)
	if err != nil || stat.Stored && stat.Linked {
		return f.storedPlatform(ctx, config, err)
	}
	if !f.opts.DryRun {
		f.opts.Progress.Expect(config.Size)
		return f.storedPlatform(ctx, config, f.transfer(ctx, config))
	}
	if why := f.m.mayFetch(ctx, f.repo); why != nil {
		return p, false, mirror.MissError(mirror.CodeBlobUnknown, mirror.Ref{Repo: f.repo, Digest: config.Digest}, why)
	}
	body, _, err := f.m.upstream.Blob(ctx, f.repo, config.Digest)
	if err != nil {
		return p, false, mirror.MissError(mirror.CodeBlobUnknown, mirror.Ref{Repo: f.repo, Digest: config.Digest}, err)
	}
	defer body.Close()
	p, ok = mirror.ReadPlatform(body)
	return p, ok, nil
}

func (f *fetch) storedPlatform(ctx context.Context, config v1.Descriptor, err error) (v1.Platform, bool, error) {
	if err != nil {
		return v1.Platform{}, false, err
	}
	return mirror.ConfigPlatform(ctx, f.m.store, f.repo, config)
}

// declines notes a platform that was not asked for.
func (f *fetch) declines(p v1.Platform) {
	if text := mirror.PlatformString(p); !slices.Contains(f.declined, text) {
		f.declined = append(f.declined, text)
	}
}

// errPlatforms says that an image has none of the platforms, if that is so.
func (f *fetch) errPlatforms(ref mirror.Ref) error {
	if len(f.platforms) == 0 || f.accepted || len(f.failures) > 0 || len(f.declined) == 0 {
		return nil
	}
	return mirror.NoPlatform(ref.String(), f.platforms, f.declined)
}
