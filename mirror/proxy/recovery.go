package proxy

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// maxRefetchRepos is how many repositories lost content is requested for.
const maxRefetchRepos = 8

// recovery fetches content again that was damaged or lost, or makes it a want.
type recovery struct {
	store    mirror.Store
	content  *content
	routing  *routing
	fetcher  *fetcher
	backfill *backfill
	wants    *wants
	tasks    *tasks
	log      *zap.Logger
}

// RecoverDamaged discards content that err reports as damaged or missing. It then fetches the content from an upstream or,
// if that is not possible, adds a want. It returns nil if the content is stored again, and err otherwise.
func (r *recovery) RecoverDamaged(ctx context.Context, err error) error {
	defect := r.content.discard(mirror.Repo{}, err)
	if defect == nil {
		return err
	}
	if fetched, _ := r.recover(ctx, *defect); fetched || r.stored(ctx, *defect) {
		return nil
	}
	return err
}

// replace recovers content that was found damaged while a client read it.
func (r *recovery) replace(defect mirror.Defect) {
	ctx, cancel := r.tasks.untilClose(r.tasks.ctx)
	defer cancel()
	fetched, wanted := r.recover(ctx, defect)
	r.log.Info("damaged content is replaced", zap.Stringer("digest", defect.Digest), zap.Bool("fetched", fetched), zap.Bool("wanted", wanted))
}

// recover fetches the content of a defect again, or adds a want for it. It does neither if the content is stored after all.
func (r *recovery) recover(ctx context.Context, defect mirror.Defect) (fetched, wanted bool) {
	if r.stored(ctx, defect) {
		r.removeWants(defect.Digest)
		return false, false
	}
	ref, reason := r.refetch(ctx, defect)
	switch {
	case reason == nil && ref.Digest != "":
		r.removeWants(defect.Digest)
		return true, false
	case ctx.Err() == nil && ref.Digest != "":
		r.wants.announce(r.wants.addLost(ref, !defect.Manifest, r.lost(ref, &defect, reason)))
		return false, true
	}
	return false, false
}

func (r *recovery) removeWants(d digest.Digest) {
	for _, repo := range r.wants.repos(d) {
		r.wants.remove(repo, d)
	}
}

// refetch fetches the content of a defect for the repositories that need it, until one succeeds. Otherwise it returns a
// reference for a want, preferably in a repository whose upstream may have the content, and why it cannot be fetched.
func (r *recovery) refetch(ctx context.Context, defect mirror.Defect) (want mirror.Ref, reason error) {
	requested := 0
	for _, name := range defect.Repos {
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			continue
		}
		ref := mirror.Ref{Repo: repo, Digest: defect.Digest}
		err = r.routing.requestable(ctx, repo)
		if err == nil {
			if requested++; requested > maxRefetchRepos {
				break
			}
			if err = r.refetchFrom(ctx, ref, defect.Manifest); err == nil || ctx.Err() != nil {
				return ref, err
			}
		}
		if reason == nil || reason == errLocal && err != errLocal {
			want, reason = ref, err
		}
	}
	return want, reason
}

func (r *recovery) refetchFrom(ctx context.Context, ref mirror.Ref, manifest bool) error {
	if manifest {
		_, err := r.fetcher.fetchManifest(mirror.Background(mirror.WithoutUsage(ctx)), ref)
		return err
	}
	err := r.fetcher.FetchBlob(mirror.WithoutUsage(ctx), ref.Repo, ref.Digest, nil)
	if err != nil && !mirror.Definitive(errors.Unwrap(err)) {
		r.backfill.blobPulled(ctx, ref.Repo, ref.Digest) // it may succeed later
	}
	return err
}

// stored reports whether the content of a defect is stored after all.
func (r *recovery) stored(ctx context.Context, defect mirror.Defect) bool {
	for _, name := range defect.Repos {
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			continue
		}
		if defect.Manifest {
			_, err = r.store.Manifest(mirror.WithoutUsage(ctx), repo, defect.Digest)
			return err == nil
		}
		stat, err := r.store.StatBlob(mirror.WithoutUsage(ctx), repo, defect.Digest)
		return err == nil && stat.Stored
	}
	return false
}

// lostBefore returns the defects of content that was lost, could not be fetched again, and is still needed.
func (r *recovery) lostBefore(ctx context.Context) (defects []mirror.Defect) {
	ctx = mirror.WithoutUsage(ctx)
	for _, want := range r.wants.list() {
		ref, err := mirror.ParseRef(want.Ref)
		if err != nil || !want.Lost || ref.Digest == "" {
			continue
		}
		defect := mirror.Defect{Kind: mirror.Missing, Digest: ref.Digest, Manifest: !want.Blob, Repos: []string{ref.Repo.String()}, Reason: "it was lost before"}
		if want.Blob {
			stat, err := r.store.StatBlob(ctx, ref.Repo, ref.Digest)
			if defect.Size = stat.Size; err != nil || stat.Stored || !stat.Required && !stat.Linked {
				continue
			}
		} else if _, err := r.store.Manifest(ctx, ref.Repo, ref.Digest); mirror.DefectOf(err) == nil {
			continue
		}
		defects = append(defects, defect)
	}
	return defects
}

// lost returns the reason for a miss of content that was stored and is lost; a nil defect changes nothing. Unlike content
// that was never stored, it becomes a want even if no upstream can be asked for it.
func (r *recovery) lost(ref mirror.Ref, defect *mirror.Defect, reason error) error {
	if defect == nil {
		return reason
	}
	if _, cause, ok := mirror.MissReason(reason); ok { // its name is that of ref
		reason = cause
	}
	r.log.Error("stored content is lost and cannot be fetched again", zap.Stringer("ref", ref), zap.String("reason", defect.Reason), zap.Error(reason))
	return &mirror.Error{Code: mirror.CodeUnavailable, Message: defect.Reason + ", and cannot be fetched again", Cause: reason}
}

// lostBlob is like lost for a blob. A local repository has no upstream, so it lacks only blobs that it lost.
func (r *recovery) lostBlob(ctx context.Context, ref mirror.Ref, defect *mirror.Defect, reason error) error {
	if stat, err := r.store.StatBlob(mirror.WithoutUsage(ctx), ref.Repo, ref.Digest); defect == nil && reason == errLocal && err == nil && (stat.Required || stat.Linked) && !stat.Stored {
		defect = &mirror.Defect{Kind: mirror.Missing, Digest: ref.Digest, Reason: "a stored manifest needs it, but it was lost"}
	}
	return r.lost(ref, defect, reason)
}
