package transfer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// importArchive imports an archive that is not a bundle: an OCI image layout, or one of docker save. Such an archive
// does not list its content up front. Therefore everything is stored, and content of no image is deleted at the end.
func (in *importer) importArchive(ctx context.Context) error {
	if _, err := in.verify(nil, nil); err != nil {
		return err
	}
	var source content = in.service
	if in.req.DryRun {
		dry := &dryRunContent{service: in.service, sizes: make(map[digest.Digest]int64), data: make(map[digest.Digest][]byte)}
		if err := in.readDryRun(ctx, dry); err != nil {
			return err
		}
		source = dry
	} else if err := in.receiveAll(ctx); err != nil {
		return err
	}
	roots, err := in.reader.Roots()
	if err != nil {
		return err
	}
	if err := in.storeRoots(ctx, roots, source); err != nil {
		return err
	}
	t := &imageTree{content: source, protection: &in.protection, inArchive: in.inArchive, seen: make(map[digest.Digest]*node)}
	found, err := in.nameImages(ctx, t, roots)
	if err != nil {
		return err
	}
	return in.addImages(ctx, t, found)
}

// receiveAll stores every entry.
func (in *importer) receiveAll(ctx context.Context) error {
	all := newCommitter()
	var setDigests []func() // for entries whose digests were unknown
	err := in.eachEntry(func(e *bundle.Entry) error {
		if e.Digest != "" {
			in.protect(e.Digest)
			in.inArchive[e.Digest] = e.Size
			if stored, err := in.service.isIntact(ctx, e.Digest, e.Size); err != nil || stored {
				in.AddDone(e.Size)
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
		entry := *e
		setDigests = append(setDigests, func() { entry.SetDigest(incoming.Digest()) })
		return all.run(func() error {
			err := in.commit(ctx, incoming, entry.Size)
			in.protect(incoming.Digest())
			return err
		})
	})
	err = all.wait(err)
	if err != nil {
		return err
	}
	for _, set := range setDigests {
		set()
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
		in.AddTotal(e.Size)
		if err := f(e); err != nil {
			return err
		}
	}
}

// storeRoots stores the manifests that the reader generated for archives without manifests.
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
	if stored, err := in.service.isIntact(ctx, d, size); err != nil || stored {
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

// addImages imports the images, as finish does for a bundle.
func (in *importer) addImages(ctx context.Context, t *imageTree, found []foundImage) error {
	t.count(&in.summary, found)
	unneeded := in.takeUnneeded(t)
	in.summary.Images = len(found)
	in.AddTotalItems(len(found))
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
		in.SetCurrent("importing manifests")
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
		in.reportImage(&bundle.Image{
			Repository: f.ref.Repo.String(), Tag: f.ref.Tag, Digest: f.node.digest, Origin: string(mirror.Imported),
			Size: size, New: size, Why: cmp.Or(f.why, bundle.WhyNamed),
		})
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
