package proxy

import (
	"context"
	"errors"

	"airmirror/mirror"
)

// find returns a manifest: for a digest, the stored manifest or that of the upstream; for a tag, the manifest that the
// tag points at upstream. If the upstream does not confirm a stored tag, find returns the stored manifest, and the
// reason in notChecked. If there is no manifest, reason is the reason.
func (i *imageFetch) find(ctx context.Context, ref mirror.Ref) (man mirror.Manifest, notChecked, reason error) {
	if ref.Digest != "" {
		ref.Tag = ""
	}
	stored, err := i.content.lookup(ctx, ref)
	if err == nil && (ref.Digest != "" || stored.tag.Origin == mirror.Pushed) {
		return stored.Manifest, nil, nil
	}
	if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		return mirror.Manifest{}, nil, &storeError{err}
	}
	if reason := i.routing.fetchable(ctx, ref.Repo); reason != nil {
		switch {
		case err != nil:
			return mirror.Manifest{}, nil, reason
		case errors.Is(reason, errLocal):
			reason = nil
		}
		return stored.Manifest, reason, nil
	}
	request := i.request
	if i.opts.DryRun {
		request = i.probe
	}
	man, reason = request(ctx, ref, stored.Manifest, err)
	if err == nil && reason != nil && ctx.Err() == nil && !isStoreError(reason) {
		return stored.Manifest, reason, nil
	}
	return man, nil, reason
}

// request fetches a manifest from the upstream and stores it. missing is why the stored manifest cannot be used; nil if it
// can.
func (i *imageFetch) request(ctx context.Context, ref mirror.Ref, stored mirror.Manifest, missing error) (mirror.Manifest, error) {
	name := "fetch "
	if missing == nil {
		name = "revalidate "
	}
	call, leave := i.calls.do(ctx, name+ref.String(), func(net context.Context) (any, error) {
		switch {
		case ref.Digest != "":
			return i.manifests.fetch(net, ref)
		case missing == nil:
			return i.manifests.resolve(mirror.WithoutUsage(net), ref, stored.Digest)
		default:
			return i.manifests.fetch(net, ref, ref.Tag)
		}
	})
	defer leave()
	if err := call.wait(ctx); err != nil {
		return mirror.Manifest{}, err
	}
	if call.err != nil {
		return mirror.Manifest{}, call.err
	}
	i.absent.Remove(ref.String())
	man := call.answer.(mirror.Manifest)
	if _, err := i.store.Manifest(ctx, ref.Repo, man.Digest); err != nil { // it was fetched but could not be stored
		if full := i.writes.room(int64(len(man.Bytes))); full != nil {
			err = full
		}
		return mirror.Manifest{}, &storeError{mirror.Errorf(mirror.CodeUnknown, "%s cannot be stored: %w", ref, err)}
	}
	return man, nil
}
