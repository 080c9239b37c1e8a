package proxy

import (
	"context"

	"airmirror/mirror"
)

var errLocal = mirror.Errorf(mirror.CodeDenied, "the repository is local: it is never requested from an upstream")

// routing decides which repositories are requested from upstreams.
type routing struct {
	store   mirror.Store
	local   func(mirror.Repo) (local, decided bool) // see [Options.Local]
	network *network
	writes  *writes
}

// requestable returns nil if misses of repo are requested from its upstream, and otherwise why not.
func (r *routing) requestable(ctx context.Context, repo mirror.Repo) error {
	// Local is checked first: misses of a local repository are no wants, offline as well.
	local, err := r.isLocal(ctx, repo)
	if local && err == nil {
		return errLocal
	}
	if r.network.offline() {
		return errOffline
	}
	return err
}

// fetchable returns nil if misses of repo are fetched and stored, and otherwise why not.
func (r *routing) fetchable(ctx context.Context, repo mirror.Repo) error {
	if err := r.requestable(ctx, repo); err != nil {
		return err
	}
	return r.writes.allowed()
}

// isLocal reports whether repo is never requested from an upstream. If missing tags of a name that was created here
// were requested, anyone who registers that name at the upstream could inject an image.
func (r *routing) isLocal(ctx context.Context, repo mirror.Repo) (bool, error) {
	if local, decided := r.local(repo); decided {
		return local, nil
	}
	origin, err := r.store.RepoOrigin(ctx, repo)
	if mirror.CodeOf(err) == mirror.CodeNameUnknown {
		return false, nil
	}
	return origin == mirror.Pushed, err
}

// longName returns the repository that a short name means if nothing was pushed under the short name: Docker's tools write
// docker.io/alpine for docker.io/library/alpine.
func (r *routing) longName(ctx context.Context, repo mirror.Repo) (long mirror.Repo, ok bool) {
	if long, ok = mirror.LongName(repo); !ok || mirror.ShortNamesIgnored(ctx) {
		return repo, false
	}
	if _, err := r.store.RepoOrigin(ctx, repo); mirror.CodeOf(err) != mirror.CodeNameUnknown {
		return repo, false
	}
	return long, true
}

// CanFetch returns nil if content of repo could be fetched again now, as far as is known without a request. Otherwise the
// error says why not: the mirror is offline, the repository is local ([mirror.CodeDenied]), no upstream is configured for
// its host ([mirror.CodeNameUnknown]), or the upstream is down.
func (p *Proxy) CanFetch(ctx context.Context, repo mirror.Repo) error {
	if err := p.routing.requestable(ctx, repo); err != nil {
		return err
	}
	for _, upstream := range p.upstream.Status() {
		if upstream.Host != repo.Host {
			continue
		}
		if upstream.Down {
			return mirror.Errorf(mirror.CodeUnavailable, "upstream %s does not answer", repo.Host)
		}
		return nil
	}
	return mirror.Errorf(mirror.CodeNameUnknown, "no upstream is configured for %s", repo.Host)
}
