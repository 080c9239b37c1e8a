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

// unheld is the error for a manifest that find has an error for.
func (f *fetch) unheld(ctx context.Context, ref mirror.Ref, why error) error {
	if ctx.Err() != nil || isStoreFault(why) {
		return why
	}
	return mirror.MissError(mirror.CodeManifestUnknown, ref, why)
}

// find returns a manifest, for a tag the one that its upstream says it is now, or why it cannot be had. With notChecked
// it is the stored one of a tag that the upstream does not confirm.
func (f *fetch) find(ctx context.Context, ref mirror.Ref) (man mirror.Manifest, notChecked, why error) {
	if ref.Digest != "" {
		ref.Tag = ""
	}
	held, err := f.m.held(ctx, ref)
	if err == nil && (ref.Digest != "" || held.tag.Origin == mirror.Pushed) {
		return held.Manifest, nil, nil
	}
	if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		return mirror.Manifest{}, nil, &storeFault{err}
	}
	if why := f.m.mayFetch(ctx, ref.Repo); why != nil {
		switch {
		case err != nil:
			return mirror.Manifest{}, nil, why
		case errors.Is(why, errLocal):
			why = nil
		}
		return held.Manifest, why, nil
	}
	ask := f.ask
	if f.opts.DryRun {
		ask = f.peek
	}
	man, why = ask(ctx, ref, held.Manifest, err)
	if err == nil && why != nil && ctx.Err() == nil && !isStoreFault(why) {
		return held.Manifest, why, nil
	}
	return man, nil, why
}

// ask asks the upstream for a manifest. missing is why the one that is held cannot be used; nil if it can.
func (f *fetch) ask(ctx context.Context, ref mirror.Ref, held mirror.Manifest, missing error) (mirror.Manifest, error) {
	what := "fetch "
	if missing == nil {
		what = "revalidate "
	}
	question, leave := f.m.lookup(ctx, what+ref.String(), func(net context.Context) (any, error) {
		switch {
		case ref.Digest != "":
			return f.m.transferManifest(net, ref)
		case missing == nil:
			return f.m.transferMoved(mirror.WithoutUsage(net), ref, held.Digest)
		default:
			return f.m.transferManifest(net, ref, ref.Tag)
		}
	})
	defer leave()
	select {
	case <-question.done:
		if question.err != nil {
			return mirror.Manifest{}, question.err
		}
		f.m.unknown.Remove(ref.String())
		man := question.answer.(mirror.Manifest)
		if _, err := f.m.store.Manifest(ctx, ref.Repo, man.Digest); err != nil { // clients get it all the same
			return mirror.Manifest{}, &storeFault{mirror.Errorf(mirror.CodeUnknown, "%s cannot be kept: %w", ref, err)}
		}
		return man, nil
	case <-ctx.Done():
		return mirror.Manifest{}, ctx.Err()
	}
}

// manifest walks a manifest: its children and referrers are fetched, its blobs gathered. asked says that it is what was
// asked for, or a part of that, and nothing has said yet which platform it is for.
func (f *fetch) manifest(ctx context.Context, man mirror.Manifest, asked bool) {
	if f.seen[man.Digest] || ctx.Err() != nil {
		return
	}
	f.seen[man.Digest] = true
	f.got.Manifests++
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		f.fail(mirror.Errorf(mirror.CodeOf(err), "%s@%s: %w", f.repo, man.Digest, err))
		return
	}
	if asked && !f.accepts(ctx, refs) {
		return
	}
	for _, desc := range refs.Blobs {
		f.blob(ctx, part{Descriptor: desc})
	}
	for _, desc := range refs.Nondistributable {
		f.blob(ctx, part{Descriptor: desc, optional: f.m.opts.IgnoreNondistributable})
	}
	for _, desc := range f.selected(refs.Manifests) {
		f.child(ctx, desc, desc.Platform == nil)
	}
	for _, desc := range f.selected(refs.Entries) {
		f.either(ctx, part{Descriptor: desc, either: true})
	}
	for _, desc := range refs.Named {
		f.either(ctx, part{Descriptor: desc, either: true, optional: true})
	}
	if f.opts.Referrers {
		f.referrers(ctx, man.Digest)
	}
}

// child fetches an entry of an index that is called a manifest. Where there is none, it may be a blob.
func (f *fetch) child(ctx context.Context, desc v1.Descriptor, asked bool) {
	if f.seen[desc.Digest] {
		return
	}
	ref := mirror.Ref{Repo: f.repo, Digest: desc.Digest}
	man, _, err := f.find(ctx, ref)
	switch {
	case err == nil:
		f.manifest(ctx, man, asked)
	case absent(err) && f.isBlob(ctx, desc.Digest):
		f.blob(ctx, part{Descriptor: desc})
	default:
		f.fail(f.unheld(ctx, ref, err))
	}
}

// referrers fetches what refers to d: by the referrers API, and by the tags that cosign uses.
func (f *fetch) referrers(ctx context.Context, d digest.Digest) {
	for after, more := digest.Digest(""), true; more; {
		list, err := f.m.Referrers(mirror.WithFullLists(ctx), f.repo, d, after, page, referrersSize)
		if err == nil {
			err = list.Stale
		}
		if err != nil && after == "" {
			f.unlisted(mirror.Errorf(mirror.CodeUnavailable, "cannot tell what refers to %s@%s: %w", f.repo, d, err))
		}
		for _, desc := range list.Items {
			f.child(ctx, desc, false)
			after = desc.Digest
		}
		more = list.More && ctx.Err() == nil
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		ref := mirror.Ref{Repo: f.repo, Tag: strings.Replace(d.String(), ":", "-", 1) + suffix}
		man, notChecked, why := f.find(ctx, ref)
		if why == nil {
			f.manifest(ctx, man, false)
		}
		switch why = cmp.Or(why, notChecked); {
		case why == nil:
		case !mirror.Definitive(why) || mirror.UpstreamRefused(why):
			f.unlisted(mirror.Errorf(mirror.CodeUnavailable, "cannot tell whether there is %s: %w", ref, why))
		}
	}
}

// unlisted notes that an upstream which might know of more that refers to the image could not be asked. The image is
// complete without that. Of several reasons the first one is kept.
func (f *fetch) unlisted(err error) {
	if f.got.NotChecked == nil {
		f.got.NotChecked = err
	}
}
