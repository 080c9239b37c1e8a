package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"airmirror/mirror"
)

// Catalog lists the names of all repositories of the upstream for host, as the upstream writes them and in its order; only
// those below the prefix of its endpoint, if that has one. The distribution specification has no catalog: if the upstream
// has none, or does not let this mirror read it, the error has the code [mirror.CodeNameUnknown] or
// [mirror.CodeUnavailable]. A list that is too long is an error.
//
// https://distribution.github.io/distribution/spec/api/#listing-repositories
func (c *Client) Catalog(ctx context.Context, host string) ([]string, error) {
	t := target{kind: catalogKind, repo: mirror.Repo{Host: mirror.CanonicalHost(host)}, query: firstPage}
	r, err := c.registry(t.repo)
	if err != nil {
		return nil, err
	}
	names := []string{}
	err = r.pages(ctx, t, maxNames, func(page *response, body []byte) (int, error) {
		prefix := page.endpoint.endpoint.prefix()
		if err := eachName(body, func(name string) {
			if name, below := strings.CutPrefix(name, prefix); below && len(names) <= maxNames {
				names = append(names, name)
			}
		}); err != nil {
			return 0, t.invalid("not a catalog: %w", sanitizedError{err})
		}
		return len(names), nil
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// eachName calls f for each name of a page.
func eachName(page []byte, f func(name string)) error {
	var doc struct {
		Repositories json.RawMessage `json:"repositories"`
	}
	if err := json.Unmarshal(page, &doc); err != nil {
		return err
	}
	if len(doc.Repositories) == 0 {
		return errors.New("it has no repositories")
	}
	return eachString(doc.Repositories, f)
}
