package transfer

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// discard takes out what an import brought and nobody came to need: it is nobody's, and its bundle is not to be trusted.
func (in *importer) discard(ctx context.Context, brought []digest.Digest) error {
	in.release()
	return in.service.discard(ctx, brought)
}

// discard takes out blobs that belong to no repository. What is linked to one by now is found in the survey, and what is
// linked later is fresh to the sweep: nothing that a client was told is held goes.
func (svc *Service) discard(ctx context.Context, digests []digest.Digest) error {
	if len(digests) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	before := svc.store.Now()
	mine := make(map[digest.Digest]bool, len(digests))
	for _, d := range digests {
		mine[d] = true
	}
	var loose []digest.Digest
	err := svc.store.Survey(ctx, func(s mirror.Survey) error {
		for blob, err := range s.Blobs() {
			if err != nil {
				return err
			}
			linked := len(blob.Repos) > 0 || blob.Fresh.After(blob.Added) // or to a repository that has no manifest yet
			if mine[blob.Digest] && blob.Users == 0 && !linked {
				loose = append(loose, blob.Digest)
			}
		}
		return nil
	})
	var condemned []mirror.DeleteRequest
	for chunk := range slices.Chunk(loose, 1000) {
		condemned = append(condemned, mirror.DeleteRequest{Blobs: chunk, Before: before})
	}
	if err == nil {
		err = svc.store.Sweep(ctx, slices.Values(condemned), nil)
	}
	if err != nil {
		return fmt.Errorf("discard what came: %w", err)
	}
	return nil
}
