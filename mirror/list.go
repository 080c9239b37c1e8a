package mirror

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Tags lists up to n tags of repo after a tag, in byte order. [CodeNameUnknown] where there is no such repository.
func (m *Mirror) Tags(ctx context.Context, repo Repo, after string, n int) ([]string, error) {
	if long, ok := m.longName(ctx, repo); ok {
		repo = long
	}
	return m.store.Tags(ctx, repo, after, n)
}

// Referrers lists the manifests of repo that have subject as theirs, in the order of their digests.
func (m *Mirror) Referrers(ctx context.Context, repo Repo, subject digest.Digest) ([]v1.Descriptor, error) {
	if long, ok := m.longName(ctx, repo); ok {
		repo = long
	}
	return m.store.Referrers(ctx, repo, subject)
}

// Repos lists up to n repositories by the names that this mirror serves them under, after a name, in byte order.
func (m *Mirror) Repos(ctx context.Context, after string, n int) ([]string, error) {
	// The names of the default host lose their host, so they are in another order than the store's: two lists, merged.
	prefix := m.opts.Names.defaultHost() + "/"
	own, err := m.servedAfter(ctx, prefix+after, n, func(name string) (skipTo string, ok bool) {
		return "", strings.HasPrefix(name, prefix)
	})
	if err != nil {
		return nil, err
	}
	others, err := m.servedAfter(ctx, after, n, func(name string) (skipTo string, ok bool) {
		if strings.HasPrefix(name, prefix) {
			return prefix + "\xff", true
		}
		return "", true
	})
	if err != nil {
		return nil, err
	}
	return firstOf(own, others, n), nil
}

// servedAfter lists up to n served names from the store's list after a name. accept ends the list with !ok, and has the
// list go on after skipTo if that is not empty.
func (m *Mirror) servedAfter(ctx context.Context, after string, n int, accept func(string) (skipTo string, ok bool)) ([]string, error) {
	var names []string
	for len(names) < n {
		page, err := m.store.Repos(ctx, after, n-len(names))
		if err != nil || len(page) == 0 {
			return names, err
		}
		for _, repo := range page {
			after = repo.String()
			skipTo, ok := accept(after)
			if !ok {
				return names, nil
			}
			if skipTo != "" {
				after = skipTo
				break
			}
			names = append(names, m.opts.Names.Served(repo))
		}
	}
	return names, nil
}

// firstOf merges two sorted lists, up to n items.
func firstOf(a, b []string, n int) []string {
	merged := make([]string, 0, min(n, len(a)+len(b)))
	for len(merged) < n && len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0] < b[0] {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return merged
}
