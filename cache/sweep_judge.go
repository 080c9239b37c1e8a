package cache

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// judge returns the manifests that go, or why nothing does.
func (tx *sweepTx) judge(c *mirror.DeleteRequest) (held map[digest.Digest]manifestRecord, kept string, err error) {
	for _, tag := range c.Tags {
		if kept, err := tx.keepsTag(c.Repo, tag); kept != "" || err != nil {
			return nil, kept, err
		}
	}
	held = make(map[digest.Digest]manifestRecord, len(c.Manifests))
	for _, m := range c.Manifests {
		record, found, err := get[manifestRecord](tx, tableManifests, content{c.Repo, m.Digest}.key())
		if err != nil {
			return nil, "", err
		}
		if found {
			held[m.Digest] = record
		}
	}
	for _, m := range c.Manifests {
		record, found := held[m.Digest]
		if !found {
			continue
		}
		kept, err := tx.keepsManifest(content{c.Repo, m.Digest}, record, m.Used)
		if kept == "" && err == nil {
			kept = tx.needed(content{c.Repo, m.Digest}, c.Tags, held)
		}
		if kept == "" && err == nil && !c.Referrers {
			kept = tx.refers(content{c.Repo, m.Digest}, record, held)
		}
		if kept != "" || err != nil {
			return nil, kept, err
		}
	}
	return held, "", nil
}

// keepsTag says why a tag stays, if it does.
func (tx *sweepTx) keepsTag(repo mirror.Repo, tag mirror.ObservedTag) (kept string, err error) {
	record, found, err := get[tagRecord](tx, tableTags, tagName{repo, tag.Name}.key())
	switch {
	case err != nil || !found:
		return "", err
	case record.Digest != tag.Digest:
		return fmt.Sprintf("tag %s points at %s by now", tag.Name, record.Digest), nil
	case pinned(tx, mirror.Ref{Repo: repo, Tag: tag.Name}):
		return fmt.Sprintf("tag %s is pinned", tag.Name), nil
	}
	return "", nil
}

// keepsManifest says why a manifest stays for its own sake, if it does.
func (tx *sweepTx) keepsManifest(c content, record manifestRecord, used time.Time) (kept string, err error) {
	// Doomed first: a use that is noted after this is one that waits for the transaction.
	if !tx.store.doomed.doom(c.digest) {
		return fmt.Sprintf("manifest %s is protected", c.digest), nil
	}
	if pinned(tx, mirror.Ref{Repo: c.repo, Digest: c.digest}) {
		return fmt.Sprintf("manifest %s is pinned", c.digest), nil
	}
	last, _, err := get[recencyRecord](tx, tableRecency, c.key())
	if err != nil {
		return "", err
	}
	root, err := rootSince(tx, c)
	if root.After(used) {
		return fmt.Sprintf("manifest %s was brought in by its digest since", c.digest), err
	}
	if later(record.Added, last.Used, tx.store.recency.last(c)).After(used) {
		return fmt.Sprintf("manifest %s was used since", c.digest), err
	}
	return "", err
}

// needed says what needs a manifest that is not condemned with it, if something does.
func (tx *sweepTx) needed(c content, tags []mirror.ObservedTag, held map[digest.Digest]manifestRecord) (kept string) {
	for k := range tx.Scan(tableTagged, prefix(c.repo.String(), c.digest.String()), "") {
		if tag := lastPart(k); !condemnedTag(tags, tag, c.digest) {
			return fmt.Sprintf("tag %s points at manifest %s", tag, c.digest)
		}
	}
	for k := range tx.Scan(tableParents, prefix(c.digest.String(), c.repo.String()), "") {
		index := digest.Digest(lastPart(k))
		if _, condemned := held[index]; !condemned {
			return fmt.Sprintf("index %s needs manifest %s", index, c.digest)
		}
	}
	return ""
}

// refers says which subject that stays a manifest refers to, if it does.
func (tx *sweepTx) refers(c content, record manifestRecord, held map[digest.Digest]manifestRecord) (kept string) {
	if _, condemned := held[record.Subject]; record.Subject == "" || condemned || !has(tx, tableManifests, content{c.repo, record.Subject}.key()) {
		return ""
	}
	return fmt.Sprintf("manifest %s refers to %s, which stays", c.digest, record.Subject)
}

func condemnedTag(tags []mirror.ObservedTag, name string, d digest.Digest) bool {
	for _, tag := range tags {
		if tag.Name == name && tag.Digest == d {
			return true
		}
	}
	return false
}

// unused takes a blob that no manifest uses from the index, with its links, unless it is fresh or protected.
func (tx *sweepTx) unused(d digest.Digest, before time.Time, outcome *sweepOutcome) error {
	record, held, err := get[blobRecord](tx, tableBlobs, d.String())
	if err != nil || !held || hasAny(tx, tableUses, prefix(d.String())) || !tx.store.doomed.doom(d) {
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
		last = later(last, link.Added, link.Used, tx.store.recency.last(content{repo, d}))
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
	outcome.gone = append(outcome.gone, d)
	tx.leaving[d] = true
	tx.store.guards.leave(d, true)
	return nil
}

// Protect implements [mirror.CollectStore].
func (s *Store) Protect(digests ...digest.Digest) (release func()) {
	return s.doomed.protect(digests)
}
