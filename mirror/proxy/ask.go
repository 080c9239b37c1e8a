package proxy

import (
	"context"

	"airmirror/mirror"
)

var (
	errOffline = mirror.Errorf(mirror.CodeUnavailable, "the mirror is offline")
	errLocal   = mirror.Errorf(mirror.CodeDenied, "the repository is local: what was created by a push is never asked upstream for")
)

// mayAsk returns why the misses of repo are not asked upstream for, or nil if they are.
func (m *Proxy) mayAsk(ctx context.Context, repo mirror.Repo) error {
	// Local comes first: offline, too, the misses of a local repository are nothing for an upstream, and no wants.
	local, err := m.local(ctx, repo)
	if local && err == nil {
		return errLocal
	}
	if mode, _ := m.network.get(); mode == mirror.Offline {
		return errOffline
	}
	return err
}

// mayFetch returns why the misses of repo are not fetched to be kept, or nil if they are.
func (m *Proxy) mayFetch(ctx context.Context, repo mirror.Repo) error {
	if err := m.mayAsk(ctx, repo); err != nil {
		return err
	}
	return m.mayChange()
}

// local reports whether repo belongs to this network. To look for the missing tags of a name that was created here would
// let whoever registers the name outside slip an image in.
func (m *Proxy) local(ctx context.Context, repo mirror.Repo) (bool, error) {
	if local, decided := m.opts.Local(repo); decided {
		return local, nil
	}
	origin, err := m.store.RepoOrigin(ctx, repo)
	if mirror.CodeOf(err) == mirror.CodeNameUnknown {
		return false, nil
	}
	return origin == mirror.Pushed, err
}

// longName returns the repository that a client means by a short name which nothing was pushed under: Docker's tools
// write docker.io/alpine for docker.io/library/alpine.
func (m *Proxy) longName(ctx context.Context, repo mirror.Repo) (long mirror.Repo, ok bool) {
	if long, ok = mirror.LongName(repo); !ok || mirror.ShortNamesIgnored(ctx) {
		return repo, false
	}
	if _, err := m.store.RepoOrigin(ctx, repo); mirror.CodeOf(err) != mirror.CodeNameUnknown {
		return repo, false
	}
	return long, true
}
