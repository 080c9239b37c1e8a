package proxy

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// maxHealers is how many repositories' upstreams are asked for something that was lost.
const maxHealers = 8

// heal looks after what a reader found damaged or missing: from then on it is not held, and a client that brings it again
// is not told that it need not. It returns what was found, or nil if err is about anything else.
func (m *Proxy) heal(repo mirror.Repo, err error) *mirror.Defect {
	found := mirror.DefectOf(err)
	if found == nil {
		return nil
	}
	log := m.log.With(zap.Stringer("repo", repo), zap.Stringer("digest", found.Digest), zap.Bool("manifest", found.Manifest))
	log.Warn("what is held is damaged or missing: fetching it again, if an upstream can be asked", zap.String("why", found.Reason))
	if _, err := m.store.Repair(m.ctx, *found); err != nil && m.ctx.Err() == nil {
		log.Error("what is damaged cannot be taken away", zap.Error(err))
	}
	return found
}

// DiscardDamaged takes away what err found damaged or missing, and reports whether it did: from then on that is not stored, and
// whoever brings it again is not told that it need not. It does nothing if err is about anything else.
func (m *Proxy) DiscardDamaged(err error) bool { return m.heal(mirror.Repo{}, err) != nil }

// RecoverDamaged takes away what err found damaged or missing and sees to it that it comes again: from an upstream, if one can be
// asked, or else it becomes a want. It returns nil if it is stored again, and err otherwise.
func (m *Proxy) RecoverDamaged(ctx context.Context, err error) error {
	found := m.heal(mirror.Repo{}, err)
	if found == nil {
		return err
	}
	if fetched, _ := m.regain(ctx, *found); fetched || m.regained(ctx, *found) {
		return nil
	}
	return err
}

// stored reads a held manifest. One that is damaged or missing is a miss, with a [mirror.DefectError] for its cause.
func (m *Proxy) stored(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Manifest, error) {
	man, err := m.store.Manifest(ctx, repo, d)
	if err != nil {
		m.heal(repo, err)
	}
	return man, err
}

// lost is why something that was held cannot be had any more: unlike what never was here, it is wanted even if there is no
// upstream for it.
func (m *Proxy) lost(ref mirror.Ref, found *mirror.Defect, why error) error {
	if found == nil {
		return why
	}
	m.log.Error("what was held is lost until it comes again", zap.Stringer("ref", ref), zap.String("reason", found.Reason), zap.Error(why))
	return &mirror.Error{Code: mirror.CodeUnavailable, Message: found.Reason + ", and cannot be fetched again", Cause: why}
}

// lostBlob is lost for a blob, of which a repository that asks no upstream lacks only what it lost.
func (m *Proxy) lostBlob(ctx context.Context, ref mirror.Ref, found *mirror.Defect, why error) error {
	if stat, err := m.store.StatBlob(mirror.WithoutUsage(ctx), ref.Repo, ref.Digest); found == nil && why == errLocal && err == nil && (stat.Required || stat.Linked) && !stat.Stored {
		found = &mirror.Defect{Kind: mirror.Missing, Digest: ref.Digest, Reason: "a manifest here needs it, but it was lost"}
	}
	return m.lost(ref, found, why)
}

// fetchAgain brings back what a flaw is about, for the repositories that need it. It returns why that cannot be, and the
// reference to want it by.
func (m *Proxy) fetchAgain(ctx context.Context, flaw mirror.Defect) (want mirror.Ref, why error) {
	asked := 0
	for _, name := range flaw.Repos {
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			continue
		}
		ref := mirror.Ref{Repo: repo, Digest: flaw.Digest}
		err = m.mayAsk(ctx, repo)
		if err == nil {
			if asked++; asked > maxHealers {
				break
			}
			if err = m.fetchLost(ctx, ref, flaw.Manifest); err == nil || ctx.Err() != nil {
				return ref, err
			}
		}
		if why == nil || why == errLocal && err != errLocal { // better wanted where an upstream may have it
			want, why = ref, err
		}
	}
	return want, why
}

func (m *Proxy) fetchLost(ctx context.Context, ref mirror.Ref, manifest bool) error {
	if manifest {
		f := &fetch{m: m, repo: ref.Repo}
		_, _, err := f.find(mirror.Background(mirror.WithoutUsage(ctx)), ref)
		return err
	}
	err := m.FetchBlob(mirror.WithoutUsage(ctx), ref.Repo, ref.Digest, nil)
	if err != nil && !mirror.Definitive(errors.Unwrap(err)) {
		m.pulledBlob(ctx, ref.Repo, ref.Digest) // another time, perhaps
	}
	return err
}

// regained reports whether what a flaw is about is held after all.
func (m *Proxy) regained(ctx context.Context, flaw mirror.Defect) bool {
	for _, name := range flaw.Repos {
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			continue
		}
		if flaw.Manifest {
			_, err = m.store.Manifest(mirror.WithoutUsage(ctx), repo, flaw.Digest)
			return err == nil
		}
		stat, err := m.store.StatBlob(mirror.WithoutUsage(ctx), repo, flaw.Digest)
		return err == nil && stat.Stored
	}
	return false
}
