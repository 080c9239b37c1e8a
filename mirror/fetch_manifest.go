package mirror

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// root returns the manifest that the image begins with, or that it leads to: for a tag, what its upstream says it is now.
func (f *fetch) root(ctx context.Context, ref Ref) (Manifest, error) {
	man, why := f.find(ctx, ref)
	if why != nil && ctx.Err() == nil && !isStoreFault(why) {
		return Manifest{}, unheld(CodeManifestUnknown, ref, why)
	}
	return man, why
}

// find returns a manifest, or why it cannot be had.
func (f *fetch) find(ctx context.Context, ref Ref) (Manifest, error) {
	held, err := f.m.held(ctx, ref)
	if err == nil && (ref.Digest != "" || held.tag.Origin == Pushed) {
		return held.Manifest, nil
	}
	if err != nil && CodeOf(err) != CodeManifestUnknown {
		return Manifest{}, &storeFault{err}
	}
	if why := f.m.mayFetch(ctx, ref.Repo); why != nil {
		if err == nil {
			return held.Manifest, nil
		}
		return Manifest{}, why
	}
	what := "fetch "
	if err == nil {
		what = "revalidate "
	}
	question, leave := f.m.lookup(ctx, what+ref.String(), func(net context.Context) (any, error) {
		switch {
		case ref.Digest != "":
			return f.m.transferManifest(net, ref)
		case err == nil:
			return f.m.transferMoved(Look(net), ref, held.Digest)
		default:
			return f.m.transferManifest(net, ref, ref.Tag)
		}
	})
	defer leave()
	select {
	case <-question.done:
		switch {
		case question.err == nil:
			f.m.unknown.Remove(ref.String())
			man := question.answer.(Manifest)
			if _, err := f.m.store.Manifest(ctx, ref.Repo, man.Digest); err != nil { // clients get it all the same
				return Manifest{}, &storeFault{Errorf(CodeUnknown, "%s cannot be kept: %w", ref, err)}
			}
			return man, nil
		case err == nil && !final(question.err):
			return held.Manifest, nil
		}
		return Manifest{}, question.err
	case <-ctx.Done():
		return Manifest{}, ctx.Err()
	}
}

// manifest walks a manifest: its children and referrers are fetched, its blobs gathered.
func (f *fetch) manifest(ctx context.Context, man Manifest) {
	if f.seen[man.Digest] || ctx.Err() != nil {
		return
	}
	f.seen[man.Digest] = true
	f.got.Manifests++
	_, refs, err := ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		f.fail(Errorf(CodeOf(err), "%s@%s: %w", f.repo, man.Digest, err))
		return
	}
	for _, desc := range refs.Blobs {
		f.blob(ctx, desc)
	}
	children := refs.Manifests
	if len(f.opts.Platforms) > 0 {
		children = slices.DeleteFunc(slices.Clone(children), func(desc v1.Descriptor) bool { return !f.wanted(desc) })
		f.filtered = f.filtered || len(children) == 0 && len(refs.Manifests) > 0
	}
	for _, desc := range children {
		f.child(ctx, desc.Digest)
	}
	if f.opts.Referrers {
		f.referrers(ctx, man.Digest)
	}
}

func (f *fetch) child(ctx context.Context, d digest.Digest) {
	if f.seen[d] {
		return
	}
	man, err := f.root(ctx, Ref{Repo: f.repo, Digest: d})
	if err != nil {
		f.fail(err)
		return
	}
	f.manifest(ctx, man)
}

// referrers fetches what refers to d: by the referrers API, and by the tags that cosign uses. Offline, that is what is
// held of it; it is a failure if an upstream that might know of more cannot be asked.
func (f *fetch) referrers(ctx context.Context, d digest.Digest) {
	for after, more := digest.Digest(""), true; more; {
		list, err := f.m.Referrers(Patiently(ctx), f.repo, d, after, page, referrersSize)
		if err == nil && !errors.Is(list.Stale, errOffline) {
			err = list.Stale
		}
		if err != nil && after == "" {
			f.fail(Errorf(CodeUnavailable, "cannot tell what refers to %s@%s: %w", f.repo, d, err))
		}
		for _, desc := range list.Items {
			f.child(ctx, desc.Digest)
			after = desc.Digest
		}
		more = list.More && ctx.Err() == nil
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		ref := Ref{Repo: f.repo, Tag: strings.Replace(d.String(), ":", "-", 1) + suffix}
		switch man, why := f.find(ctx, ref); {
		case why == nil:
			f.manifest(ctx, man)
		case !final(why) && !errors.Is(why, errOffline):
			f.fail(Errorf(CodeUnavailable, "cannot tell whether there is %s: %w", ref, why))
		}
	}
}

// wanted reports whether an index's entry is for one of the platforms. An entry without one is for all; attestations
// of a build say "unknown" and come with the referrers.
func (f *fetch) wanted(desc v1.Descriptor) bool {
	if desc.Platform == nil {
		return true
	}
	if desc.Platform.OS == "unknown" {
		return f.opts.Referrers
	}
	return slices.ContainsFunc(f.opts.Platforms, func(p string) bool { return MatchPlatform(p, *desc.Platform) })
}
