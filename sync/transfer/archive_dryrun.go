package transfer

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// content looks up the content of an archive.
type content interface {
	// isIntact reports whether d exists with that size.
	isIntact(ctx context.Context, d digest.Digest, size int64) (bool, error)
	// readManifest reads d. It returns [mirror.CodeBlobUnknown] if d does not exist.
	readManifest(ctx context.Context, d digest.Digest) ([]byte, error)
}

// dryRunContent is the content of an archive that is not stored.
type dryRunContent struct {
	service *Service
	sizes   map[digest.Digest]int64
	data    map[digest.Digest][]byte // of possible manifests
	kept    int
}

func (d *dryRunContent) isIntact(ctx context.Context, dg digest.Digest, size int64) (bool, error) {
	if got, ok := d.sizes[dg]; ok {
		if got != size {
			return false, mirror.Errorf(mirror.CodeBundleInvalid, "%s has %d bytes, and its descriptor says %d", dg, got, size)
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
		return nil, mirror.Errorf(mirror.CodeManifestTooLarge, "%s is not a manifest, or the archive has too many", dg)
	}
	return d.service.readManifest(ctx, dg)
}

// maxKept is the number of bytes of possible manifests that a dry run keeps in memory.
const maxKept = 32 << 20

// readDryRun reads and verifies everything, and keeps possible manifests.
func (in *importer) readDryRun(ctx context.Context, to *dryRunContent) error {
	return in.eachEntry(func(e *bundle.Entry) error {
		in.SetCurrent("reading " + string(e.Digest))
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
			return damagedEntry(e.Digest, e.Size, mirror.Errorf(mirror.CodeDigestInvalid, "its content has digest %s", d))
		}
		if stored, err := in.service.isIntact(ctx, d, e.Size); err != nil {
			return err
		} else if !stored {
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
