package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Tags lists up to n tags of repo after a tag, in byte order: those that are held and those that the upstream has.
// [mirror.CodeNameUnknown] where there is no such repository.
func (m *Proxy) Tags(ctx context.Context, repo mirror.Repo, after string, n int) (mirror.Listing[string], error) {
	if long, ok := m.longName(ctx, repo); ok {
		repo = long
	}
	tags, err := m.store.Tags(ctx, repo, after, n)
	if err != nil && mirror.CodeOf(err) != mirror.CodeNameUnknown {
		return mirror.Listing[string]{}, err
	}
	theirs, why := ask(ctx, m, repo, "tags of "+repo.String(), err == nil, func(ctx context.Context) ([]string, error) {
		return m.upstream.Tags(ctx, repo)
	})
	if why != nil && err != nil && len(theirs) == 0 {
		return mirror.Listing[string]{}, mirror.UnknownRepo(repo, why)
	}
	from, found := slices.BinarySearch(theirs, after)
	if found && after != "" {
		from++
	}
	return mirror.Listing[string]{Items: firstOf(tags, theirs[from:], n), Stale: stale(why), Refused: refused(why)}, nil
}

// Referrers lists the manifests of repo that have subject as theirs, in the order of their digests: those that are held
// and those that the upstream has. It lists up to n after a digest, and no more than come to about size bytes as JSON,
// but at least one.
func (m *Proxy) Referrers(ctx context.Context, repo mirror.Repo, subject, after digest.Digest, n, size int) (mirror.Listing[v1.Descriptor], error) {
	if long, ok := m.longName(ctx, repo); ok {
		repo = long
	}
	held, more, err := m.store.Referrers(ctx, repo, subject, after, n, size)
	if err != nil {
		return mirror.Listing[v1.Descriptor]{}, err
	}
	theirs, why := ask(ctx, m, repo, "referrers of "+repo.String()+"@"+subject.String(), true, func(ctx context.Context) ([]v1.Descriptor, error) {
		list, err := m.upstream.Referrers(ctx, repo, subject)
		list = slices.Clone(list)
		slices.SortFunc(list, byDigest)
		return list, err
	})
	from, found := slices.BinarySearchFunc(theirs, v1.Descriptor{Digest: after}, byDigest)
	if found {
		from++
	}
	page := referrersPage{n: n, size: size, Listing: mirror.Listing[v1.Descriptor]{Stale: stale(why), Refused: refused(why)}}
	page.merge(held, theirs[from:], more)
	return page.Listing, nil
}

func byDigest(a, b v1.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) }

// referrersPage is a page that is being filled.
type referrersPage struct {
	mirror.Listing[v1.Descriptor]
	n, size int
}

// merge fills the page with two lists in order, of which the first one knows better. If that one goes on, what comes
// after its end belongs to later pages.
func (p *referrersPage) merge(held, theirs []v1.Descriptor, more bool) {
	for len(held)+len(theirs) > 0 {
		if len(held) == 0 && more {
			break
		}
		from := &held
		if len(held) == 0 || len(theirs) > 0 && byDigest(theirs[0], held[0]) < 0 {
			from = &theirs
		} else if len(theirs) > 0 && theirs[0].Digest == held[0].Digest {
			theirs = theirs[1:]
		}
		next := (*from)[0]
		p.size -= mirror.DescriptorSize(next)
		if len(p.Items) >= p.n || p.size < 0 && len(p.Items) > 0 {
			p.More = true
			return
		}
		p.Items, *from = append(p.Items, next), (*from)[1:]
	}
	p.More = more
}

// stale is why an upstream could not be asked, if it ought to have been.
func stale(why error) error {
	if mirror.Definitive(why) {
		return nil
	}
	return why
}

// refused is why an upstream that was asked lists nothing.
func refused(why error) error {
	if !mirror.Definitive(why) || errors.Is(why, errLocal) {
		return nil
	}
	return why
}

// ask has the upstream list something, unless it did a moment ago. A client that has a held list to fall back on waits
// no longer than its patience; the question goes on without it, for the next one.
func ask[T any](ctx context.Context, m *Proxy, repo mirror.Repo, what string, fallback bool, f func(context.Context) ([]T, error)) ([]T, error) {
	if err := m.mayAsk(ctx, repo); err != nil {
		return nil, err
	}
	if list, ok := m.lists.get(what); ok {
		return list.([]T), nil
	}
	if err, ok := m.unknown.Get(what); ok {
		return nil, err
	}
	question, leave := m.lookup(ctx, what, func(net context.Context) (any, error) {
		list, err := f(net)
		if err == nil {
			m.lists.add(what, list)
		}
		m.remember(what, err)
		return list, err
	})
	defer leave()
	var patience <-chan time.Time
	if fallback && !mirror.FullLists(ctx) {
		timer := time.NewTimer(m.opts.FallbackTimeout)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-question.done:
		list, _ := question.answer.([]T) // be it only what of it could be had
		if question.err != nil {
			m.log.Info("cannot list "+what, zap.Error(question.err))
		}
		return list, question.err
	case <-patience:
		return nil, mirror.Errorf(mirror.CodeUnavailable, "%s has not answered yet", repo.Host)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Repos lists up to n repositories by the names that this mirror serves them under, after a name, in byte order.
func (m *Proxy) Repos(ctx context.Context, after string, n int) ([]string, error) {
	// The names of the default host lose their host, so they are in another order than the store's: two lists, merged.
	prefix := m.Names().DefaultHost() + "/"
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
func (m *Proxy) servedAfter(ctx context.Context, after string, n int, accept func(string) (skipTo string, ok bool)) ([]string, error) {
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
			names = append(names, m.Names().Served(repo))
		}
	}
	return names, nil
}

// firstOf merges two sorted lists without repeating what is in both, up to n items.
func firstOf(a, b []string, n int) []string {
	merged := make([]string, 0, min(n, len(a)+len(b)))
	for len(merged) < n && len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			merged, a = append(merged, a[0]), a[1:]
		case len(a) > 0 && a[0] == b[0]:
			a = a[1:]
		default:
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return merged
}
