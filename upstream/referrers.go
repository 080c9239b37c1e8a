package upstream

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// Referrers implements [mirror.Upstream]. If the registry does not support the referrers API, it uses the referrers tag; if
// that is no index, there are no referrers:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#backwards-compatibility
func (c *Client) Referrers(ctx context.Context, repo mirror.Repo, subject digest.Digest) ([]v1.Descriptor, error) {
	list, err := c.referrersByAPI(ctx, repo, subject)
	if !referrersUnsupported(err) {
		return list, err
	}
	m, err := c.Manifest(ctx, mirror.Ref{Repo: repo, Tag: referrersTag(subject)})
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if m.Digest == subject { // GitLab reads the tag as the digest
		return nil, nil
	}
	_, refs, err := mirror.ParseManifest(m.MediaType, m.Bytes)
	var tagged uniqueList
	tagged.add(slices.Collect(refs.Children()))
	return tagged.items, err
}

// errNotIndex says that the registry does not support the referrers API.
var errNotIndex = errors.New("not an index")

func (c *Client) referrersByAPI(ctx context.Context, repo mirror.Repo, subject digest.Digest) ([]v1.Descriptor, error) {
	r, err := c.registry(repo)
	if err != nil {
		return nil, err
	}
	var list uniqueList
	t := target{kind: referrersKind, repo: repo, id: subject.String()}
	err = r.pages(ctx, t, maxReferrers, func(page *response, body []byte) (int, error) {
		mediaType, err := t.mediaTypeOf(page.Header.Get("Content-Type"), body)
		if err != nil || !mirror.IsIndex(mediaType) {
			return 0, t.invalid("%w, with Content-Type %q", errNotIndex, sanitize(page.Header.Get("Content-Type")))
		}
		_, refs, err := mirror.ParseManifest(mediaType, body)
		list.add(slices.Collect(refs.Children()))
		return len(list.items), err
	})
	if err != nil && !isPartial(err) {
		return nil, err
	}
	return list.items, err
}

// referrersUnsupported reports whether err is that of a registry without the referrers API.
func referrersUnsupported(err error) bool {
	var e *statusError
	if !errors.As(err, &e) {
		return errors.Is(err, errNotIndex) || errors.Is(err, errWebPage)
	}
	if e.signIn || e.otherHost {
		return e.otherHost
	}
	clientError := e.status >= http.StatusBadRequest && e.status < http.StatusInternalServerError
	return clientError && e.status != http.StatusTooManyRequests || e.status == http.StatusNotImplemented
}

// referrersTag returns the tag of the index of subject's referrers, for registries without the API.
func referrersTag(subject digest.Digest) string {
	algorithm, encoded := subject.Algorithm().String(), subject.Encoded()
	return algorithm[:min(len(algorithm), 32)] + "-" + encoded[:min(len(encoded), 64)]
}

// uniqueList is a list of descriptors with different digests. The zero value is empty.
type uniqueList struct {
	items []v1.Descriptor
	seen  map[digest.Digest]bool
}

// add appends the descriptors whose digests are new, without embedded content: a list of referrers has none.
func (u *uniqueList) add(list []v1.Descriptor) {
	if u.seen == nil {
		u.seen = make(map[digest.Digest]bool)
	}
	for _, desc := range list {
		if !u.seen[desc.Digest] {
			u.seen[desc.Digest] = true
			desc.Data = nil
			u.items = append(u.items, desc)
		}
	}
}
