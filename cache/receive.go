package cache

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Receive implements [mirror.BlobStore].
func (s *Store) Receive(ctx context.Context, d digest.Digest) (mirror.BlobWriter, error) {
	return s.ResumeBlob(ctx, d, mirror.PartialBlob{})
}

// ResumeBlob implements [mirror.ImportStore]. A process may have died after it committed the partial blob and before it
// indexed it. Then the blob becomes a partial one again.
func (s *Store) ResumeBlob(ctx context.Context, d digest.Digest, part mirror.PartialBlob) (mirror.ResumableBlob, error) {
	algorithm := digest.SHA256
	if d != "" {
		if _, err := mirror.ParseDigest(d.String()); err != nil {
			return nil, err
		}
		algorithm = d.Algorithm()
	}
	var w backend.Writer
	var err error
	if part.ID == "" {
		w, err = s.blobs.Create(ctx, algorithm, "")
	} else if w, err = s.blobs.ResumeBlob(ctx, part); d != "" && mirror.CodeOf(err) == mirror.CodeBlobUploadUnknown {
		if err = s.uncommit(ctx, d, part.ID); err == nil {
			w, err = s.blobs.ResumeBlob(ctx, part)
		}
	}
	if err != nil {
		return nil, explain(err, "receive blob %q", d)
	}
	return &incomingBlob{Writer: w, store: s, digest: d}, nil
}

// uncommit turns the file of d into the partial blob id, unless d is in the index.
func (s *Store) uncommit(ctx context.Context, d digest.Digest, id string) error {
	release, err := s.locks.lock(ctx, d)
	if err != nil {
		return err
	}
	defer release()
	if indexed, err := s.indexed(ctx, d); err != nil || indexed {
		return err
	}
	return s.blobs.Uncommit(ctx, d, id)
}

// incoming implements [mirror.ResumableBlob].
type incomingBlob struct {
	backend.Writer
	store  *Store
	digest digest.Digest // "" until the digest is known
}

func (i *incomingBlob) Digest() digest.Digest { return i.digest }

func (i *incomingBlob) Verify() error {
	if i.digest == "" {
		return nil
	}
	return i.Writer.Verify(i.digest)
}

func (i *incomingBlob) Commit(ctx context.Context, repo mirror.Repo) error {
	d := i.digest
	if d == "" {
		var err error
		if d, err = i.Writer.Digest(); err != nil {
			return explain(errors.Join(err, i.Abort()), "commit a blob")
		}
	}
	if err := i.store.commitBlob(ctx, repo, i.Writer, d, i.store.linkSent); err != nil {
		return err
	}
	i.digest = d
	return nil
}

// linkFunc gives a repository access to a new blob.
type linkFunc func(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error

// commitBlob makes the content of w durable as d, and then readable in repo, unless that is zero.
func (s *Store) commitBlob(ctx context.Context, repo mirror.Repo, w backend.Writer, d digest.Digest, link linkFunc) error {
	if linked, err := s.linkStored(ctx, repo, w, d, link); linked || err != nil {
		return explain(err, "commit blob %s", d)
	}
	defer s.locks.share(d)()
	size := w.Size()
	if err := w.Commit(ctx, d); err != nil {
		return explain(err, "commit blob %s", d)
	}
	return s.indexBlob(ctx, repo, d, size, link)
}

// indexBlob adds the entry of a durable file. It ignores a canceled ctx: the content is complete, and only one
// transaction is missing.
func (s *Store) indexBlob(ctx context.Context, repo mirror.Repo, d digest.Digest, size int64, link linkFunc) error {
	platform := s.platformStated(ctx, d, size)
	err := s.index.Update(context.WithoutCancel(ctx), blobLocks(repo, d), func(tx backend.WriteTx) error {
		tx.Prefetch(s.fileKeys(repo, d))
		if !fileStored(tx, s.named, d) {
			return errFileDeleted
		}
		at := s.Now()
		switch stored := has(tx, tableBlobs, d.String()); {
		case !stored:
			if err := recordBlob(tx, d, blobRecord{Size: size, Added: at, Platform: platform}); err != nil || repo == (mirror.Repo{}) {
				return err
			}
			return link(tx, repo, d, at)
		case repo == (mirror.Repo{}): // there is no link whose time protects it from a sweep
			return putRecord(tx, tableBlobs, d.String(), blobRecord{Size: size, Added: at, Platform: platform})
		}
		return link(tx, repo, d, at)
	})
	return explain(err, "add blob %s of %q to the index", d, repo)
}
