package proxy

import (
	"context"
	"iter"
	"slices"
	"time"

	"airmirror/mirror"
)

// imagePage is the number of names whose images are read together.
const imagePage = 128

// imageName is a tag, or the digest of a root without a tag.
type imageName struct {
	mirror.Ref
	added time.Time // of a root
}

// pages yields all names that may be selected, in order: of each repository the tags, then the roots without a tag.
func (l imageLister) pages(ctx context.Context) iter.Seq2[[]imageName, error] {
	return func(yield func([]imageName, error) bool) {
		var page []imageName
		for name, err := range l.namesAfter(ctx, mirror.Ref{}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if page = append(page, name); len(page) < imagePage {
				continue
			}
			if !yield(page, nil) {
				return
			}
			page = nil
		}
		if len(page) > 0 {
			yield(page, nil)
		}
	}
}

// namesAfter yields all names that may be selected and come after a name, which need not exist; all for the zero value.
func (l imageLister) namesAfter(ctx context.Context, after mirror.Ref) iter.Seq2[imageName, error] {
	return func(yield func(imageName, error) bool) {
		if after.Repo != (mirror.Repo{}) && !l.yieldNames(ctx, after, yield) {
			return
		}
		from := ""
		if after.Repo != (mirror.Repo{}) {
			from = after.Repo.String()
		}
		for repo, err := range mirror.ReposAfter(ctx, l.store, from) {
			if err != nil {
				yield(imageName{}, err)
				return
			}
			if !l.yieldNames(ctx, mirror.Ref{Repo: repo}, yield) {
				return
			}
		}
	}
}

// yieldNames yields the names of a repository that may be selected and come after a name. It reports false after an error,
// or if the caller stopped.
func (l imageLister) yieldNames(ctx context.Context, after mirror.Ref, yield func(imageName, error) bool) bool {
	if l.match.Repo != nil && !l.match.Repo(after.Repo) {
		return true
	}
	for name, err := range l.namesIn(ctx, after) {
		if err == nil && l.match.Name != nil && !l.match.Name(name.Ref) {
			continue
		}
		if !yield(name, err) || err != nil {
			return false
		}
	}
	return true
}

// namesIn yields the names of a repository after one of them: tags, then roots without a tag.
func (l imageLister) namesIn(ctx context.Context, after mirror.Ref) iter.Seq2[imageName, error] {
	repo := after.Repo
	return func(yield func(imageName, error) bool) {
		if tags, few := l.tagsSelected(repo); few {
			for _, tag := range tags { // one that is not stored is left out later
				if after.Digest == "" && tag > after.Tag && !yield(imageName{Ref: mirror.Ref{Repo: repo, Tag: tag}}, nil) {
					return
				}
			}
			return
		}
		if after.Digest == "" {
			for tag, err := range mirror.TagsAfter(ctx, l.store, repo, after.Tag) {
				if mirror.CodeOf(err) == mirror.CodeNameUnknown { // it was deleted since
					return
				}
				if !yield(imageName{Ref: mirror.Ref{Repo: repo, Tag: tag}}, err) || err != nil {
					return
				}
			}
		}
		for root, err := range mirror.RootsAfter(ctx, l.store, repo, after.Digest) {
			if err == nil && root.Tagged {
				continue
			}
			if !yield(imageName{mirror.Ref{Repo: repo, Digest: root.Digest}, root.Added}, err) || err != nil {
				return
			}
		}
	}
}

// tagsSelected returns the only tags of a repository that may be selected, if they are known.
func (l imageLister) tagsSelected(repo mirror.Repo) (tags []string, few bool) {
	if l.match.Tags == nil {
		return nil, false
	}
	return l.match.Tags(repo)
}

// ofPage returns the images of names.
func (l imageLister) ofPage(ctx context.Context, page []imageName) (images []mirror.Image, err error) {
	found, err := l.ofNames(ctx, page)
	return slices.Concat(found...), err
}

// ofNames returns the images of each name. An image that cannot be read is returned with the error.
func (l imageLister) ofNames(ctx context.Context, page []imageName) (images [][]mirror.Image, err error) {
	images = make([][]mirror.Image, len(page))
	refs := make([]mirror.Ref, len(page))
	for i, name := range page {
		refs[i] = name.Ref
	}
	sums, err := l.store.Summaries(ctx, refs)
	if err != nil {
		return nil, err
	}
	for i, name := range page {
		found, err := l.ofName(ctx, name, sums[i])
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case mirror.CodeOf(err) == mirror.CodeManifestUnknown: // it was deleted since
		case err != nil:
			images[i] = []mirror.Image{{Repo: name.Repo.String(), Tag: name.Tag, Root: name.Digest, Digest: sums[i].Digest, Error: err.Error()}}
		default:
			images[i] = found
		}
	}
	return images, nil
}
