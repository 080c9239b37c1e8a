package transfer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// foreign imports an archive that is no bundle: an OCI image layout, or what docker save wrote. Nothing says beforehand
// what is in it, so everything is taken in, and what turns out to belong to no image is discarded again.
func (in *importing) foreign(ctx context.Context) error {
	if _, err := in.verify(nil, nil); err != nil {
		return err
	}
	var came content = in.c
	if in.req.DryRun {
		dry := &dryContent{c: in.c, sizes: make(map[digest.Digest]int64), data: make(map[digest.Digest][]byte)}
		if err := in.readDry(ctx, dry); err != nil {
			return err
		}
		came = dry
	} else if err := in.takeAll(ctx); err != nil {
		return err
	}
	roots, err := in.reader.Roots()
	if err != nil {
		return err
	}
	if err := in.takeRoots(ctx, roots, came); err != nil {
		return err
	}
	t := &tree{content: came, guard: &in.guard, came: in.had, seen: make(map[digest.Digest]*branch)}
	found, err := in.name(ctx, t, roots)
	if err != nil {
		return err
	}
	return in.takeImages(ctx, t, found)
}

// takeAll takes in every entry.
func (in *importing) takeAll(ctx context.Context) error {
	all := newCommits()
	var unknown []func() // tell the reader what an entry was
	err := in.eachEntry(func(e *bundle.Entry) error {
		if e.Digest != "" {
			in.protect(e.Digest)
			in.had[e.Digest] = e.Size
			if held, err := in.c.held(ctx, e.Digest, e.Size); err != nil || held {
				in.Did(e.Size)
				return err
			}
			return in.entry(ctx, e, all)
		}
		incoming, err := in.c.store.Receive(ctx, "")
		if err != nil {
			return err
		}
		if _, err := io.Copy(incoming, &counted{ctx, e, in}); err != nil {
			return errors.Join(err, incoming.Abort())
		}
		known := *e
		unknown = append(unknown, func() { known.Known(incoming.Digest()) })
		return all.do(func() error {
			err := in.commit(ctx, incoming, known.Size)
			in.protect(incoming.Digest())
			return err
		})
	})
	err = all.wait(err)
	if err != nil {
		return err
	}
	for _, tell := range unknown {
		tell()
	}
	return nil
}

func (in *importing) eachEntry(f func(*bundle.Entry) error) error {
	for {
		e, err := in.reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		in.Expect(e.Size)
		if err := f(e); err != nil {
			return err
		}
	}
}

// takeRoots takes in the manifests that the reader made, for archives that had none.
func (in *importing) takeRoots(ctx context.Context, roots []bundle.Root, to content) error {
	for _, root := range roots {
		if root.Data == nil {
			continue
		}
		d := root.Descriptor.Digest
		if dry, ok := to.(*dryContent); ok {
			dry.sizes[d], dry.data[d] = int64(len(root.Data)), root.Data
		}
		if err := in.takeRoot(ctx, d, root.Data); err != nil {
			return err
		}
	}
	return nil
}

func (in *importing) takeRoot(ctx context.Context, d digest.Digest, data []byte) error {
	in.protect(d)
	size := int64(len(data))
	if held, err := in.c.held(ctx, d, size); err != nil || held {
		return err
	}
	if in.req.DryRun {
		in.brought[d] = size
		return nil
	}
	incoming, err := in.c.store.Receive(ctx, d)
	if err != nil {
		return err
	}
	if _, err := io.Copy(incoming, bytes.NewReader(data)); err != nil {
		return errors.Join(err, incoming.Abort())
	}
	return in.commit(ctx, incoming, size)
}

// takeImages enters what was found, as finish does for bundles.
func (in *importing) takeImages(ctx context.Context, t *tree, found []foundImage) error {
	t.count(&in.summary, found)
	unneeded := in.unneeded(t)
	in.summary.Images = len(found)
	in.tell(Event{Kind: KindPlan, Images: len(found), Total: in.summary.Bytes})
	var tags []mirror.ImportedTag
	for _, f := range found {
		tags = append(tags, namesOf(f.ref, f.branch.digest)...)
	}
	if in.req.DryRun {
		for _, tag := range tags {
			if in.req.Overwrite || tag.Tag == "" {
				continue
			}
			if err := in.wouldKeep(ctx, tag.Repo, tag.Tag, tag.Digest); err != nil {
				return err
			}
		}
	} else {
		in.Doing("entering manifests")
		if err := in.carry(ctx, t.manifests()); err != nil {
			return err
		}
		if err := in.point(ctx, tags); err != nil {
			return err
		}
		in.c.mirror.ResolveWants(ctx)
		if err := in.discard(ctx, unneeded); err != nil {
			return err
		}
	}
	for _, f := range found {
		size := f.branch.total()
		in.tell(Event{Kind: KindImage, Image: &bundle.Image{
			Repository: f.ref.Repo.String(), Tag: f.ref.Tag, Digest: f.branch.digest, Origin: string(mirror.Imported),
			Size: size, New: size, Why: cmp.Or(f.why, bundle.WhyNamed),
		}})
	}
	in.noteHosts(func(yield func(mirror.Repo) bool) {
		for _, f := range found {
			if !yield(f.ref.Repo) {
				return
			}
		}
	})
	return nil
}

// content is where what came can be looked up.
type content interface {
	// held reports whether d is there with so many bytes.
	held(ctx context.Context, d digest.Digest, size int64) (bool, error)
	// readManifest reads d. [mirror.CodeBlobUnknown] if it is not there.
	readManifest(ctx context.Context, d digest.Digest) ([]byte, error)
}

// dryContent is what an archive has that is not taken in.
type dryContent struct {
	c     *Carrier
	sizes map[digest.Digest]int64
	data  map[digest.Digest][]byte // of what can be a manifest
	kept  int
}

func (d *dryContent) held(ctx context.Context, dg digest.Digest, size int64) (bool, error) {
	if got, ok := d.sizes[dg]; ok {
		if got != size {
			return false, mirror.Errorf(mirror.CodeBundleInvalid, "%s has %d bytes, and is said to have %d", dg, got, size)
		}
		return true, nil
	}
	return d.c.held(ctx, dg, size)
}

func (d *dryContent) readManifest(ctx context.Context, dg digest.Digest) ([]byte, error) {
	if data, ok := d.data[dg]; ok {
		return data, nil
	}
	if _, ok := d.sizes[dg]; ok {
		return nil, mirror.Errorf(mirror.CodeManifestTooLarge, "%s is no manifest, or one of too many", dg)
	}
	return d.c.readManifest(ctx, dg)
}

// maxKept is how many bytes of what can be a manifest are kept for a dry run.
const maxKept = 32 << 20

// readDry reads and verifies everything, and keeps what can be a manifest.
func (in *importing) readDry(ctx context.Context, to *dryContent) error {
	return in.eachEntry(func(e *bundle.Entry) error {
		in.Doing("reading " + string(e.Digest))
		hash := cmp.Or(e.Digest, digest.Canonical.FromString("")).Algorithm().Digester()
		var kept bytes.Buffer
		w := io.Writer(hash.Hash())
		if e.Size <= mirror.MaxManifestSize && e.Size <= int64(maxKept-to.kept) {
			w = io.MultiWriter(w, &kept)
		}
		if _, err := io.Copy(w, &counted{ctx, e, in}); err != nil {
			return err
		}
		d := hash.Digest()
		if e.Digest == "" {
			e.Known(d)
		} else if d != e.Digest {
			return mirror.Errorf(mirror.CodeDigestInvalid, "the %d bytes that came are %s, not %s", e.Size, d, e.Digest)
		}
		if held, err := in.c.held(ctx, d, e.Size); err != nil {
			return err
		} else if !held {
			in.brought[d] = e.Size
		}
		to.sizes[d], in.had[d] = e.Size, e.Size
		if data := bytes.TrimLeft(kept.Bytes(), " \t\r\n"); len(data) > 0 && data[0] == '{' {
			to.data[d] = slices.Clip(kept.Bytes())
			to.kept += kept.Len()
		}
		return nil
	})
}
