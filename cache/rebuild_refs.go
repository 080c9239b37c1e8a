package cache

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// addNames adds the names in sources.Names.
func (r *rebuild) addNames() error {
	if r.sources.Names == nil {
		return nil
	}
	for name, err := range r.sources.Names {
		if err != nil {
			return fmt.Errorf("read names: %w", err)
		}
		if err := r.addName(name); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuild) addName(n RebuildName) error {
	if err := n.Repo.Validate(); err != nil {
		return err
	}
	if originRank(n.Origin) == 0 {
		n.Origin = mirror.Pushed
	}
	if n.Digest == "" && n.Tag == "" {
		return r.addRepo(n)
	}
	c := content{n.Repo, n.Digest}
	err := r.addManifest(c, n.MediaType, n.Origin, r.now(), func() { r.named[c] = true })
	if err == nil && n.Root {
		err = r.addRoot(c, r.now())
	}
	if err != nil || n.Tag == "" {
		return err
	}
	if !mirror.ValidTag(n.Tag) {
		return mirror.Errorf(mirror.CodeManifestInvalid, "%q is not a tag", n.Tag)
	}
	return r.addTag(tagName{n.Repo, n.Tag}, tagRecord{Digest: n.Digest, Origin: n.Origin, Updated: r.now()})
}

// addRepo adds a repository, unless it exists. A local repository must stay local even if its content was imported:
// misses in it are not requested upstream.
func (r *rebuild) addRepo(n RebuildName) error {
	return r.add(step{do: func(tx backend.WriteTx) error { return createRepo(tx, n.Repo, n.Origin, r.now()) }})
}

// addRelatives adds the manifests that belong to an added one: the children of an index, and referrers. A relative that
// a source index has in another repository is added only where that index does not have the image: it may have been
// deleted there.
func (r *rebuild) addRelatives() error {
	for {
		before := len(r.tried)
		for _, d := range r.foundDigests() {
			of := r.parents[d]
			if subject := r.found[d].subject; subject != "" {
				of = append(slices.Clone(of), subject)
			}
			if err := r.addRelative(d, of); err != nil {
				return err
			}
		}
		if err := r.flush(); err != nil || len(r.tried) == before {
			return err
		}
	}
}

// addRelative adds d to the repositories of the manifests that it belongs to.
func (r *rebuild) addRelative(d digest.Digest, of []digest.Digest) error {
	if len(of) == 0 {
		return nil
	}
	targets := make(map[content]mirror.Origin)
	err := r.index.View(r.ctx, func(tx backend.ReadTx) error {
		known := isManifest(tx, d)
		for _, other := range of {
			for k := range tx.Scan(tableUses, prefix(other.String()), "") {
				repo, err := mirror.ParseRepo(splitKey(k)[1])
				c := content{repo, d}
				if err != nil || lastPart(k) != other.String() || r.tried[c] || known && !r.named[content{repo, other}] || has(tx, tableManifests, c.key()) {
					continue
				}
				if record, _, err := getRecord[manifestRecord](tx, tableManifests, content{repo, other}.key()); err == nil {
					targets[c] = record.Origin
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for c, origin := range targets {
		r.tried[c] = true
		if err := r.addManifest(c, r.found[d].mediaType, origin, r.now(), func() { r.named[c] = true }); err != nil {
			return err
		}
	}
	return nil
}

// isManifest reports whether d is a manifest of any repository.
func isManifest(tx backend.ReadTx, d digest.Digest) bool {
	for k := range tx.Scan(tableUses, prefix(d.String()), "") {
		if lastPart(k) == d.String() {
			return true
		}
	}
	return false
}

// recoverUnnamed adds the manifests without a name to RecoveredRepo, except those that belong to another manifest among
// the files.
func (r *rebuild) recoverUnnamed() error {
	var complete []digest.Digest
	err := r.eachUnnamed(func(d digest.Digest) error {
		_, about := r.found[r.found[d].subject]
		if about || len(r.parents[d]) > 0 {
			return nil
		}
		c := content{RecoveredRepo, d}
		return r.addManifest(c, r.found[d].mediaType, mirror.Pushed, r.now(), func() {
			r.named[c] = true
			complete = append(complete, d)
		})
	})
	if err := errors.Join(err, r.flush()); err != nil {
		return err
	}
	for _, d := range complete {
		const digits = 12
		name := tagName{RecoveredRepo, d.Encoded()[:digits]}
		r.event(RebuildRecovered, name.String(), d, "its name is unknown")
		if err := r.addTag(name, tagRecord{Digest: d, Origin: mirror.Pushed, Updated: r.now()}); err != nil {
			return err
		}
	}
	return nil
}

// reportRest reports the manifests that got no name because the image that they belong to is incomplete.
func (r *rebuild) reportRest() error {
	return r.eachUnnamed(func(d digest.Digest) error {
		if !r.reported[d] {
			r.event(RebuildIncomplete, "", d, "it belongs to an image that is incomplete")
		}
		return nil
	})
}

// eachUnnamed calls f with the manifests that are in no repository. It skips manifests that another manifest needs as
// blobs.
func (r *rebuild) eachUnnamed(f func(d digest.Digest) error) error {
	for _, d := range r.foundDigests() {
		var used bool
		err := r.index.View(r.ctx, func(tx backend.ReadTx) error {
			used = false
			for k, value := range tx.Scan(tableUses, prefix(d.String()), "") {
				if used = lastPart(k) == d.String() || !isOwnedUse(value); used {
					break
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if used {
			continue
		}
		if err := f(d); err != nil {
			return err
		}
	}
	return nil
}

// foundDigests returns the manifests among the files, in order.
func (r *rebuild) foundDigests() []digest.Digest { return slices.Sorted(maps.Keys(r.found)) }

// addRoot makes a manifest a root, if it is stored.
func (r *rebuild) addRoot(c content, at time.Time) error {
	return r.add(step{do: func(tx backend.WriteTx) error {
		if !has(tx, tableManifests, c.key()) {
			return nil
		}
		return addRoot(tx, c, at)
	}})
}
