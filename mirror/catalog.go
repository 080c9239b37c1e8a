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
func AllRepos(ctx context.Context, c Catalog) iter.Seq2[Repo, error] { return ReposAfter(ctx, c, "") }

// ReposAfter is AllRepos for the repositories after a name, which need not exist.
func ReposAfter(ctx context.Context, c Catalog, after string) iter.Seq2[Repo, error] {
	return pages(after, func(after string) ([]Repo, error) { return c.Repos(ctx, after, pageSize) }, Repo.String)
}

// AllTags yields all tags of a repository, like [AllRepos].
func AllTags(ctx context.Context, c Catalog, repo Repo) iter.Seq2[string, error] {
	return TagsAfter(ctx, c, repo, "")
}

// TagsAfter is AllTags for the tags after one of them, which need not exist.
func TagsAfter(ctx context.Context, c Catalog, repo Repo, after string) iter.Seq2[string, error] {
	return pages(after, func(after string) ([]string, error) { return c.Tags(ctx, repo, after, pageSize) }, func(tag string) string { return tag })
}

// AllRoots yields all roots of a repository, like [AllRepos].
func AllRoots(ctx context.Context, c Catalog, repo Repo) iter.Seq2[Root, error] {
	return RootsAfter(ctx, c, repo, "")
}

// RootsAfter is AllRoots for the roots after one of them, which need not exist.
func RootsAfter(ctx context.Context, c Catalog, repo Repo, after digest.Digest) iter.Seq2[Root, error] {
	return pages(after, func(after digest.Digest) ([]Root, error) { return c.Roots(ctx, repo, after, pageSize) }, func(r Root) digest.Digest { return r.Digest })
}

// pages yields the items of all pages after a key. list returns the page after a key.
func pages[T any, K ~string](after K, list func(after K) ([]T, error), key func(T) K) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after, more := after, true; more; {
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
