package generate

import (
	"bytes"
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
)

// push stores an image as a client does that pushes it: blobs first, and only those that the repository lacks.
func push(ctx context.Context, s *cache.Store, image Image) error {
	for _, data := range image.Blobs {
		d := digest.FromBytes(data)
		stat, err := s.StatBlob(ctx, image.Repo, d)
		if err != nil {
			return err
		}
		if stat.Stored && stat.Linked {
			continue
		}
		upload, err := s.StartUpload(ctx, image.Repo, digest.SHA256)
		if err != nil {
			return err
		}
		if _, err := upload.Append(bytes.NewReader(data)); err != nil {
			return err
		}
		if err := upload.Commit(ctx, d); err != nil {
			return err
		}
	}
	return s.PutManifest(ctx, image.Repo, image.manifest(), image.Tag)
}

// pull stores an image as the engine does for a client that pulls it through the mirror: the manifest first, then each
// blob that is missing. Then it reads everything, as the client does.
func pull(ctx context.Context, s *cache.Store, image Image) error {
	if err := s.PutManifest(ctx, image.Repo, image.manifest(), image.Tag); err != nil {
		return err
	}
	if _, err := s.Manifest(ctx, image.Repo, image.Digest); err != nil {
		return err
	}
	for _, data := range image.Blobs {
		d := digest.FromBytes(data)
		blob, err := s.Blob(ctx, image.Repo, d)
		if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
			if err := receive(ctx, s, image.Repo, d, data); err != nil {
				return err
			}
			blob, err = s.Blob(ctx, image.Repo, d)
		}
		if err != nil {
			return err
		}
		if err := blob.Close(); err != nil {
			return err
		}
	}
	return nil
}

// receive stores a blob that the upstream of the repository sends.
func receive(ctx context.Context, s *cache.Store, repo mirror.Repo, d digest.Digest, data []byte) error {
	w, err := s.Receive(ctx, d)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Commit(ctx, repo)
}

func (i Image) manifest() mirror.Manifest {
	return mirror.Manifest{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: i.Digest, Bytes: i.Manifest, Origin: i.Origin}
}
