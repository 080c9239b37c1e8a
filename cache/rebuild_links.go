package cache

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// restoreAccess links d for repo, because there may be no upstream to ask about each blob. An existing announced link
// stays announced in two cases: the old index is complete, or another repository may read d, to which it may belong. If
// d is not stored, announce is enough: the upstream is asked when the blob is fetched.
func (r *rebuild) restoreAccess(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error {
	if !has(tx, tableBlobs, d.String()) || has(tx, tableLinks, linkKey(repo, d)) && (r.oldIsComplete(tableLinks) || isReadable(tx, d)) {
		return announce(tx, repo, d, at)
	}
	return link(tx, repo, d, at)
}

// isReadable reports whether any repository may read d. It ignores links that cannot be decoded.
func isReadable(tx backend.ReadTx, d digest.Digest) bool {
	for k, value := range tx.Scan(tableLinks, prefix(d.String()), "") {
		if link, err := scanLink(k, value); err == nil && !link.Announced {
			return true
		}
	}
	return false
}

// restoreLinks restores access to blobs that manifests own and do not need, if all links to them are announced and no
// complete old index says so. A blob that another repository may read stays announced, because it may belong to that
// repository. All other repositories that name the blob get access: only the lost index knew which of them had it.
func (r *rebuild) restoreLinks() error {
	nobody := make(map[digest.Digest]bool)
	if err := r.eachAnnounced(func(tx backend.ReadTx, _ mirror.Repo, d digest.Digest) { nobody[d] = !isReadable(tx, d) }); err != nil {
		return err
	}
	var grants []content
	if err := r.eachAnnounced(func(_ backend.ReadTx, repo mirror.Repo, d digest.Digest) {
		if nobody[d] {
			grants = append(grants, content{repo, d})
		}
	}); err != nil {
		return err
	}
	for _, c := range grants {
		announced, err := r.wasAnnounced(c)
		if err != nil {
			return err
		}
		if announced {
			continue
		}
		if err := r.add(step{do: func(tx backend.WriteTx) error { return link(tx, c.repo, c.digest, r.now()) }}); err != nil {
			return err
		}
	}
	return nil
}

// eachAnnounced calls f with each announced link to a stored blob.
func (r *rebuild) eachAnnounced(f func(tx backend.ReadTx, repo mirror.Repo, d digest.Digest)) error {
	return r.index.View(r.ctx, func(tx backend.ReadTx) error {
		for k, value := range tx.Scan(tableLinks, "", "") {
			link, err := scanLink(k, value)
			d, name, _ := cutKey(k)
			repo, repoErr := mirror.ParseRepo(name)
			if err == nil && repoErr == nil && link.Announced && has(tx, tableBlobs, d) {
				f(tx, repo, digest.Digest(d))
			}
		}
		return nil
	})
}

// wasAnnounced reports whether the old index is complete and has a link for c.
func (r *rebuild) wasAnnounced(c content) (announced bool, err error) {
	if !r.oldIsComplete(tableLinks) {
		return false, nil
	}
	err = r.sources.Old.View(r.ctx, func(tx backend.ReadTx) error {
		announced = has(tx, tableLinks, linkKey(c.repo, c.digest))
		return nil
	})
	return announced, err
}
