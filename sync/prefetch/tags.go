package prefetch

import (
	"cmp"
	"context"

	"airmirror/mirror"
)

// TagsRequest names a repository.
type TagsRequest struct {
	// Repository is a name as in a list of images, without a tag or digest.
	Repository string `json:"repository"`
}

// TagList are the tags of a repository.
type TagList struct {
	// Tags are in the order of the registry API.
	Tags []string `json:"tags"`
	// NotChecked is the reason why the upstream did not list the tags. There may be more than the stored ones then.
	NotChecked string `json:"notChecked,omitempty"`
}

// Tags lists the tags of a repository: those of its upstream, and those that are stored.
func Tags(ctx context.Context, f Fetcher, req TagsRequest) (TagList, error) {
	ref, _, tagged, err := parseName(f.Names(), req.Repository)
	if err == nil && tagged {
		err = errHasTag
	}
	if err != nil {
		return TagList{}, mirror.Errorf(mirror.CodeNameInvalid, "%q: %w", req.Repository, err)
	}
	tags, notChecked, err := listTags(ctx, f, ref.Repo)
	list := TagList{Tags: tags}
	if notChecked != nil {
		list.NotChecked = notChecked.Error()
	}
	return list, err
}

// pageSize is how many tags are requested at once.
const pageSize = 1000

// listTags returns all tags of a repository, and the reason why its upstream did not list all of them.
func listTags(ctx context.Context, f Fetcher, repo mirror.Repo) (tags []string, notChecked, err error) {
	ctx = mirror.WithFullLists(ctx)
	for after := ""; ; {
		page, err := f.Tags(ctx, repo, after, pageSize)
		if ctx.Err() != nil {
			return nil, nil, errRunEnded
		}
		if err != nil {
			return nil, nil, err
		}
		notChecked = cmp.Or(page.Stale, page.Refused, notChecked)
		tags = append(tags, page.Items...)
		if len(page.Items) < pageSize {
			return tags, notChecked, nil
		}
		after = page.Items[len(page.Items)-1]
	}
}
