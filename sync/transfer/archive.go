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
func (in *importer) importArchive(ctx context.Context) error {
	if _, err := in.verify(nil, nil); err != nil {
		return err
	}
	var came content = in.service
	if in.req.DryRun {
		dry := &dryRunContent{service: in.service, sizes: make(map[digest.Digest]int64), data: make(map[digest.Digest][]byte)}
		if err := in.readDryRun(ctx, dry); err != nil {
			return err
		}
		came = dry
	} else if err := in.receiveAll(ctx); err != nil {
		return err
	}
	roots, err := in.reader.Roots()
	if err != nil {
		return err
	}
	if err := in.storeRoots(ctx, roots, came); err != nil {
		return err
	}
	t := &imageTree{content: came, protection: &in.protection, inArchive: in.inArchive, seen: make(map[digest.Digest]*node)}
	found, err := in.nameImages(ctx, t, roots)
	if err != nil {
		return err
	}
	return in.addImages(ctx, t, found)
}

// receiveAll takes in every entry.
func (in *importer) receiveAll(ctx context.Context) error {
	all := newCommitter()
	var unknown []func() // tell the reader what an entry was
	err := in.eachEntry(func(e *bundle.Entry) error {
		if e.Digest != "" {
			in.protect(e.Digest)
			in.inArchive[e.Digest] = e.Size
			if held, err := in.service.isIntact(ctx, e.Digest, e.Size); err != nil || held {
				in.Did(e.Size)
				return err
			}
			return in.storeEntry(ctx, e, all)
		}
		incoming, err := in.service.store.Receive(ctx, "")
		if err != nil {
			return err
		}
		if _, err := io.Copy(incoming, &countingReader{ctx, e, in}); err != nil {
			return errors.Join(err, incoming.Abort())
		}
		known := *e
		unknown = append(unknown, func() { known.SetDigest(incoming.Digest()) })
		return all.run(func() error {
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

func (in *importer) eachEntry(f func(*bundle.Entry) error) error {
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

// storeRoots takes in the manifests that the reader made, for archives that had none.
func (in *importer) storeRoots(ctx context.Context, roots []bundle.Root, to content) error {
	for _, root := range roots {
		if root.Data == nil {
			continue
		}
		d := root.Descriptor.Digest
		if dry, ok := to.(*dryRunContent); ok {
			dry.sizes[d], dry.data[d] = int64(len(root.Data)), root.Data
		}
		if err := in.storeRoot(ctx, d, root.Data); err != nil {
			return err
		}
	}
	return nil
}

func (in *importer) storeRoot(ctx context.Context, d digest.Digest, data []byte) error {
	in.protect(d)
	size := int64(len(data))
	if held, err := in.service.isIntact(ctx, d, size); err != nil || held {
		return err
	}
	if in.req.DryRun {
		in.added[d] = size
		return nil
	}
	incoming, err := in.service.store.Receive(ctx, d)
	if err != nil {
		return err
	}
	if _, err := io.Copy(incoming, bytes.NewReader(data)); err != nil {
		return errors.Join(err, incoming.Abort())
	}
	return in.commit(ctx, incoming, size)
}

// addImages enters what was found, as finish does for bundles.
func (in *importer) addImages(ctx context.Context, t *imageTree, found []foundImage) error {
	t.count(&in.summary, found)
	unneeded := in.takeUnneeded(t)
	in.summary.Images = len(found)
	in.report(Event{Kind: KindPlan, Images: len(found), Total: in.summary.Bytes})
	var tags []mirror.ImportedTag
	for _, f := range found {
		tags = append(tags, tagsOf(f.ref, f.node.digest)...)
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
		if err := in.importManifests(ctx, t.manifests()); err != nil {
			return err
		}
		if err := in.pointTags(ctx, tags); err != nil {
			return err
		}
		in.service.mirror.ResolveWants(ctx)
		if err := in.discard(ctx, unneeded); err != nil {
			return err
		}
	}
	for _, f := range found {
		size := f.node.totalSize()
		in.report(Event{Kind: KindImage, Image: &bundle.Image{
			Repository: f.ref.Repo.String(), Tag: f.ref.Tag, Digest: f.node.digest, Origin: string(mirror.Imported),
			Size: size, New: size, Why: cmp.Or(f.why, bundle.WhyNamed),
		}})
	}
	in.reportHosts(func(yield func(mirror.Repo) bool) {
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
	isIntact(ctx context.Context, d digest.Digest, size int64) (bool, error)
	// readManifest reads d. [mirror.CodeBlobUnknown] if it is not there.
	readManifest(ctx context.Context, d digest.Digest) ([]byte, error)
}

// dryRunContent is what an archive has that is not taken in.
type dryRunContent struct {
	service *Service
	sizes   map[digest.Digest]int64
	data    map[digest.Digest][]byte // of what can be a manifest
	kept    int
}

func (d *dryRunContent) isIntact(ctx context.Context, dg digest.Digest, size int64) (bool, error) {
	if got, ok := d.sizes[dg]; ok {
		if got != size {
			return false, mirror.Errorf(mirror.CodeBundleInvalid, "%s has %d bytes, and is said to have %d", dg, got, size)
		}
		return true, nil
	}
	return d.service.isIntact(ctx, dg, size)
}

func (d *dryRunContent) readManifest(ctx context.Context, dg digest.Digest) ([]byte, error) {
	if data, ok := d.data[dg]; ok {
		return data, nil
	}
	if _, ok := d.sizes[dg]; ok {
		return nil, mirror.Errorf(mirror.CodeManifestTooLarge, "%s is no manifest, or one of too many", dg)
	}
	return d.service.readManifest(ctx, dg)
}

// maxKept is how many bytes of what can be a manifest are kept for a dry run.
const maxKept = 32 << 20

// readDryRun reads and verifies everything, and keeps what can be a manifest.
func (in *importer) readDryRun(ctx context.Context, to *dryRunContent) error {
	return in.eachEntry(func(e *bundle.Entry) error {
		in.Doing("reading " + string(e.Digest))
		hash := cmp.Or(e.Digest, digest.Canonical.FromString("")).Algorithm().Digester()
		var kept bytes.Buffer
		w := io.Writer(hash.Hash())
		if e.Size <= mirror.MaxManifestSize && e.Size <= int64(maxKept-to.kept) {
			w = io.MultiWriter(w, &kept)
		}
		if _, err := io.Copy(w, &countingReader{ctx, e, in}); err != nil {
			return err
		}
		d := hash.Digest()
		if e.Digest == "" {
			e.SetDigest(d)
		} else if d != e.Digest {
			return mirror.Errorf(mirror.CodeDigestInvalid, "the %d bytes that came are %s, not %s", e.Size, d, e.Digest)
		}
		if held, err := in.service.isIntact(ctx, d, e.Size); err != nil {
			return err
		} else if !held {
			in.added[d] = e.Size
		}
		to.sizes[d], in.inArchive[d] = e.Size, e.Size
		if data := bytes.TrimLeft(kept.Bytes(), " \t\r\n"); len(data) > 0 && data[0] == '{' {
			to.data[d] = slices.Clip(kept.Bytes())
			to.kept += kept.Len()
		}
		return nil
	})
}
