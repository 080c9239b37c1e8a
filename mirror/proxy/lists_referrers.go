package proxy

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// Referrers lists the manifests of repo with a subject, in the order of their digests: those that are stored and those of
// the upstream. It lists up to n after a digest. It stops before the list takes more than about size bytes of JSON, but
// lists at least one.
func (l *lists) Referrers(ctx context.Context, repo mirror.Repo, subject, after digest.Digest, n, size int) (mirror.Listing[v1.Descriptor], error) {
	if long, ok := l.routing.longName(ctx, repo); ok {
		repo = long
	}
	stored, more, err := l.store.Referrers(ctx, repo, subject, after, n, size)
	if err != nil {
		return mirror.Listing[v1.Descriptor]{}, err
	}
	theirs, reason := requestList(ctx, l, repo, "referrers of "+repo.String()+"@"+subject.String(), true, func(ctx context.Context) ([]v1.Descriptor, error) {
		list, err := l.upstream.Referrers(ctx, repo, subject)
		list = slices.Clone(list)
		slices.SortFunc(list, compareDigests)
		return list, err
	})
	from, found := slices.BinarySearchFunc(theirs, v1.Descriptor{Digest: after}, compareDigests)
	if found {
		from++
	}
	page := referrersPage{n: n, size: size, Listing: mirror.Listing[v1.Descriptor]{Stale: stale(reason), Refused: refused(reason)}}
	page.merge(stored, theirs[from:], more)
	return page.Listing, nil
}

// referrersPage is a page with room for n more descriptors and size more bytes.
type referrersPage struct {
	mirror.Listing[v1.Descriptor]
	n, size int
}

// merge fills the page from two sorted lists. For a digest in both, it takes the descriptor of stored. If stored continues,
// as more says, descriptors after its end belong to later pages.
func (p *referrersPage) merge(stored, theirs []v1.Descriptor, more bool) {
	for len(stored)+len(theirs) > 0 {
		if len(stored) == 0 && more {
			break
		}
		from := &stored
		if len(stored) == 0 || len(theirs) > 0 && compareDigests(theirs[0], stored[0]) < 0 {
			from = &theirs
		} else if len(theirs) > 0 && theirs[0].Digest == stored[0].Digest {
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
