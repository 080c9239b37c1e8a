package transfer

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// discard deletes blobs that this import added and that no repository uses.
func (in *importer) discard(ctx context.Context, added []digest.Digest) error {
	in.release()
	return in.service.discard(ctx, added)
}

// discard deletes those of the blobs that belong to no repository. The survey finds blobs that are linked to a
// repository now; the sweep keeps blobs that are linked later, because they are fresh then. Therefore no blob is
// deleted after a client was answered that the blob is stored.
func (svc *Service) discard(ctx context.Context, digests []digest.Digest) error {
	if len(digests) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	before := svc.store.Now()
	discarded := make(map[digest.Digest]bool, len(digests))
	for _, d := range digests {
		discarded[d] = true
	}
	var unused []digest.Digest
	err := svc.store.Survey(ctx, func(s mirror.Survey) error {
		for blob, err := range s.Blobs() {
			if err != nil {
				return err
			}
			linked := len(blob.Repos) > 0 || blob.Used.After(blob.Added) // the repository may have no manifests
			if discarded[blob.Digest] && blob.Users == 0 && !linked {
				unused = append(unused, blob.Digest)
			}
		}
		return nil
	})
	var requests []mirror.DeleteRequest
	for chunk := range slices.Chunk(unused, 1000) {
		requests = append(requests, mirror.DeleteRequest{Blobs: chunk, Before: before})
	}
	if err == nil {
		err = svc.store.Sweep(ctx, slices.Values(requests), nil)
	}
	if err != nil {
		return fmt.Errorf("discard imported blobs: %w", err)
	}
	return nil
}
