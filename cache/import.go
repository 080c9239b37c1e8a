package cache

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// StatContent implements [mirror.ImportStore].
func (s *Store) StatContent(ctx context.Context, d digest.Digest) (size int64, err error) {
	record, err := s.storedRecord(ctx, d)
	if err != nil {
		return 0, err
	}
	if size, err = s.blobs.Stat(ctx, d); err != nil || size != record.Size {
		return 0, explain(record.defectError(d, size, err), "look up blob %s", d)
	}
	return size, nil
}

// OpenContent implements [mirror.ImportStore]. It does not count as a use of the blob.
func (s *Store) OpenContent(ctx context.Context, d digest.Digest) (mirror.Blob, error) {
	record, err := s.storedRecord(ctx, d)
	if err != nil {
		return mirror.Blob{}, err
	}
	blob, err := s.openStored(ctx, d, record)
	return blob, explain(err, "open blob %s", d)
}

func (s *Store) storedRecord(ctx context.Context, d digest.Digest) (record blobRecord, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		var found bool
		record, found, err = getRecord[blobRecord](tx, tableBlobs, d.String())
		if err == nil && !found {
			err = mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not stored", d)
		}
		return err
	})
	return record, explain(err, "look up blob %s", d)
}

// ImportManifests implements [mirror.ImportStore]. The detail of [mirror.CodeManifestBlobUnknown] is a list of missing
// digests, without duplicates, up to maxMissing of them. The references of all manifests are in memory until they are
// written: some KiB for an image. A few hundred manifests in one call are a good number.
func (s *Store) ImportManifests(ctx context.Context, manifests []mirror.ImportedManifest) error {
	imports, err := s.readImports(ctx, manifests)
	if err != nil {
		return err
	}
	contents := make([]content, len(imports))
	for i, p := range imports {
		contents[i] = p.content
	}
	defer s.manifests.beginWrite(contents...)()
	err = updateAlone(ctx, s.index, importLocks(imports), func(tx backend.WriteTx, alone bool) error { return writeImports(tx, imports, alone) })
	return explain(err, "import %d manifests", len(imports))
}

// readImports reads the manifests and checks everything that does not need the index.
func (s *Store) readImports(ctx context.Context, manifests []mirror.ImportedManifest) ([]*manifestWrite, error) {
	imports := make([]*manifestWrite, 0, len(manifests))
	var missing missingBlobs
	for _, m := range manifests {
		p, err := s.readImport(ctx, m)
		switch {
		case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
			missing.add(m.Digest)
		case err != nil:
			return nil, wrapError(err, "cannot import manifest %s to %s", m.Digest, m.Repo)
		default:
			imports = append(imports, p)
		}
	}
	return imports, errMissingBlobs(&missing)
}

func (s *Store) readImport(ctx context.Context, m mirror.ImportedManifest) (*manifestWrite, error) {
	if m.Origin != mirror.Imported && m.Origin != mirror.Pushed {
		return nil, fmt.Errorf("origin %q cannot be imported", m.Origin)
	}
	data, err := s.readStoredManifest(ctx, m.Digest)
	if err != nil {
		return nil, err
	}
	p, err := newManifestWrite(m.Repo, mirror.Manifest{MediaType: m.MediaType, Digest: m.Digest, Bytes: data, Origin: m.Origin}, s.Now(), nil)
	if err != nil {
		return nil, err
	}
	p.named = s.named
	p.anyRepo, p.repoOrigin, p.extra = true, mirror.Imported, p.namedAmong(m.With)
	if m.Local {
		p.repoOrigin = mirror.Pushed
	}
	return p, nil
}

// namedAmong returns those of the digests that the manifest names and does not need.
func (p *manifestWrite) namedAmong(digests []digest.Digest) (named []digest.Digest) {
	if len(digests) == 0 || len(p.owned)+len(p.children) == 0 {
		return nil
	}
	names := make(map[digest.Digest]bool, len(p.owned)+len(p.children))
	for _, desc := range slices.Concat(p.owned, p.children) {
		names[desc.Digest] = true
	}
	for _, d := range digests {
		if names[d] {
			named = append(named, d)
		}
	}
	return named
}

// readStoredManifest reads a stored blob that may be a manifest, and verifies it.
func (s *Store) readStoredManifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	blob, err := s.OpenContent(ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return readVerifiedBlob(blob, d)
}

// writeImports writes the manifests in a transaction. It looks up their own files again, which a collector may have
// deleted since.
func writeImports(tx backend.WriteTx, imports []*manifestWrite, alone bool) error {
	var missing missingBlobs
	tx.Prefetch(func(yield func(backend.Key) bool) {
		for _, p := range imports {
			for k := range p.keys() {
				if !yield(k) {
					return
				}
			}
		}
	})
	for _, p := range imports {
		if !has(tx, tableBlobs, p.digest.String()) {
			missing.add(p.digest)
		}
		if err := p.findMissing(tx, &missing); err != nil {
			return wrapError(err, "cannot import manifest %s to %s", p.digest, p.repo)
		}
	}
	if err := errMissingBlobs(&missing); err != nil {
		return err
	}
	for _, p := range imports {
		p.alone = alone
		if err := p.writeChecked(tx); err != nil {
			return wrapError(err, "cannot import manifest %s to %s", p.digest, p.repo)
		}
	}
	return nil
}

func errMissingBlobs(missing *missingBlobs) error {
	return missing.err("manifests need %d blobs that are not stored: import these first", len(missing.all))
}

// wrapError adds context to err, also for clients.
func wrapError(err error, format string, args ...any) error {
	args = append(args, err)
	if code := mirror.CodeOf(err); code != mirror.CodeUnknown {
		return mirror.Errorf(code, format+": %w", args...)
	}
	return fmt.Errorf(format+": %w", args...)
}
