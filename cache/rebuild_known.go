package cache

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// knownRepo takes over whose a repository is. Where that cannot be read, one that has something that was pushed is local:
// an upstream must not get its name.
func (r *rebuild) knownRepo(from *knownIndex, k string, value []byte) error {
	if _, err := mirror.ParseRepo(k); err != nil {
		r.unreadEntry(from, tableRepos, k, err.Error())
		return nil
	}
	record, err := decode[repoRecord](tableRepos, k, value)
	if err == nil && strength(record.Origin) == 0 {
		err = fmt.Errorf("%q is not an origin", record.Origin)
	}
	if err != nil {
		if record, err = r.guessRepo(from, k, err); err != nil {
			return err
		}
	}
	return r.add(step{do: func(tx backend.WriteTx) error {
		if has(tx, tableRepos, k) {
			return nil
		}
		return put(tx, tableRepos, k, record)
	}})
}

// guessRepo makes a record of what is in a repository, and tells of it.
func (r *rebuild) guessRepo(from *knownIndex, k string, reason error) (record repoRecord, err error) {
	err = from.View(r.ctx, func(tx backend.ReadTx) error {
		record = repoRecord{Created: r.now()}
		for m, value := range tx.Scan(tableManifests, prefix(k), "") {
			manifest, err := decode[manifestRecord](tableManifests, m, value)
			if err != nil || strength(manifest.Origin) == 0 {
				manifest.Origin = mirror.Pushed
			}
			if strength(manifest.Origin) > strength(record.Origin) {
				record.Origin = manifest.Origin
			}
			if !manifest.Added.IsZero() && manifest.Added.Before(record.Created) {
				record.Created = manifest.Added
			}
		}
		if record.Origin == "" {
			record.Origin = mirror.Pushed
		}
		return nil
	})
	if err == nil {
		r.unreadEntry(from, tableRepos, k, fmt.Sprintf("%v; it counts as %s", reason, record.Origin))
	}
	return record, err
}

// knownLink takes over who may read what, as far as it is stored. Of one that cannot be read nobody knows whether it was
// only announced.
func (r *rebuild) knownLink(from *knownIndex, k string, value []byte) error {
	if reason := malformed(k, 2); reason != "" {
		r.unreadEntry(from, tableLinks, k, reason)
		return nil
	}
	if err := contentFault(parts(k)[1], parts(k)[0]); err != nil {
		r.unreadEntry(from, tableLinks, k, err.Error())
		return nil
	}
	record, err := decode[linkRecord](tableLinks, k, value)
	if err != nil {
		record = linkRecord{Added: r.now(), Announced: true}
		r.unreadEntry(from, tableLinks, k, err.Error())
	}
	return r.add(step{do: func(tx backend.WriteTx) error {
		if has(tx, tableLinks, k) || !has(tx, tableBlobs, parts(k)[0]) {
			return nil
		}
		return put(tx, tableLinks, k, record)
	}})
}

// knownManifest takes over a manifest. One of which nobody knows the origin counts as pushed: such a one is kept. But it
// lets its repository read no more than one from an upstream.
func (r *rebuild) knownManifest(from *knownIndex, k string, value []byte) error {
	if err := keyFault(k); err != nil {
		r.unreadEntry(from, tableManifests, k, err.Error())
		return nil
	}
	repo, err := mirror.ParseRepo(parts(k)[0])
	if err != nil {
		return err
	}
	record, err := decode[manifestRecord](tableManifests, k, value)
	if err == nil && strength(record.Origin) == 0 {
		err = fmt.Errorf("%q is not an origin", record.Origin)
	}
	if err != nil {
		record = manifestRecord{Added: r.now()}
		r.unreadEntry(from, tableManifests, k, err.Error()+"; it counts as pushed now")
	}
	return r.manifest(content{repo, digest.Digest(parts(k)[1])}, record.MediaType, record.Origin, record.Added, nil)
}

// knownUses takes over the manifests of which the entries are gone from what says that they need their own files.
func (r *rebuild) knownUses(from *knownIndex) error {
	if !r.doubts(from, tableManifests) {
		return nil
	}
	return r.each(from, tableUses, func(from *knownIndex, k string, _ []byte) error {
		if malformed(k, 3) != "" {
			r.unreadEntry(from, tableUses, k, "its key is malformed")
			return nil
		}
		file, name, d := parts(k)[0], parts(k)[1], parts(k)[2]
		known := file != d
		if err := from.View(r.ctx, func(tx backend.ReadTx) error {
			known = known || has(tx, tableManifests, key(name, d))
			return nil
		}); err != nil || known {
			return err
		}
		if err := contentFault(name, d); err != nil {
			r.unreadEntry(from, tableUses, k, err.Error())
			return nil
		}
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			return err
		}
		return r.manifest(content{repo, digest.Digest(d)}, "", "", time.Time{}, nil)
	})
}

// knownTag takes over a tag.
func (r *rebuild) knownTag(from *knownIndex, k string, value []byte) error {
	name, err := parseTagKey(k)
	var record tagRecord
	if err == nil {
		record, err = readTag(k, value)
	}
	if err != nil {
		r.unreadEntry(from, tableTags, k, err.Error())
		return nil
	}
	return r.tag(name, record)
}

func parseTagKey(k string) (name tagName, err error) {
	if reason := malformed(k, 2); reason != "" {
		return tagName{}, errors.New(reason)
	}
	if name.repo, err = mirror.ParseRepo(parts(k)[0]); err != nil {
		return tagName{}, err
	}
	if name.tag = parts(k)[1]; !mirror.ValidTag(name.tag) {
		return tagName{}, fmt.Errorf("%q is not a tag", name.tag)
	}
	return name, nil
}

// readTag reads the record of a tag, which must say where it points.
func readTag(k string, value []byte) (tagRecord, error) {
	record, err := decode[tagRecord](tableTags, k, value)
	if err == nil {
		_, err = mirror.ParseDigest(record.Digest.String())
	}
	if err == nil && strength(record.Origin) == 0 {
		err = fmt.Errorf("%q is not an origin", record.Origin)
	}
	return record, err
}

// knownTagged takes over the tags of which the records could not be read from the table of the tags of each manifest.
func (r *rebuild) knownTagged(from *knownIndex) error {
	if !r.doubts(from, tableTags) {
		return nil
	}
	return r.each(from, tableTagged, func(from *knownIndex, k string, _ []byte) error {
		if malformed(k, 3) != "" {
			r.unreadEntry(from, tableTagged, k, "its key is malformed")
			return nil
		}
		repo, d, tag := parts(k)[0], parts(k)[1], parts(k)[2]
		name, err := parseTagKey(key(repo, tag))
		if err != nil {
			r.unreadEntry(from, tableTagged, k, err.Error())
			return nil
		}
		record := tagRecord{Digest: digest.Digest(d), Origin: mirror.Pushed, Updated: r.now()}
		known := false
		if err := from.View(r.ctx, func(tx backend.ReadTx) error {
			_, err := readTag(key(repo, tag), tx.Get(tableTags, key(repo, tag)))
			known = err == nil
			if manifest, _, err := get[manifestRecord](tx, tableManifests, key(repo, d)); err == nil && strength(manifest.Origin) > 0 {
				record.Origin = manifest.Origin
				if !manifest.Added.IsZero() {
					record.Updated = manifest.Added
				}
			}
			return nil
		}); err != nil || known {
			return err
		}
		return r.tag(name, record)
	})
}

// knownRoot has what was a root be one again, if it is there.
func (r *rebuild) knownRoot(from *knownIndex, k string, value []byte) error {
	if err := keyFault(k); err != nil {
		r.unreadEntry(from, tableRoots, k, err.Error())
		return nil
	}
	repo, err := mirror.ParseRepo(parts(k)[0])
	if err != nil {
		return err
	}
	record, err := decode[rootRecord](tableRoots, k, value)
	if err != nil {
		record.Added = r.now()
		r.unreadEntry(from, tableRoots, k, err.Error()+"; the time when it was added is lost")
	}
	return r.root(content{repo, digest.Digest(parts(k)[1])}, record.Added)
}
