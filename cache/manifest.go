package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

func errManifestUnknown(repo mirror.Repo, d digest.Digest) *mirror.Error {
	return mirror.Errorf(mirror.CodeManifestUnknown, "manifest %s is not stored in %s", d, repo)
}

// maxLargeReads is how many manifests that are too large for the cache are read at a time.
const maxLargeReads = 4

// Manifest implements [mirror.ManifestStore]. The bytes are shared with other callers and must not be changed.
func (s *Store) Manifest(ctx context.Context, repo mirror.Repo, d digest.Digest) (m mirror.Manifest, err error) {
	c := content{repo, d}
	err = s.recordUse(ctx, c, func() (got found, err error) {
		cached, hit, generation := s.manifests.get(c)
		if hit && !s.shared {
			m = cached
			return found{stored: true}, nil
		}
		record, used, err := s.manifestUsed(ctx, c)
		if err != nil {
			return found{}, err
		}
		m = mirror.Manifest{MediaType: record.MediaType, Digest: d, Bytes: cached.Bytes, Origin: record.Origin}
		if !hit {
			if m.Bytes, err = s.loadManifest(ctx, c, record); err != nil {
				return found{}, err
			}
			if len(m.Bytes) <= maxCachedManifest {
				s.manifests.add(c, m, generation)
			}
		}
		return found{stored: true, used: used}, nil
	}, (*Store).keepManifest)
	if err != nil {
		return mirror.Manifest{}, explain(err, "read manifest %s of %s", d, repo)
	}
	return m, nil
}

// loadManifest reads the bytes of a manifest.
func (s *Store) loadManifest(ctx context.Context, c content, record manifestRecord) (data []byte, err error) {
	read := func(ctx context.Context) ([]byte, error) { return s.readManifest(ctx, c.digest, record.Size) }
	if record.Size > maxCachedManifest {
		data, err = s.largeManifests.do(ctx, c.digest, read)
	} else {
		data, err = read(ctx)
	}
	if err != nil {
		if _, err := s.manifestRecord(ctx, c); err != nil { // the manifest was deleted meanwhile
			return nil, err
		}
		return nil, err
	}
	return data, nil
}

// manifestUsed returns a manifest and, if the index is shared, when it was added or last used.
func (s *Store) manifestUsed(ctx context.Context, c content) (record manifestRecord, used time.Time, err error) {
	if !s.shared {
		record, err = s.manifestRecord(ctx, c)
		return record, used, err
	}
	err = s.index.View(ctx, func(tx backend.ReadTx) (err error) {
		tx.Prefetch(manifestKeys(c))
		var stored bool
		record, used, stored, err = readManifestRecord(tx, c)
		if err == nil && !stored {
			return errManifestUnknown(c.repo, c.digest)
		}
		return err
	})
	return record, used, err
}

func (s *Store) manifestRecord(ctx context.Context, c content) (record manifestRecord, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) (err error) {
		var found bool
		record, found, err = getRecord[manifestRecord](tx, tableManifests, c.key())
		if err == nil && !found {
			return errManifestUnknown(c.repo, c.digest)
		}
		return err
	})
	return record, err
}

// readManifest reads and verifies the file of a manifest. Verification is cheap compared to opening the file, and a
// cached manifest is not verified again. If the file is missing or damaged, the error wraps a [mirror.DefectError].
func (s *Store) readManifest(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	blob, err := s.blobs.Open(ctx, d)
	if err == nil {
		defer blob.Close()
	}
	defect, err := blobRecord{Size: size}.compare(d, blob.Size, err)
	if err != nil {
		return nil, err
	}
	if defect.Reason == "" {
		data, err := readVerifiedBlob(blob, d)
		found := mirror.DefectOf(err)
		if found == nil {
			return data, err
		}
		defect = *found
	}
	defect.Digest, defect.Manifest = d, true
	return nil, newDefectError(mirror.CodeManifestUnknown, "manifest "+d.String(), defect)
}

// readVerifiedBlob reads and verifies a blob. It returns [mirror.CodeManifestTooLarge] for a blob that is too large for
// a manifest. If the blob is damaged, the error wraps a [mirror.DefectError].
func readVerifiedBlob(blob mirror.Blob, d digest.Digest) ([]byte, error) {
	if blob.Size > mirror.MaxManifestSize {
		return nil, mirror.Errorf(mirror.CodeManifestTooLarge, "blob %s is not a manifest: it is larger than %d bytes", d, mirror.MaxManifestSize)
	}
	defect := mirror.Defect{Kind: mirror.Damaged, Digest: d, Size: blob.Size}
	data := make([]byte, blob.Size)
	_, err := io.ReadFull(blob, data)
	switch {
	case errors.Is(err, syscall.EIO) || errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF:
		defect.Reason = fmt.Sprintf("it is damaged: its file cannot be read: %v", err)
	case err != nil:
		return nil, err
	case d.Algorithm().FromBytes(data) != d:
		defect.Reason = "it is damaged: the content of its file has another digest"
	default:
		return data, nil
	}
	return nil, newDefectError(mirror.CodeBlobUnknown, "blob "+d.String(), defect)
}

// OpenManifest implements [mirror.ManifestStore].
func (s *Store) OpenManifest(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error) {
	record, err := s.manifestRecord(ctx, content{repo, d})
	if err != nil {
		return mirror.Blob{}, explain(err, "look up manifest %s in %s", d, repo)
	}
	blob, err := s.openStored(ctx, d, blobRecord{Size: record.Size})
	if err != nil {
		if _, err := s.manifestRecord(ctx, content{repo, d}); err != nil { // the manifest was deleted meanwhile
			return mirror.Blob{}, err
		}
		return mirror.Blob{}, explain(err, "open manifest %s of %s", d, repo)
	}
	return blob, nil
}

// readManifestBlob opens a blob and calls readVerifiedBlob.
func readManifestBlob(ctx context.Context, blobs backend.Blobs, d digest.Digest) ([]byte, error) {
	blob, err := blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return readVerifiedBlob(blob, d)
}
