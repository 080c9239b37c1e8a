package mirror

import (
	"context"
	"strings"
)

var (
	errOffline = Errorf(CodeUnavailable, "the mirror is offline")
	errLocal   = Errorf(CodeDenied, "the repository is local: what was created by a push is never asked upstream for")
)

// mayAsk returns why the misses of repo are not asked upstream for, or nil if they are.
func (m *Mirror) mayAsk(ctx context.Context, repo Repo) error {
	// Local comes first: offline, too, the misses of a local repository are nothing for an upstream, and no wants.
	local, err := m.local(ctx, repo)
	if local && err == nil {
		return errLocal
	}
	if mode, _ := m.network.get(); mode == Offline {
		return errOffline
	}
	return err
}

// mayFetch returns why the misses of repo are not fetched to be kept, or nil if they are.
func (m *Mirror) mayFetch(ctx context.Context, repo Repo) error {
	if err := m.mayAsk(ctx, repo); err != nil {
		return err
	}
	return m.mayChange()
}

// local reports whether repo belongs to this network. To look for the missing tags of a name that was created here would
// let whoever registers the name outside slip an image in.
func (m *Mirror) local(ctx context.Context, repo Repo) (bool, error) {
	if local, decided := m.opts.Local(repo); decided {
		return local, nil
	}
	origin, err := m.store.RepoOrigin(ctx, repo)
	if CodeOf(err) == CodeNameUnknown {
		return false, nil
	}
	return origin == Pushed, err
}

// longName returns the repository that a client means by a short name which nothing was pushed under: Docker's tools
// write docker.io/alpine for docker.io/library/alpine.
func (m *Mirror) longName(ctx context.Context, repo Repo) (long Repo, ok bool) {
	if long, ok = LongName(repo); !ok || ctx.Value(exactKey{}) != nil {
		return repo, false
	}
	if _, err := m.store.RepoOrigin(ctx, repo); CodeOf(err) != CodeNameUnknown {
		return repo, false
	}
	return long, true
}

// LongName returns the repository that is read in the place of repo, a short name, as long as nothing was pushed under
// that; ok is false if repo is no short name.
func LongName(repo Repo) (long Repo, ok bool) {
	if repo.Host != DockerHub || strings.Contains(repo.Path, "/") {
		return repo, false
	}
	return Repo{Host: DockerHub, Path: "library/" + repo.Path}, true
}

type exactKey struct{}

// WithoutShortNames returns a context of a client that is given nothing in the place of what it names, since it may not read
// what its short names stand for; see [LongName].
func WithoutShortNames(ctx context.Context) context.Context {
	return context.WithValue(ctx, exactKey{}, true)
}
