package upstream

import (
	"context"
	"encoding/json"
	"slices"

	"airmirror/mirror"
)

// firstPage asks for long pages, as long as common registries allow.
const firstPage = "n=1000"

// Tags implements [mirror.Upstream]. Tags outside the grammar are left out: they cannot be asked for. A list that is
// too long or does not end is an error, and not cut short.
func (c *Client) Tags(ctx context.Context, repo mirror.Repo) ([]string, error) {
	r, err := c.registry(repo)
	if err != nil {
		return nil, err
	}
	tags := []string{}
	t := target{kind: tagList, repo: repo, query: firstPage}
	err = r.pages(ctx, t, maxTags, func(_ *answer, body []byte) (int, error) {
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return 0, t.unusable("what is no list: %w", briefError{err})
		}
		tags = append(tags, page.Tags...)
		return len(tags), nil
	})
	if err != nil {
		return nil, err
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool { return !mirror.ValidTag(tag) })
	slices.Sort(tags)
	return slices.Compact(tags), nil
}
