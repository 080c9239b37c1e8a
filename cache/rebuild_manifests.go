package cache

import (
	"fmt"
	"time"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// manifest records a manifest in a repository, if its file is there and it has what it needs; origin is "" if that is not
// known. put is called if so.
func (r *rebuild) addManifest(c content, mediaType string, origin mirror.Origin, added time.Time, put func()) error {
	ref := mirror.Ref{Repo: c.repo, Digest: c.digest}.String()
	data, err := readManifestBlob(r.ctx, r.blobs, c.digest)
	switch {
	case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
		r.event(RebuildMissing, ref, c.digest, "its manifest is not there")
		return nil
	case err != nil:
		return err
	}
	trusted := origin != mirror.Mirrored && originRank(origin) > 0
	if originRank(origin) == 0 {
		origin = mirror.Pushed
	}
	p, err := newManifestWrite(c.repo, mirror.Manifest{MediaType: mediaType, Digest: c.digest, Bytes: data, Origin: origin}, r.now(), nil)
	if err != nil {
		r.event(RebuildMissing, ref, c.digest, fmt.Sprintf("it is no manifest: %v", err))
		return nil
	}
	if !added.IsZero() {
		p.record.Added, p.at = added, added
	}
	if !trusted {
		p.grant = r.restoreAccess
	}
	var lacks string
	var known bool
	return r.add(step{
		do: func(tx backend.WriteTx) (err error) {
			known = has(tx, tableManifests, c.key())
			if lacks, err = p.missingReason(tx); lacks != "" || known || err != nil {
				return err
			}
			return p.writeRebuilt(tx)
		},
		after: func() {
			if lacks != "" {
				r.tried[c] = true
				r.event(RebuildIncomplete, ref, c.digest, lacks)
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
func (p *manifestWrite) missingReason(tx backend.ReadTx) (string, error) {
	if p.record.Origin == mirror.Mirrored {
		return "", nil
	}
	count, first := 0, ""
	for _, blob := range p.blobs {
		stored, found, err := getRecord[blobRecord](tx, tableBlobs, blob.Digest.String())
		if err != nil {
			return "", err
		}
		if !found || stored.Size != blob.Size {
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
func (p *manifestWrite) writeRebuilt(tx backend.WriteTx) error {
	if err := p.writeNew(tx); err != nil {
		return err
	}
	return createRepo(tx, p.repo, p.record.Origin, p.record.Added)
}

// tag points a tag at a manifest that is there, unless it points elsewhere.
func (r *rebuild) addTag(name tagName, record tagRecord) error {
	var there, stored bool
	var old tagRecord
	return r.add(step{
		do: func(tx backend.WriteTx) (err error) {
			there = has(tx, tableManifests, content{name.repo, record.Digest}.key())
			stored = has(tx, tableBlobs, record.Digest.String())
			if old, _, err = getRecord[tagRecord](tx, tableTags, name.key()); err != nil || !there || old.Digest != "" {
				return err
			}
			p := &manifestWrite{content: content{name.repo, record.Digest}, record: manifestRecord{Origin: record.Origin}, at: record.Updated}
			if err := p.writeTag(tx, name); err != nil {
				return err
			}
			return putRecord(tx, tableTags, name.key(), record)
		},
		after: func() {
			switch {
			case stored && !there:
				r.event(RebuildMissing, name.String(), record.Digest, "its image is not whole")
			case !there:
				r.event(RebuildMissing, name.String(), record.Digest, "its manifest is not there")
			case old.Digest == "":
				r.summary.Tags++
			case old.Digest != record.Digest:
				r.event(RebuildConflict, name.String(), record.Digest, fmt.Sprintf("the tag points at %s", old.Digest))
			}
		},
	})
}
