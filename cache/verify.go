package cache

import (
	"context"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Verify implements [mirror.ImportStore].
func (s *Store) Verify(ctx context.Context, d digest.Digest) error {
	defect, err := s.verify(ctx, d)
	if err != nil || defect.Reason == "" {
		return explain(err, "verify blob %s", d)
	}
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		if !has(tx, tableBlobs, d.String()) { // the blob was deleted meanwhile
			return mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not stored", d)
		}
		defect.Repos, defect.Manifest = reposUsing(tx, d)
		return nil
	})
	if err != nil {
		return explain(err, "verify blob %s", d)
	}
	return newDefectError(mirror.CodeBlobUnknown, "blob "+d.String(), defect)
}

// verify reads the file of d, unless its content is known to be right.
func (s *Store) verify(ctx context.Context, d digest.Digest) (defect mirror.Defect, err error) {
	record, err := s.storedRecord(ctx, d)
	if err != nil {
		return defect, err
	}
	blob, err := s.blobs.Open(ctx, d)
	known := false
	if err == nil {
		known = s.blobs.Verified(d, blob)
		blob.Close()
	}
	defect, err = record.compare(d, blob.Size, err)
	if err != nil || defect.Reason != "" || known {
		return defect, err
	}
	return s.reads.do(ctx, d, func(ctx context.Context) (mirror.Defect, error) {
		defect, _, err := s.readBlob(ctx, d, record, func(context.Context, int) error { return nil })
		return defect, err
	})
}

// verifiable adds a Verify function to an open blob, unless its content is known to be right. Verifying the file that
// has the name of d says something about this blob only if it is the same file.
func (s *Store) verifiable(d digest.Digest, blob mirror.Blob) mirror.Blob {
	if s.blobs.Verified(d, blob) {
		return blob
	}
	open := blob
	blob.Verify = func(ctx context.Context) error {
		err := s.Verify(ctx, d)
		if err == nil && !s.blobs.Verified(d, open) {
			err = mirror.Errorf(mirror.CodeUnavailable, "the file of blob %s was replaced or changed while it was read: try again", d)
		}
		return err
	}
	return blob
}

// checkStored checks that the file of a blob exists with the size in the index. It repairs a defect, so that the blob is not
// stored any more and the caller can ask for it.
func (s *Store) checkStored(ctx context.Context, d digest.Digest) error {
	var records map[digest.Digest]blobRecord
	err := s.index.View(ctx, func(tx backend.ReadTx) (err error) {
		records, err = storedRecords(tx, []digest.Digest{d})
		return err
	})
	if err == nil {
		_, err = s.repairStored(ctx, records)
	}
	return err
}

// storedRecords returns the entries of those of the blobs that are stored.
func storedRecords(tx backend.ReadTx, digests []digest.Digest) (map[digest.Digest]blobRecord, error) {
	records := make(map[digest.Digest]blobRecord, len(digests))
	for _, d := range digests {
		record, stored, err := getRecord[blobRecord](tx, tableBlobs, d.String())
		if err != nil {
			return nil, err
		}
		if stored {
			records[d] = record
		}
	}
	return records, nil
}

// repairStored does what checkStored does for several blobs, and reports whether it has repaired one.
func (s *Store) repairStored(ctx context.Context, records map[digest.Digest]blobRecord) (repaired bool, err error) {
	for d, record := range records {
		size, err := s.blobs.Stat(ctx, d)
		if err == nil && size == record.Size {
			continue
		}
		defect, err := record.compare(d, size, err)
		if err != nil {
			return repaired, err
		}
		s.options.Log.Warn("stored content is damaged or missing", zap.Stringer("digest", d), zap.String("why", defect.Reason))
		if _, err := s.Repair(ctx, defect); err != nil {
			return repaired, err
		}
		repaired = true
	}
	return repaired, nil
}
