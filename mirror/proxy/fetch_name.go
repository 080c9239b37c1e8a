package proxy

import (
	"context"

	"airmirror/mirror"
)

// name has an image be called what it was asked for by, as far as its upstream does not say that: a digest makes it a root,
// and a tag beside a digest points at it.
func (f *fetch) name(ctx context.Context, ref mirror.Ref, man mirror.Manifest) error {
	if ref.Digest == "" || !f.opts.Root || f.opts.DryRun {
		return nil
	}
	if err := f.m.mayChange(); err != nil {
		return mirror.Errorf(mirror.CodeOf(err), "%s cannot be kept: %w", ref, err)
	}
	if ref.Tag != "" {
		if err := f.tag(ctx, ref, man); err != nil {
			return err
		}
	}
	_, err := f.m.store.PointTags(ctx, []mirror.ImportedTag{{Repo: ref.Repo, Digest: man.Digest, SkipChildren: f.opts.SkipChildren}}, false)
	return err
}

// tag points the tag of a reference at the image that its digest says. Until its upstream is asked again, the tag is what
// was asked for.
func (f *fetch) tag(ctx context.Context, ref mirror.Ref, man mirror.Manifest) (err error) {
	if man.Origin == mirror.Mirrored {
		err = f.m.store.PutManifest(ctx, ref.Repo, man, ref.Tag)
	} else {
		_, err = f.m.store.PointTags(ctx, []mirror.ImportedTag{{Repo: ref.Repo, Tag: ref.Tag, Digest: man.Digest, Origin: man.Origin}}, false)
	}
	if err != nil {
		return err
	}
	at, err := f.m.store.Tag(ctx, ref.Repo, ref.Tag)
	if err == nil && at.Digest != man.Digest {
		err = mirror.Errorf(mirror.CodeDenied, "tag %s was pushed here and points at %s, not at %s: it is not moved", ref.Tag, at.Digest, man.Digest)
	}
	if err == nil {
		f.m.ContentStored(ref.Repo, man.Digest, ref.Tag)
	}
	return err
}
