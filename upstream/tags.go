package upstream

import (
	"context"
	"encoding/json"
	"slices"

	"airmirror/mirror"
)

// Tags implements [mirror.Upstream]. It leaves out invalid tags, which cannot be requested. A list that is too long is an
// error.
func (c *Client) Tags(ctx context.Context, repo mirror.Repo) ([]string, error) {
	r, err := c.registry(repo)
	if err != nil {
		return nil, err
	}
	tags := []string{}
	t := target{kind: tagsKind, repo: repo, query: firstPage}
	err = r.pages(ctx, t, maxTags, func(_ *response, body []byte) (int, error) {
		if err := eachTag(body, func(tag string) { tags = append(tags, tag) }); err != nil {
			return 0, t.invalid("not a list of tags: %w", sanitizedError{err})
		}
		return len(tags), nil
	})
	if err != nil && !isPartial(err) {
		return nil, err
	}
	slices.Sort(tags)
	return slices.Compact(tags), err
}

// eachTag calls f for each valid tag of a page.
func eachTag(page []byte, f func(tag string)) error {
	var doc struct {
		Tags json.RawMessage `json:"tags"`
	}
	if err := json.Unmarshal(page, &doc); err != nil {
		return err
	}
	return eachString(doc.Tags, func(tag string) {
		if mirror.ValidTag(tag) {
			f(tag)
		}
	})
}
