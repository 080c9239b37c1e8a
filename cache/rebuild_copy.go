package cache

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// copyRepo copies the record of a repository. If the record cannot be read, a repository with pushed content becomes
// local, so that no upstream takes over its name.
func (r *rebuild) copyRepo(from *sourceIndex, k string, value []byte) error {
	if _, err := mirror.ParseRepo(k); err != nil {
		r.reportEntry(from, tableRepos, k, err.Error())
		return nil
	}
	record, err := decodeRecord[repoRecord](tableRepos, k, value)
	if err == nil && originRank(record.Origin) == 0 {
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
		return putRecord(tx, tableRepos, k, record)
	}})
}

// guessRepo derives the record of a repository from its manifests, and reports that.
func (r *rebuild) guessRepo(from *sourceIndex, k string, reason error) (record repoRecord, err error) {
	err = from.View(r.ctx, func(tx backend.ReadTx) error {
		record = repoRecord{Created: r.now()}
		for m, value := range tx.Scan(tableManifests, prefix(k), "") {
			manifest, err := decodeRecord[manifestRecord](tableManifests, m, value)
			if err != nil || originRank(manifest.Origin) == 0 {
				manifest.Origin = mirror.Pushed
			}
			if originRank(manifest.Origin) > originRank(record.Origin) {
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
		r.reportEntry(from, tableRepos, k, fmt.Sprintf("%v; it counts as %s", reason, record.Origin))
	}
	return record, err
}

// copyLink copies the link of a stored blob. A link that cannot be read counts as announced, because it may have been.
func (r *rebuild) copyLink(from *sourceIndex, k string, value []byte) error {
	if reason := keyDefect(k, 2); reason != "" {
		r.reportEntry(from, tableLinks, k, reason)
		return nil
	}
	if err := contentError(splitKey(k)[1], splitKey(k)[0]); err != nil {
		r.reportEntry(from, tableLinks, k, err.Error())
		return nil
	}
	record, err := decodeRecord[linkRecord](tableLinks, k, value)
	if err != nil {
		record = linkRecord{Added: r.now(), Announced: true}
		r.reportEntry(from, tableLinks, k, err.Error())
	}
	return r.add(step{do: func(tx backend.WriteTx) error {
		if has(tx, tableLinks, k) || !has(tx, tableBlobs, splitKey(k)[0]) {
			return nil
		}
		return putRecord(tx, tableLinks, k, record)
	}})
}

// copyManifest copies a manifest. A manifest of unknown origin becomes a pushed one, so that it is never evicted; but
// like a mirrored one it does not grant access to its blobs.
func (r *rebuild) copyManifest(from *sourceIndex, k string, value []byte) error {
	if err := contentKeyError(k); err != nil {
		r.reportEntry(from, tableManifests, k, err.Error())
		return nil
	}
	repo, err := mirror.ParseRepo(splitKey(k)[0])
	if err != nil {
		return err
	}
	record, err := decodeRecord[manifestRecord](tableManifests, k, value)
	if err == nil && originRank(record.Origin) == 0 {
		err = fmt.Errorf("%q is not an origin", record.Origin)
	}
	if err != nil {
		record = manifestRecord{Added: r.now()}
		r.reportEntry(from, tableManifests, k, err.Error()+"; it counts as pushed")
	}
	return r.addManifest(content{repo, digest.Digest(splitKey(k)[1])}, record.MediaType, record.Origin, record.Added, nil)
}

// copyUses copies manifests whose records were lost, from the uses of their own files.
func (r *rebuild) copyUses(from *sourceIndex) error {
	if !r.isIncomplete(from, tableManifests) {
		return nil
	}
	return r.each(from, tableUses, func(from *sourceIndex, k string, _ []byte) error {
		if keyDefect(k, 3) != "" {
			r.reportEntry(from, tableUses, k, "its key is malformed")
			return nil
		}
		file, name, d := splitKey(k)[0], splitKey(k)[1], splitKey(k)[2]
		known := file != d
		if err := from.View(r.ctx, func(tx backend.ReadTx) error {
			known = known || has(tx, tableManifests, key(name, d))
			return nil
		}); err != nil || known {
			return err
		}
		if err := contentError(name, d); err != nil {
			r.reportEntry(from, tableUses, k, err.Error())
			return nil
		}
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			return err
		}
		return r.addManifest(content{repo, digest.Digest(d)}, "", "", time.Time{}, nil)
	})
}

// copyTag copies a tag.
func (r *rebuild) copyTag(from *sourceIndex, k string, value []byte) error {
	name, err := parseTagKey(k)
	var record tagRecord
	if err == nil {
		record, err = readTag(k, value)
	}
	if err != nil {
		r.reportEntry(from, tableTags, k, err.Error())
		return nil
	}
	return r.addTag(name, record)
}

func parseTagKey(k string) (name tagName, err error) {
	if reason := keyDefect(k, 2); reason != "" {
		return tagName{}, errors.New(reason)
	}
	if name.repo, err = mirror.ParseRepo(splitKey(k)[0]); err != nil {
		return tagName{}, err
	}
	if name.tag = splitKey(k)[1]; !mirror.ValidTag(name.tag) {
		return tagName{}, fmt.Errorf("%q is not a tag", name.tag)
	}
	return name, nil
}

// readTag decodes and checks the record of a tag.
func readTag(k string, value []byte) (tagRecord, error) {
	record, err := decodeRecord[tagRecord](tableTags, k, value)
	if err == nil {
		_, err = mirror.ParseDigest(record.Digest.String())
	}
	if err == nil && originRank(record.Origin) == 0 {
		err = fmt.Errorf("%q is not an origin", record.Origin)
	}
	return record, err
}

// copyTagged copies tags whose records could not be read, from the tags by manifest.
func (r *rebuild) copyTagged(from *sourceIndex) error {
	if !r.isIncomplete(from, tableTags) {
		return nil
	}
	return r.each(from, tableTagged, func(from *sourceIndex, k string, _ []byte) error {
		if keyDefect(k, 3) != "" {
			r.reportEntry(from, tableTagged, k, "its key is malformed")
			return nil
		}
		repo, d, tag := splitKey(k)[0], splitKey(k)[1], splitKey(k)[2]
		name, err := parseTagKey(key(repo, tag))
		if err != nil {
			r.reportEntry(from, tableTagged, k, err.Error())
			return nil
		}
		record := tagRecord{Digest: digest.Digest(d), Origin: mirror.Pushed, Updated: r.now()}
		known := false
		if err := from.View(r.ctx, func(tx backend.ReadTx) error {
			_, err := readTag(key(repo, tag), tx.Get(tableTags, key(repo, tag)))
			known = err == nil
			if manifest, _, err := getRecord[manifestRecord](tx, tableManifests, key(repo, d)); err == nil && originRank(manifest.Origin) > 0 {
				record.Origin = manifest.Origin
				if !manifest.Added.IsZero() {
					record.Updated = manifest.Added
				}
			}
			return nil
		}); err != nil || known {
			return err
		}
		return r.addTag(name, record)
	})
}

// copyRoot copies a root.
func (r *rebuild) copyRoot(from *sourceIndex, k string, value []byte) error {
	if err := contentKeyError(k); err != nil {
		r.reportEntry(from, tableRoots, k, err.Error())
		return nil
	}
	repo, err := mirror.ParseRepo(splitKey(k)[0])
	if err != nil {
		return err
	}
	record, err := decodeRecord[rootRecord](tableRoots, k, value)
	if err != nil {
		record.Added = r.now()
		r.reportEntry(from, tableRoots, k, err.Error()+"; the time when it was added is lost")
	}
	return r.addRoot(content{repo, digest.Digest(splitKey(k)[1])}, record.Added)
}
