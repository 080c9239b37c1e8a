package registry

import (
	"net/url"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// maxPage is the largest number of names in one answer. It applies if the client gives no number or a larger one. The
// Link header leads to the next page.
const maxPage = 10000

// maxReferrersSize limits the size of a page of referrers, in bytes. Clients accept an index of up to 4 MiB.
const maxReferrersSize = 3 << 20

// maxReferrersReads limits how often the store is read for one page when the filter matches few referrers.
const maxReferrersReads = 8

// catalog serves _catalog, an extension of Docker:
// https://distribution.github.io/distribution/spec/api/#listing-repositories
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

// tags serves end-8.
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

// markPartial adds headers to a list that may be incomplete because its upstream could not be queried: a warning for
// people, and the miss header for a mirror that uses this one as its upstream.
func (x *exchange) markPartial(stale error) {
	x.warnStale(stale)
	if stale != nil {
		x.Header().Set(mirror.MissHeader, mirror.MissUnavailable)
	}
}

// page returns the requested page of a list. It sets the Link header if there are more entries.
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

// linkNext sets the Link header to the next page: https://www.rfc-editor.org/rfc/rfc5988
func (x *exchange) linkNext(query url.Values) {
	if x.req.Namespace != "" {
		query.Set("ns", x.req.Namespace)
	}
	next := url.URL{Path: x.r.URL.Path, RawQuery: query.Encode()}
	x.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
}

// referrers serves end-12.
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

// referrersPage fills index with one page. It returns the digest that the next page begins after, or "" if this is the
// last page. If the filter matches few referrers, the page may be short.
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

// nextReferrers returns the query of the page that begins after a digest.
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
