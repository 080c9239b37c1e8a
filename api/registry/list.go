package registry

import (
	"net/url"
	"strconv"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxPage is how many names one answer lists when the client names no number, or a larger one; Link leads to the rest.
const maxPage = 10000

// maxReferrersSize is how large, in bytes, a page of referrers grows: clients take an index of 4 MiB.
const maxReferrersSize = 3 << 20

// catalog answers for _catalog, which is Docker's: https://distribution.github.io/distribution/spec/api/#listing-repositories
func (x *exchange) catalog() error {
	names, err := x.page(func(after string, n int) ([]string, error) {
		return x.mirror.Repos(x.r.Context(), after, n)
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
		x.warn(list.Stale)
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
	all, err := x.mirror.Referrers(x.r.Context(), x.repo, x.req.Digest)
	if err != nil {
		return err
	}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	size := 0
	x.warn(all.Stale)
	for _, desc := range all.Items {
		if desc.Digest.String() <= x.req.Last || x.req.ArtifactType != "" && desc.ArtifactType != x.req.ArtifactType {
			continue
		}
		if size += descriptorSize(desc); size > maxReferrersSize && len(index.Manifests) > 0 || len(index.Manifests) == x.req.N {
			x.linkNext(x.referrersAfter(index.Manifests))
			break
		}
		index.Manifests = append(index.Manifests, desc)
	}
	if x.req.ArtifactType != "" {
		x.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return x.writeJSON(v1.MediaTypeImageIndex, index)
}

// referrersAfter is the query for the page that follows one.
func (x *exchange) referrersAfter(page []v1.Descriptor) url.Values {
	query := url.Values{}
	if len(page) > 0 {
		query.Set("last", page[len(page)-1].Digest.String())
	}
	if x.req.N >= 0 {
		query.Set("n", strconv.Itoa(x.req.N))
	}
	if x.req.ArtifactType != "" {
		query.Set("artifactType", x.req.ArtifactType)
	}
	return query
}

// descriptorSize estimates the bytes of a descriptor in JSON from above.
func descriptorSize(desc v1.Descriptor) int {
	size := 256 + len(desc.MediaType) + len(desc.ArtifactType) + len(desc.Digest)
	for k, v := range desc.Annotations {
		size += 2*len(k) + 2*len(v) + 8
	}
	return size
}
