package cache

import (
	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// rights has repositories read again what their manifests own and do not need, as far as nobody knows better: there is a
// link that is only announced for each. What another repository may read stays as it is, since that may be its own. Who
// is left is every repository that names it: which of them had it, only the index that is lost knew.
func (r *rebuild) rights() error {
	nobody := make(map[digest.Digest]bool)
	if err := r.announced(func(tx ReadTx, _ mirror.Repo, d digest.Digest) { nobody[d] = !readBySomebody(tx, d) }); err != nil {
		return err
	}
	var grants []content
	if err := r.announced(func(_ ReadTx, repo mirror.Repo, d digest.Digest) {
		if nobody[d] {
			grants = append(grants, content{repo, d})
		}
	}); err != nil {
		return err
	}
	for _, c := range grants {
		if err := r.add(step{do: func(tx WriteTx) error { return link(tx, c.repo, c.digest, now()) }}); err != nil {
			return err
		}
	}
	return nil
}

// announced calls f with the links to stored blobs that are only announced.
func (r *rebuild) announced(f func(tx ReadTx, repo mirror.Repo, d digest.Digest)) error {
	return r.index.View(r.ctx, func(tx ReadTx) error {
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
