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

// lists lists repositories, tags and referrers: those that are stored, merged with those of upstreams.
type lists struct {
	store    mirror.Store
	upstream *upstreamSwitch
	routing  *routing
	calls    *callGroup
	absent   absentCache
	cache    *listCache
	names    func() mirror.Names
	timeout  time.Duration // see [Options.FallbackTimeout]
	log      *zap.Logger
}

// Tags lists up to n tags of repo after a tag, in byte order: those that are stored and those of the upstream. If there is
// no such repository, the error is a [mirror.CodeNameUnknown].
func (l *lists) Tags(ctx context.Context, repo mirror.Repo, after string, n int) (mirror.Listing[string], error) {
	if long, ok := l.routing.longName(ctx, repo); ok {
		repo = long
	}
	tags, err := l.store.Tags(ctx, repo, after, n)
	if err != nil && mirror.CodeOf(err) != mirror.CodeNameUnknown {
		return mirror.Listing[string]{}, err
	}
	theirs, reason := requestList(ctx, l, repo, "tags of "+repo.String(), err == nil, func(ctx context.Context) ([]string, error) {
		return l.upstream.Tags(ctx, repo)
	})
	if reason != nil && err != nil && len(theirs) == 0 {
		return mirror.Listing[string]{}, mirror.UnknownRepo(repo, reason)
	}
	from, found := slices.BinarySearch(theirs, after)
	if found && after != "" {
		from++
	}
	return mirror.Listing[string]{Items: mergeSorted(tags, theirs[from:], n), Stale: stale(reason), Refused: refused(reason)}, nil
}

// Repos lists up to n repositories after a name, in byte order. The names are those that this mirror serves them under.
func (l *lists) Repos(ctx context.Context, after string, n int) ([]string, error) {
	// Served names of the default host lack their host, so the order of the store differs: two lists are merged.
	prefix := l.names().DefaultHost() + "/"
	own, err := l.servedNames(ctx, prefix+after, n, func(name string) (skipTo string, ok bool) {
		return "", strings.HasPrefix(name, prefix)
	})
	if err != nil {
		return nil, err
	}
	others, err := l.servedNames(ctx, after, n, func(name string) (skipTo string, ok bool) {
		if strings.HasPrefix(name, prefix) {
			return prefix + "\xff", true
		}
		return "", true
	})
	if err != nil {
		return nil, err
	}
	return mergeSorted(own, others, n), nil
}

// servedNames lists up to n served names of the store's repositories after a name. If accept returns false, the list ends;
// if it returns skipTo, the list continues after that.
func (l *lists) servedNames(ctx context.Context, after string, n int, accept func(string) (skipTo string, ok bool)) ([]string, error) {
	var names []string
	for len(names) < n {
		repos, err := l.store.Repos(ctx, after, n-len(names))
		if err != nil || len(repos) == 0 {
			return names, err
		}
		for _, repo := range repos {
			after = repo.String()
			skipTo, ok := accept(after)
			if !ok {
				return names, nil
			}
			if skipTo != "" {
				after = skipTo
				break
			}
			names = append(names, l.names().Served(repo))
		}
	}
	return names, nil
}

// mergeSorted merges two sorted lists without duplicates, up to n items.
func mergeSorted(a, b []string, n int) []string {
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

// FindDigest is [mirror.FindDigest] for the store of this mirror.
func (l *lists) FindDigest(ctx context.Context, repo mirror.Repo, text string) (digest.Digest, error) {
	return mirror.FindDigest(ctx, l.store, repo, text)
}

// requestList returns a list of an upstream, from the cache if it is there. With fallback, a stored list exists, and the
// caller waits no longer than the fallback timeout unless ctx is one of [mirror.WithFullLists]. The call continues without
// the caller. The list may be incomplete if there is an error.
func requestList[T any](ctx context.Context, l *lists, repo mirror.Repo, name string, fallback bool, send func(context.Context) ([]T, error)) ([]T, error) {
	if err := l.routing.requestable(ctx, repo); err != nil {
		return nil, err
	}
	if list, ok := l.cache.get(name); ok {
		return list.([]T), nil
	}
	if err, ok := l.absent.Get(name); ok {
		return nil, err
	}
	call, leave := l.calls.do(ctx, name, func(net context.Context) (any, error) {
		list, err := send(net)
		if err == nil {
			l.cache.add(name, list)
		}
		l.absent.remember(name, err)
		return list, err
	})
	defer leave()
	var timeout <-chan time.Time
	if fallback && !mirror.FullLists(ctx) {
		timer := time.NewTimer(l.timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-call.done:
		list, _ := call.answer.([]T)
		if call.err != nil {
			l.log.Info("cannot list "+name, zap.Error(call.err))
		}
		return list, call.err
	case <-timeout:
		return nil, mirror.Errorf(mirror.CodeUnavailable, "%s has not answered yet", repo.Host)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stale returns reason if the list of an upstream is unknown because of it.
func stale(reason error) error {
	if mirror.Definitive(reason) {
		return nil
	}
	return reason
}

// refused returns reason if it is the answer of an upstream that has no such list.
func refused(reason error) error {
	if !mirror.Definitive(reason) || errors.Is(reason, errLocal) {
		return nil
	}
	return reason
}

// compareDigests orders descriptors by digest.
func compareDigests(a, b v1.Descriptor) int {
	return strings.Compare(a.Digest.String(), b.Digest.String())
}
