package upstream

import (
	"context"
	"fmt"
	"net/http"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// target is the content that a request is for.
type target struct {
	kind kind
	repo mirror.Repo
	id   string // a tag or a digest

	endpoint     *endpointClient // the only one to use; nil for any
	query        string          // of the page of a list
	from         int64           // the first byte of a blob that is wanted
	to           int64           // the end of the wanted part; 0 for the end of the blob
	etag         string          // of the blob at etagEndpoint, or ""
	etagEndpoint *endpointClient
}

// kind is the kind of a request. Its text appears in messages.
type kind string

const (
	manifestKind  kind = "manifest"
	blobKind      kind = "blob"
	tagsKind      kind = "list of tags"
	referrersKind kind = "list of referrers"
	catalogKind   kind = "catalog" // of the whole registry: the repository has no path
	pingKind      kind = "ping"
	tokenKind     kind = "token"
)

type kindKey struct{}

// withKind returns a context for requests of this kind.
func withKind(ctx context.Context, k kind) context.Context {
	return context.WithValue(ctx, kindKey{}, k)
}

func kindOf(ctx context.Context) kind {
	k, _ := ctx.Value(kindKey{}).(kind)
	return k
}

// String names the target in messages.
func (t target) String() string {
	switch t.kind {
	case tagsKind:
		return fmt.Sprintf("the tags of %s", t.repo)
	case referrersKind:
		return fmt.Sprintf("the referrers of %s in %s", t.id, t.repo)
	case catalogKind:
		return fmt.Sprintf("the catalog of %s", t.repo.Host)
	}
	return fmt.Sprintf("%s %s of %s", t.kind, t.id, t.repo)
}

// unknownCode returns the code for an upstream that does not have the target.
func (t target) unknownCode() mirror.Code {
	switch t.kind {
	case manifestKind:
		return mirror.CodeManifestUnknown
	case blobKind:
		return mirror.CodeBlobUnknown
	}
	return mirror.CodeNameUnknown
}

// path returns the target's path at e, below the API.
func (t target) path(e *endpointClient) string {
	if t.kind == catalogKind {
		return "_catalog"
	}
	return e.endpoint.path(t.repo) + "/" + t.pathInRepo()
}

func (t target) pathInRepo() string {
	switch t.kind {
	case tagsKind:
		return "tags/list"
	case referrersKind:
		return "referrers/" + t.id
	}
	return string(t.kind) + "s/" + t.id
}

// request returns the HTTP request for t at e.
func (t target) request(ctx context.Context, method string, e *endpointClient) (*http.Request, error) {
	u := *e.endpoint.URL
	u.Path, u.RawQuery = e.endpoint.api()+t.path(e), t.query
	r, err := http.NewRequestWithContext(withScope(withKind(ctx, t.kind), e.endpoint.path(t.repo)), method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	switch t.kind {
	case manifestKind:
		r.Header.Set("Accept", acceptManifests)
	case referrersKind:
		r.Header.Set("Accept", v1.MediaTypeImageIndex)
	}
	if t.from > 0 || t.to > 0 {
		r.Header.Set("Range", t.rangeHeader())
		if t.etag != "" && t.etagEndpoint == e {
			r.Header.Set("If-Range", t.etag)
		}
	}
	return r, nil
}

func (t target) rangeHeader() string {
	if t.to > 0 {
		return fmt.Sprintf("bytes=%d-%d", t.from, t.to-1)
	}
	return fmt.Sprintf("bytes=%d-", t.from)
}
