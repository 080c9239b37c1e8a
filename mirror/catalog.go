package mirror

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"
)

// pageSize is the number of items that are read from a [Catalog] at a time, so that no transaction of the index takes as
// long as a list.
const pageSize = 256

// AllRepos yields all repositories of a catalog, in the order of [Catalog]. It ends after an error.
func AllRepos(ctx context.Context, c Catalog) iter.Seq2[Repo, error] {
	return pages(func(after string) ([]Repo, error) { return c.Repos(ctx, after, pageSize) }, Repo.String)
}

// AllTags yields all tags of a repository, like [AllRepos].
func AllTags(ctx context.Context, c Catalog, repo Repo) iter.Seq2[string, error] {
	return pages(func(after string) ([]string, error) { return c.Tags(ctx, repo, after, pageSize) }, func(tag string) string { return tag })
}

// AllRoots yields all roots of a repository, like [AllRepos].
func AllRoots(ctx context.Context, c Catalog, repo Repo) iter.Seq2[Root, error] {
	return pages(func(after digest.Digest) ([]Root, error) { return c.Roots(ctx, repo, after, pageSize) }, func(r Root) digest.Digest { return r.Digest })
}

// pages yields the items of all pages. list returns the page after a key.
func pages[T any, K ~string](list func(after K) ([]T, error), key func(T) K) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after, more := K(""), true; more; {
			page, err := list(after)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
				after = key(item)
			}
			more = len(page) == pageSize
		}
	}
}
