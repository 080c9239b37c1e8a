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

// OpenContent implements [mirror.ImportStore]. It is no use of the blob.
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
			err = mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not held", d)
		}
		return err
	})
	return record, explain(err, "look up blob %s", d)
}

// ImportManifests implements [mirror.ImportStore]. The detail of a [mirror.CodeManifestBlobUnknown] is the list of missing digests,
// each once: the first maxMissing of them. What the manifests point at is in memory until it is written, some KiB for an
// image; some hundred at a time are written well together.
func (s *Store) ImportManifests(ctx context.Context, manifests []mirror.ImportedManifest) error {
	carried, err := s.readImports(ctx, manifests)
	if err != nil {
		return err
	}
	contents := make([]content, len(carried))
	for i, p := range carried {
		contents[i] = p.content
	}
	defer s.manifests.beginWrite(contents...)()
	err = s.index.Update(ctx, func(tx backend.WriteTx) error { return writeImports(tx, carried) })
	return explain(err, "take in %d manifests", len(carried))
}

// readImports reads the manifests and checks what can be checked without the index.
func (s *Store) readImports(ctx context.Context, manifests []mirror.ImportedManifest) ([]*manifestWrite, error) {
	carried := make([]*manifestWrite, 0, len(manifests))
	var missing missingBlobs
	for _, m := range manifests {
		p, err := s.readImport(ctx, m)
		switch {
		case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
			missing.add(m.Digest)
		case err != nil:
			return nil, wrapError(err, "manifest %s cannot be taken in to %s", m.Digest, m.Repo)
		default:
			carried = append(carried, p)
		}
	}
	return carried, errMissingBlobs(&missing)
}

func (s *Store) readImport(ctx context.Context, m mirror.ImportedManifest) (*manifestWrite, error) {
	if m.Origin != mirror.Imported && m.Origin != mirror.Pushed {
		return nil, fmt.Errorf("%q is not an origin of what is carried", m.Origin)
	}
	data, err := s.readStoredManifest(ctx, m.Digest)
	if err != nil {
		return nil, err
	}
	p, err := newManifestWrite(m.Repo, mirror.Manifest{MediaType: m.MediaType, Digest: m.Digest, Bytes: data, Origin: m.Origin}, s.Now(), nil)
	if err != nil {
		return nil, err
	}
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

// writeImports is the transaction. A manifest's own file is looked up again: a collector may have taken it since.
func writeImports(tx backend.WriteTx, carried []*manifestWrite) error {
	var missing missingBlobs
	for _, p := range carried {
		if !has(tx, tableBlobs, p.digest.String()) {
			missing.add(p.digest)
		}
		if err := p.findMissing(tx, &missing); err != nil {
			return wrapError(err, "manifest %s cannot be taken in to %s", p.digest, p.repo)
		}
	}
	if err := errMissingBlobs(&missing); err != nil {
		return err
	}
	for _, p := range carried {
		if err := p.writeChecked(tx); err != nil {
			return wrapError(err, "manifest %s cannot be taken in to %s", p.digest, p.repo)
		}
	}
	return nil
}

func errMissingBlobs(missing *missingBlobs) error {
	return missing.err("manifests need %d blobs that are not held: carry those in first", len(missing.all))
}

// wrapError says what err is about, also to a client.
func wrapError(err error, format string, args ...any) error {
	args = append(args, err)
	if code := mirror.CodeOf(err); code != mirror.CodeUnknown {
		return mirror.Errorf(code, format+": %w", args...)
	}
	return fmt.Errorf(format+": %w", args...)
}
