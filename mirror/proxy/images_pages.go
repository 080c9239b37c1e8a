package proxy

import (
	"context"
	"iter"
	"runtime"
	"sync"
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
		for name, err := range l.names(ctx) {
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

// names yields all names that may be selected.
func (l imageLister) names(ctx context.Context) iter.Seq2[imageName, error] {
	return func(yield func(imageName, error) bool) {
		for repo, err := range mirror.AllRepos(ctx, l.store) {
			if err == nil && l.match.Repo != nil && !l.match.Repo(repo) {
				continue
			}
			if err != nil {
				yield(imageName{}, err)
				return
			}
			for name, err := range l.namesIn(ctx, repo) {
				if err == nil && l.match.Name != nil && !l.match.Name(name.Ref) {
					continue
				}
				if !yield(name, err) || err != nil {
					return
				}
			}
		}
	}
}

// namesIn yields the names of a repository.
func (l imageLister) namesIn(ctx context.Context, repo mirror.Repo) iter.Seq2[imageName, error] {
	return func(yield func(imageName, error) bool) {
		for tag, err := range mirror.AllTags(ctx, l.store, repo) {
			if mirror.CodeOf(err) == mirror.CodeNameUnknown { // it was deleted since
				return
			}
			if !yield(imageName{Ref: mirror.Ref{Repo: repo, Tag: tag}}, err) || err != nil {
				return
			}
		}
		for root, err := range mirror.AllRoots(ctx, l.store, repo) {
			if err == nil && root.Tagged {
				continue
			}
			if !yield(imageName{mirror.Ref{Repo: repo, Digest: root.Digest}, root.Added}, err) || err != nil {
				return
			}
		}
	}
}

// ofPage returns the images of names. An image that cannot be read is returned with the error.
func (l imageLister) ofPage(ctx context.Context, page []imageName) (images []mirror.Image, err error) {
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
			images = append(images, mirror.Image{Repo: name.Repo.String(), Tag: name.Tag, Root: name.Digest, Digest: sums[i].Digest, Error: err.Error()})
		default:
			images = append(images, found...)
		}
	}
	return images, nil
}

// inOrder calls do with each item, several at a time, and yields the results in the order of the items. It ends after an
// error.
func inOrder[T, R any](ctx context.Context, items func(context.Context) iter.Seq2[T, error], do func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	type result struct {
		value R
		err   error
	}
	return func(yield func(R, error) bool) {
		parent := ctx
		ctx, cancel := context.WithCancel(ctx)
		queue := make(chan chan result, runtime.GOMAXPROCS(0))
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		running.Go(func() {
			defer close(queue)
			for item, err := range items(ctx) {
				done := make(chan result, 1)
				select {
				case queue <- done:
				case <-ctx.Done():
					return
				}
				if err != nil {
					done <- result{err: err}
					return
				}
				running.Go(func() {
					value, err := do(ctx, item)
					done <- result{value, err}
				})
			}
		})
		for done := range queue {
			r := <-done
			if !yield(r.value, r.err) || r.err != nil {
				return
			}
		}
		if err := parent.Err(); err != nil {
			var none R
			yield(none, err)
		}
	}
}
