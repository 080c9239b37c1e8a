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
		if !has(tx, tableBlobs, d.String()) { // it was collected in between
			return mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not held", d)
		}
		defect.Repos, defect.Manifest = reposUsing(tx, d)
		return nil
	})
	if err != nil {
		return explain(err, "verify blob %s", d)
	}
	return newDefectError(mirror.CodeBlobUnknown, "blob "+d.String(), defect)
}

// verify reads the file of d, unless it is known to be right.
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

// verifiable gives a blob that was opened what verifies it, unless it is known to be right. That the file which has its
// name is right says something of this one only if it is the same.
func (s *Store) verifiable(d digest.Digest, blob mirror.Blob) mirror.Blob {
	if s.blobs.Verified(d, blob) {
		return blob
	}
	open := blob
	blob.Verify = func(ctx context.Context) error {
		err := s.Verify(ctx, d)
		if err == nil && !s.blobs.Verified(d, open) {
			err = mirror.Errorf(mirror.CodeUnavailable, "the file of blob %s was replaced or changed while it was read: ask for it again", d)
		}
		return err
	}
	return blob
}

// checkStored sees whether the files of blobs that are to be relied on are there, with the sizes that the index has. What is
// not is repaired, and not held from then on: somebody may be there who can bring it.
func (s *Store) checkStored(ctx context.Context, digests ...digest.Digest) error {
	for _, d := range digests {
		_, err := s.StatContent(ctx, d)
		defect := mirror.DefectOf(err)
		if defect == nil && mirror.CodeOf(err) == mirror.CodeBlobUnknown {
			continue
		}
		if defect != nil {
			s.options.Log.Warn("what is stored is damaged or missing", zap.Stringer("digest", d), zap.String("why", defect.Reason))
			_, err = s.Repair(ctx, *defect)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
