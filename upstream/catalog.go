package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"airmirror/mirror"
)

// maxNames is how many repositories a catalog may have.
const maxNames = 200_000

// Catalog lists the names of all repositories of the upstream for host, as it writes them and in its order; below the
// prefix of its endpoint, if that has one. The distribution specification knows no catalog: where there is none, or not
// for this mirror, the error has the code [mirror.CodeNameUnknown] or [mirror.CodeUnavailable]. A list that is too long or
// does not end is an error, and not cut short.
//
// https://distribution.github.io/distribution/spec/api/#listing-repositories
func (c *Client) Catalog(ctx context.Context, host string) ([]string, error) {
	t := target{kind: catalogKind, repo: mirror.Repo{Host: mirror.CanonicalHost(host)}, query: firstPage}
	r, err := c.registry(t.repo)
	if err != nil {
		return nil, err
	}
	names := []string{}
	err = r.pages(ctx, t, maxNames, func(a *response, body []byte) (int, error) {
		prefix := a.endpoint.endpoint.prefix()
		listed := len(names)
		if err := eachName(body, func(name string) {
			if name, below := strings.CutPrefix(name, prefix); below && len(names) <= maxNames {
				names = append(names, name)
			}
		}); err != nil {
			return listed, t.invalid("what is no list: %w", sanitizedError{err})
		}
		return len(names), nil
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// eachName gives the names of a page to f, and not all of them at once.
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
	if string(doc.Repositories) == "null" {
		return nil
	}
	list := json.NewDecoder(bytes.NewReader(doc.Repositories))
	if start, err := list.Token(); err != nil || start != json.Delim('[') {
		return errors.New("its repositories are no list")
	}
	var name string
	for list.More() {
		if err := list.Decode(&name); err != nil {
			return err
		}
		f(name)
	}
	return nil
}
