package proxy

import (
	"context"

	"airmirror/mirror"
)

// CanFetch reports whether content of repo that is deleted here could be fetched again now, as far as that can be said
// without asking an upstream. The error says why not: the mirror is offline, the repository is local
// ([mirror.CodeDenied]), no upstream is configured for its host ([mirror.CodeNameUnknown]), or the upstream counts as gone.
func (m *Proxy) CanFetch(ctx context.Context, repo mirror.Repo) error {
	if err := m.mayAsk(ctx, repo); err != nil {
		return err
	}
	for _, upstream := range m.upstream.Status() {
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
