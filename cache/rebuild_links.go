package cache

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// restoreAccess lets repo read d, as there may be no upstream left to ask about each blob. But what a backup has as announced
// while it lets another repository read it may be that one's own, and stays so; what the old index has as announced, if
// all such of it could be read, stays so as well; and of what is not held nothing is lost by asking when it comes.
func (r *rebuild) restoreAccess(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error {
	if !has(tx, tableBlobs, d.String()) || has(tx, tableLinks, linkKey(repo, d)) && (r.oldIsComplete(tableLinks) || isReadable(tx, d)) {
		return announce(tx, repo, d, at)
	}
	return link(tx, repo, d, at)
}

// isReadable reports whether a repository may read d. Links that cannot be read are none.
func isReadable(tx backend.ReadTx, d digest.Digest) bool {
	for k, value := range tx.Scan(tableLinks, prefix(d.String()), "") {
		if link, err := scanLink(k, value); err == nil && !link.Announced {
			return true
		}
	}
	return false
}

// rights has repositories read again what their manifests own and do not need, as far as nobody knows better: there is a
// link that is only announced for each, and no old index that says so. What another repository may read stays as it is, since that may be its own. Who
// is left is every repository that names it: which of them had it, only the index that is lost knew.
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

// announced calls f with the links to stored blobs that are only announced.
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

// wasAnnounced reports whether the old index says who may read what, and has a link for this.
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
