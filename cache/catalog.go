package cache

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

func errNameUnknown(repo mirror.Repo) *mirror.Error {
	return mirror.Errorf(mirror.CodeNameUnknown, "there is no repository %s", repo)
}

// RepoOrigin implements [mirror.Catalog].
func (s *Store) RepoOrigin(ctx context.Context, repo mirror.Repo) (origin mirror.Origin, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		record, found, err := getRecord[repoRecord](tx, tableRepos, repo.String())
		if err == nil && !found {
			return errNameUnknown(repo)
		}
		origin = record.Origin
		return err
	})
	return origin, explain(err, "look up repository %s", repo)
}

// Repos implements [mirror.Catalog].
func (s *Store) Repos(ctx context.Context, after string, n int) (repos []mirror.Repo, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		for name := range tx.Scan(tableRepos, "", after) {
			if len(repos) >= n {
				break
			}
			repo, err := mirror.ParseRepo(name)
			if err != nil {
				return err
			}
			repos = append(repos, repo)
		}
		return nil
	})
	return repos, explain(err, "list repositories")
}

// Tags implements [mirror.Catalog].
func (s *Store) Tags(ctx context.Context, repo mirror.Repo, after string, n int) (tags []string, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		if !has(tx, tableRepos, repo.String()) {
			return errNameUnknown(repo)
		}
		for k := range tx.Scan(tableTags, prefix(repo.String()), key(repo.String(), after)) {
			if len(tags) >= n {
				break
			}
			tags = append(tags, lastPart(k))
		}
		return nil
	})
	return tags, explain(err, "list tags of %s", repo)
}

// Referrers implements [mirror.Catalog].
func (s *Store) Referrers(ctx context.Context, repo mirror.Repo, subject, after digest.Digest, n, size int) (list []v1.Descriptor, more bool, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		list, more = nil, false
		for k, value := range tx.Scan(tableReferrers, prefix(repo.String(), subject.String()), key(repo.String(), subject.String(), after.String())) {
			size -= len(value)
			if len(list) >= n || size < 0 && len(list) > 0 {
				more = true
				return nil
			}
			referrer, err := decodeRecord[v1.Descriptor](tableReferrers, k, value)
			if err != nil {
				return err
			}
			list = append(list, referrer)
		}
		return nil
	})
	return list, more, explain(err, "list referrers of %s in %s", subject, repo)
}

// Roots implements [mirror.Catalog].
func (s *Store) Roots(ctx context.Context, repo mirror.Repo, after digest.Digest, n int) (roots []mirror.Root, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		roots = nil
		for k, value := range tx.Scan(tableRoots, prefix(repo.String()), key(repo.String(), after.String())) {
			if len(roots) >= n {
				break
			}
			record, err := decodeRecord[rootRecord](tableRoots, k, value)
			if err != nil {
				return err
			}
			c := content{repo, digest.Digest(lastPart(k))}
			roots = append(roots, mirror.Root{Digest: c.digest, Added: record.Added, Tagged: hasAny(tx, tableTagged, prefix(repo.String(), lastPart(k)))})
		}
		return nil
	})
	return roots, explain(err, "list roots of %s", repo)
}

// Manifests implements [mirror.Catalog].
func (s *Store) Manifests(ctx context.Context, repo mirror.Repo, begin string, n int) (digests []digest.Digest, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		digests = nil
		for k := range tx.Scan(tableManifests, key(repo.String(), begin), "") {
			if len(digests) >= n {
				break
			}
			digests = append(digests, digest.Digest(lastPart(k)))
		}
		return nil
	})
	return digests, explain(err, "list manifests of %s", repo)
}
