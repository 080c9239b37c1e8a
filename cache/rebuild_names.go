package cache

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// backup takes over what a copy of the index says, as far as there are files for it.
func (r *rebuild) backup() error {
	if r.sources.Backup == nil {
		return nil
	}
	everything := func(ReadTx, string) bool { return true }
	for _, part := range []func() error{
		func() error { return r.copy(tableRepos, everything) },
		func() error {
			return r.copy(tableLinks, func(tx ReadTx, k string) bool { return has(tx, tableBlobs, parts(k)[0]) })
		},
		func() error { return r.each(tableManifests, r.backedUpManifest) },
		func() error { return r.each(tableTags, r.backedUpTag) },
		func() error { return r.each(tableRoots, r.backedUpRoot) },
		func() error {
			return r.copy(tableRecency, func(tx ReadTx, k string) bool { return wrongRecency(tx, k, nil) == "" })
		},
		func() error { return r.copy(tableNotes, everything) },
	} {
		if err := part(); err != nil {
			return err
		}
		if err := r.flush(); err != nil {
			return err
		}
	}
	return nil
}

// each calls f with every entry of a table of the backup, after the transaction in which it was read.
func (r *rebuild) each(t Table, f func(k string, value []byte) error) error {
	for after := ""; ; {
		var keys []string
		var values [][]byte
		err := r.sources.Backup.View(r.ctx, func(tx ReadTx) error {
			for k, value := range tx.Scan(t, "", after) {
				keys, values = append(keys, k), append(values, bytes.Clone(value))
				if len(keys) == rebuildBatch {
					break
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read table %s of the backup: %w", t, err)
		}
		for i, k := range keys {
			after = k
			if err := f(k, values[i]); err != nil {
				return err
			}
		}
		if len(keys) < rebuildBatch {
			return nil
		}
	}
}

// copy takes over the entries of a table that are wanted and not there.
func (r *rebuild) copy(t Table, wanted func(tx ReadTx, k string) bool) error {
	return r.each(t, func(k string, value []byte) error {
		return r.add(step{do: func(tx WriteTx) error {
			if has(tx, t, k) || !wanted(tx, k) {
				return nil
			}
			return tx.Put(t, k, value)
		}})
	})
}

func (r *rebuild) backedUpManifest(k string, value []byte) error {
	record, err := decode[manifestRecord](tableManifests, k, value)
	if err != nil || malformed(k, 2) != "" {
		return nil // the backup is what it is
	}
	repo, err := mirror.ParseRepo(parts(k)[0])
	if err != nil {
		return nil
	}
	return r.manifest(content{repo, digest.Digest(parts(k)[1])}, record.MediaType, record.Origin, record.Added, nil)
}

func (r *rebuild) backedUpTag(k string, value []byte) error {
	record, err := decode[tagRecord](tableTags, k, value)
	if err != nil || malformed(k, 2) != "" {
		return nil
	}
	repo, err := mirror.ParseRepo(parts(k)[0])
	if err != nil {
		return nil
	}
	return r.tag(tagName{repo, parts(k)[1]}, record)
}

// manifest records a manifest in a repository, if its file is there and it has what it needs. put is called if so.
func (r *rebuild) manifest(c content, mediaType string, origin mirror.Origin, added time.Time, put func()) error {
	ref := mirror.Ref{Repo: c.repo, Digest: c.digest}.String()
	data, err := r.read(c.digest)
	switch {
	case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
		r.event(RebuildGone, ref, c.digest, "its manifest is not there")
		return nil
	case err != nil:
		return err
	}
	if strength(origin) == 0 {
		origin = mirror.Pushed
	}
	p, err := newPutting(c.repo, mirror.Manifest{MediaType: mediaType, Digest: c.digest, Bytes: data, Origin: origin}, nil)
	if err != nil {
		r.event(RebuildGone, ref, c.digest, fmt.Sprintf("it is no manifest: %v", err))
		return nil
	}
	p.record.Added = added
	if origin == mirror.Mirrored {
		p.grant = grantAgain
	}
	var lacks string
	var known bool
	return r.add(step{
		do: func(tx WriteTx) (err error) {
			known = has(tx, tableManifests, c.key())
			if lacks, err = p.lacks(tx); lacks != "" || known || err != nil {
				return err
			}
			return p.rebuild(tx)
		},
		after: func() {
			if lacks != "" {
				r.tried[c] = true
				r.event(RebuildPartial, ref, c.digest, lacks)
				return
			}
			if !known {
				r.summary.Manifests++
			}
			if put != nil {
				put()
			}
		},
	})
}

// lacks says what an image that did not come from an upstream lacks, wherever it is held.
func (p *putting) lacks(tx ReadTx) (string, error) {
	if p.record.Origin == mirror.Mirrored {
		return "", nil
	}
	count, first := 0, ""
	for _, blob := range p.blobs {
		held, found, err := get[blobRecord](tx, tableBlobs, blob.Digest.String())
		if err != nil {
			return "", err
		}
		if !found || held.Size != blob.Size {
			if count++; count == 1 {
				first = blob.Digest.String()
			}
		}
	}
	switch count {
	case 0:
		return "", nil
	case 1:
		return fmt.Sprintf("it was %s and lacks blob %s", p.record.Origin, first), nil
	}
	return fmt.Sprintf("it was %s and lacks %d blobs, the first of them %s", p.record.Origin, count, first), nil
}

// rebuild writes the manifest and, if need be, its repository.
func (p *putting) rebuild(tx WriteTx) error {
	if err := p.writeNew(tx); err != nil || has(tx, tableRepos, p.repo.String()) {
		return err
	}
	return put(tx, tableRepos, p.repo.String(), repoRecord{Origin: p.record.Origin, Created: p.record.Added})
}

// grantAgain lets repo read d, as there may be no upstream left to ask about each blob. But what the backup has as announced
// while it lets another repository read it may be that one's own, and stays so; and of what is not held nothing is lost by
// asking when it comes.
func grantAgain(tx WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error {
	if !has(tx, tableBlobs, d.String()) || has(tx, tableLinks, linkKey(repo, d)) && readBySomebody(tx, d) {
		return announce(tx, repo, d, at)
	}
	return link(tx, repo, d, at)
}

// readBySomebody reports whether a repository may read d. Links that cannot be read are none.
func readBySomebody(tx ReadTx, d digest.Digest) bool {
	for k, value := range tx.Scan(tableLinks, prefix(d.String()), "") {
		if link, err := scanLink(k, value); err == nil && !link.Announced {
			return true
		}
	}
	return false
}

// read reads the file of a manifest, which was verified before.
func (r *rebuild) read(d digest.Digest) ([]byte, error) {
	blob, err := r.blobs.Open(r.ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(io.LimitReader(blob, mirror.MaxManifestSize+1))
}

// tag points a tag at a manifest that is there, unless it points elsewhere.
func (r *rebuild) tag(name tagName, record tagRecord) error {
	var there, held bool
	var old tagRecord
	return r.add(step{
		do: func(tx WriteTx) (err error) {
			there = has(tx, tableManifests, content{name.repo, record.Digest}.key())
			held = has(tx, tableBlobs, record.Digest.String())
			if old, _, err = get[tagRecord](tx, tableTags, name.key()); err != nil || !there || old.Digest != "" {
				return err
			}
			p := &putting{content: content{name.repo, record.Digest}, record: manifestRecord{Origin: record.Origin}, at: record.Updated}
			if err := p.writeTag(tx, name); err != nil {
				return err
			}
			return put(tx, tableTags, name.key(), record)
		},
		after: func() {
			switch {
			case held && !there:
				r.event(RebuildGone, name.String(), record.Digest, "its image is not whole")
			case !there:
				r.event(RebuildGone, name.String(), record.Digest, "its manifest is not there")
			case old.Digest == "":
				r.summary.Tags++
			case old.Digest != record.Digest:
				r.event(RebuildKept, name.String(), record.Digest, fmt.Sprintf("the tag points at %s", old.Digest))
			}
		},
	})
}
