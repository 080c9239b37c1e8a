package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	t := target{kind: tagsKind, repo: repo, query: firstPage}
	err = r.pages(ctx, t, maxTags, func(_ *response, body []byte) (int, error) {
		if err := eachTag(body, func(tag string) { tags = append(tags, tag) }); err != nil {
			return 0, t.invalid("what is no list: %w", sanitizedError{err})
		}
		return len(tags), nil
	})
	if err != nil && !isPartial(err) {
		return nil, err
	}
	slices.Sort(tags)
	return slices.Compact(tags), err
}

// eachTag gives the tags of a page to f. Those outside the grammar are never held all at once: a page of nothing but
// empty strings would take many times its size.
func eachTag(page []byte, f func(tag string)) error {
	var doc struct {
		Tags json.RawMessage `json:"tags"`
	}
	if err := json.Unmarshal(page, &doc); err != nil {
		return err
	}
	if len(doc.Tags) == 0 || string(doc.Tags) == "null" {
		return nil
	}
	list := json.NewDecoder(bytes.NewReader(doc.Tags))
	if start, err := list.Token(); err != nil || start != json.Delim('[') {
		return errors.New("its tags are no list")
	}
	var tag string
	for list.More() {
		if err := list.Decode(&tag); err != nil {
			return err
		}
		if mirror.ValidTag(tag) {
			f(tag)
		}
	}
	return nil
}
