package cache

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

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
	return roots, explain(err, "list what was brought to %s by digest", repo)
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

// addRoot makes a manifest a root, unless it is one.
func addRoot(tx backend.WriteTx, c content, at time.Time) error {
	if has(tx, tableRoots, c.key()) {
		return nil
	}
	return putRecord(tx, tableRoots, c.key(), rootRecord{Added: at})
}

// rootSince returns when a manifest became a root; the zero time if it is none.
func rootSince(tx backend.ReadTx, c content) (time.Time, error) {
	record, _, err := getRecord[rootRecord](tx, tableRoots, c.key())
	return record.Added, err
}

// decodeRoot returns when a manifest became a root. Roots are few: they are read as everywhere else.
func decodeRoot(k string, value []byte) (time.Time, error) {
	record, err := decodeRecord[rootRecord](tableRoots, k, value)
	return record.Added, err
}

// rootDefect is a [rule].
func rootDefect(tx backend.ReadTx, k string, value []byte) string {
	if reason := keyDefect(k, 2); reason != "" {
		return reason
	}
	if _, err := decodeRecord[rootRecord](tableRoots, k, value); err != nil {
		return "it cannot be read"
	}
	if !has(tx, tableManifests, k) {
		return "it is about a manifest that its repository does not have"
	}
	return ""
}

// root makes a manifest a root that is there.
func (r *rebuild) addRoot(c content, at time.Time) error {
	return r.add(step{do: func(tx backend.WriteTx) error {
		if !has(tx, tableManifests, c.key()) {
			return nil
		}
		return addRoot(tx, c, at)
	}})
}
