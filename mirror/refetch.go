package mirror

import "context"

// CanFetch reports whether content of repo that is deleted here could be fetched again now, as far as that can be said
// without asking an upstream. The error says why not: the mirror is offline, the repository is local
// ([CodeDenied]), no upstream is configured for its host ([CodeNameUnknown]), or the upstream counts as gone.
func (m *Mirror) CanFetch(ctx context.Context, repo Repo) error {
	if err := m.mayAsk(ctx, repo); err != nil {
		return err
	}
	for _, upstream := range m.upstream.Status() {
		if upstream.Host != repo.Host {
			continue
		}
		if upstream.Down {
			return Errorf(CodeUnavailable, "upstream %s does not answer", repo.Host)
		}
		return nil
	}
	return Errorf(CodeNameUnknown, "no upstream is configured for %s", repo.Host)
}
