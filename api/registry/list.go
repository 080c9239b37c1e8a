package registry

import (
	"net/url"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// maxPage is how many names one answer lists when the client names no number, or a larger one; Link leads to the rest.
const maxPage = 10000

// maxReferrersSize is how large, in bytes, a page of referrers grows: clients take an index of 4 MiB.
const maxReferrersSize = 3 << 20

// maxReferrersReads is how many times so much is read for one page, if little of it passes the filter.
const maxReferrersReads = 8

// catalog answers for _catalog, which is Docker's: https://distribution.github.io/distribution/spec/api/#listing-repositories
func (x *exchange) catalog() error {
	names, err := x.page(func(after string, n int) ([]string, error) {
		return x.repositories(x.r.Context(), after, n)
	})
	if err != nil {
		return err
	}
	return x.writeJSON("application/json", struct {
		Repositories []string `json:"repositories"`
	}{names})
}

// tags answers for end-8.
func (x *exchange) tags() error {
	tags, err := x.page(func(after string, n int) ([]string, error) {
		list, err := x.mirror.Tags(x.r.Context(), x.repo, after, n)
		x.markPartial(list.Stale)
		return list.Items, err
	})
	if err != nil {
		return err
	}
	return x.writeJSON("application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{x.req.Name, tags})
}

// lacks says that a list may lack what an upstream would add, and why: to people, and to a mirror in front.
func (x *exchange) markPartial(stale error) {
	x.warnStale(stale)
	if stale != nil {
		x.Header().Set(mirror.MissHeader, mirror.MissUnavailable)
	}
}

// page lists what the request asks for, and sets Link if there is more.
func (x *exchange) page(list func(after string, n int) ([]string, error)) ([]string, error) {
	n := x.req.N
	if n < 0 || n > maxPage {
		n = maxPage
	}
	names, err := list(x.req.Last, n+1)
	if err != nil {
		return nil, err
	}
	if len(names) > n {
		names = names[:n]
		if n > 0 {
			x.linkNext(url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}})
		}
	}
	if names == nil {
		names = []string{}
	}
	return names, nil
}

// linkNext says where the list goes on: https://www.rfc-editor.org/rfc/rfc5988
func (x *exchange) linkNext(query url.Values) {
	if x.req.Namespace != "" {
		query.Set("ns", x.req.Namespace)
	}
	next := url.URL{Path: x.r.URL.Path, RawQuery: query.Encode()}
	x.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
}

// referrers answers for end-12.
func (x *exchange) referrers() error {
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	if x.req.ArtifactType != "" {
		x.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	after, err := x.referrersPage(&index)
	if err != nil {
		return err
	}
	if after != "" {
		x.linkNext(x.nextReferrers(after))
	}
	return x.writeJSON(v1.MediaTypeImageIndex, index)
}

// referrersPage fills a page. It returns what the next one begins after; nothing if there is none. With a filter it
// may take many looks to fill one: some are enough for one request, and the page is short.
func (x *exchange) referrersPage(index *v1.Index) (next digest.Digest, err error) {
	n, after := x.req.N, digest.Digest(x.req.Last)
	if n < 0 || n > maxPage {
		n = maxPage
	}
	if n == 0 {
		return "", nil
	}
	size := 0
	for range maxReferrersReads {
		most := n - len(index.Manifests)
		if x.req.ArtifactType != "" {
			most = maxPage
		}
		list, err := x.mirror.Referrers(x.r.Context(), x.repo, x.req.Digest, after, most, maxReferrersSize)
		if err != nil {
			return "", err
		}
		x.markPartial(list.Stale)
		for _, desc := range list.Items {
			if x.req.ArtifactType == "" || desc.ArtifactType == x.req.ArtifactType {
				size += mirror.DescriptorSize(desc)
				if len(index.Manifests) == n || size > maxReferrersSize && len(index.Manifests) > 0 {
					return after, nil
				}
				index.Manifests = append(index.Manifests, desc)
			}
			after = desc.Digest
		}
		if !list.More {
			return "", nil
		}
		if len(index.Manifests) == n {
			break
		}
	}
	return after, nil
}

// nextReferrers is the query for the page that begins after a digest.
func (x *exchange) nextReferrers(last digest.Digest) url.Values {
	query := url.Values{"last": {last.String()}}
	if x.req.N >= 0 {
		query.Set("n", strconv.Itoa(x.req.N))
	}
	if x.req.ArtifactType != "" {
		query.Set("artifactType", x.req.ArtifactType)
	}
	return query
}
