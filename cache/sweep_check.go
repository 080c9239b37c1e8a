package cache

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// check returns the stored manifests that the request deletes, or the reason why it deletes nothing.
func (tx *sweepTx) check(c *mirror.DeleteRequest) (stored map[digest.Digest]manifestRecord, kept string, err error) {
	for _, tag := range c.Tags {
		if kept, err := tx.tagKept(c.Repo, tag); kept != "" || err != nil {
			return nil, kept, err
		}
	}
	stored = make(map[digest.Digest]manifestRecord, len(c.Manifests))
	for _, m := range c.Manifests {
		record, found, err := getRecord[manifestRecord](tx, tableManifests, content{c.Repo, m.Digest}.key())
		if err != nil {
			return nil, "", err
		}
		if found {
			stored[m.Digest] = record
		}
	}
	for _, m := range c.Manifests {
		record, found := stored[m.Digest]
		if !found {
			continue
		}
		kept, err := tx.manifestKept(content{c.Repo, m.Digest}, record, m.Used)
		if kept == "" && err == nil {
			kept = tx.neededBy(content{c.Repo, m.Digest}, c.Tags, stored)
		}
		if kept == "" && err == nil && !c.Referrers {
			kept = tx.subjectKept(content{c.Repo, m.Digest}, record, stored)
		}
		if kept != "" || err != nil {
			return nil, kept, err
		}
	}
	return stored, "", nil
}

// tagKept returns the reason why a tag is kept; "" if it can be deleted.
func (tx *sweepTx) tagKept(repo mirror.Repo, tag mirror.ObservedTag) (kept string, err error) {
	record, found, err := getRecord[tagRecord](tx, tableTags, tagName{repo, tag.Name}.key())
	switch {
	case err != nil || !found:
		return "", err
	case record.Digest != tag.Digest:
		return fmt.Sprintf("tag %s points at %s now", tag.Name, record.Digest), nil
	case pinned(tx, mirror.Ref{Repo: repo, Tag: tag.Name}):
		return fmt.Sprintf("tag %s is pinned", tag.Name), nil
	}
	return "", nil
}

// manifestKept returns the reason why a manifest is kept for its own sake; "" if it can be deleted.
func (tx *sweepTx) manifestKept(c content, record manifestRecord, used time.Time) (kept string, err error) {
	// The mark comes first: a use that is recorded after the mark waits for this transaction.
	if !tx.store.fence.mark(c.digest) {
		return fmt.Sprintf("manifest %s is protected", c.digest), nil
	}
	if pinned(tx, mirror.Ref{Repo: c.repo, Digest: c.digest}) {
		return fmt.Sprintf("manifest %s is pinned", c.digest), nil
	}
	last, _, err := getRecord[recencyRecord](tx, tableRecency, c.key())
	if err != nil {
		return "", err
	}
	root, err := rootSince(tx, c)
	if root.After(used) {
		return fmt.Sprintf("manifest %s was added by its digest since", c.digest), err
	}
	if latest(record.Added, last.Used, tx.store.recency.pendingUse(c)).After(used) {
		return fmt.Sprintf("manifest %s was used since", c.digest), err
	}
	return "", err
}

// neededBy returns what needs a manifest and is not part of the request; "" if nothing does.
func (tx *sweepTx) neededBy(c content, tags []mirror.ObservedTag, stored map[digest.Digest]manifestRecord) (kept string) {
	for k := range tx.Scan(tableTagged, prefix(c.repo.String(), c.digest.String()), "") {
		if tag := lastPart(k); !requestsTag(tags, tag, c.digest) {
			return fmt.Sprintf("tag %s points at manifest %s", tag, c.digest)
		}
	}
	for k := range tx.Scan(tableParents, prefix(c.digest.String(), c.repo.String()), "") {
		index := digest.Digest(lastPart(k))
		if _, requests := stored[index]; !requests {
			return fmt.Sprintf("index %s needs manifest %s", index, c.digest)
		}
	}
	return ""
}

// subjectKept returns the reason why a referrer is kept because its subject is; "" if it can be deleted.
func (tx *sweepTx) subjectKept(c content, record manifestRecord, stored map[digest.Digest]manifestRecord) (kept string) {
	if _, requests := stored[record.Subject]; record.Subject == "" || requests || !has(tx, tableManifests, content{c.repo, record.Subject}.key()) {
		return ""
	}
	return fmt.Sprintf("manifest %s refers to %s, which is kept", c.digest, record.Subject)
}

func requestsTag(tags []mirror.ObservedTag, name string, d digest.Digest) bool {
	for _, tag := range tags {
		if tag.Name == name && tag.Digest == d {
			return true
		}
	}
	return false
}

// deleteUnused deletes the entry and the links of a blob, unless a manifest uses it, it was used recently, or it is
// protected.
func (tx *sweepTx) deleteUnused(d digest.Digest, before time.Time, outcome *sweepOutcome) error {
	record, stored, err := getRecord[blobRecord](tx, tableBlobs, d.String())
	if err != nil || !stored || hasAny(tx, tableUses, prefix(d.String())) || !tx.store.fence.mark(d) {
		return err
	}
	last := record.Added
	var links []mirror.Repo
	for k, value := range tx.Scan(tableLinks, prefix(d.String()), "") {
		link, err := scanLink(k, value)
		if err != nil {
			return err
		}
		repo, err := mirror.ParseRepo(lastPart(k))
		if err != nil {
			return err
		}
		last = latest(last, link.Added, link.Used, tx.store.recency.pendingUse(content{repo, d}))
		links = append(links, repo)
	}
	if !last.Before(before) {
		return nil
	}
	for _, repo := range links {
		if err := unlink(tx, repo, d); err != nil {
			return err
		}
	}
	if err := tx.Delete(tableBlobs, d.String()); err != nil {
		return err
	}
	if named := tx.store.named; named != nil {
		size, removed, err := named.Remove(tx, d, before)
		if removed {
			outcome.deleted = append(outcome.deleted, sweptFile{digest: d, size: size})
		}
		return err
	}
	outcome.removed = append(outcome.removed, d)
	if !tx.deleting[d] {
		tx.deleting[d] = true
		tx.store.locks.setDeleting(d, true)
	}
	return nil
}

// Protect implements [mirror.CollectStore].
func (s *Store) Protect(digests ...digest.Digest) (release func()) {
	return s.fence.protect(digests)
}
