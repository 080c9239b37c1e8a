package cache

import (
	"fmt"
	"time"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// addManifest adds a manifest to a repository if its file is stored and it has all blobs that it needs. origin is "" if
// it is unknown. put is called when the manifest is durable; it may be nil.
func (r *rebuild) addManifest(c content, mediaType string, origin mirror.Origin, added time.Time, put func()) error {
	ref := mirror.Ref{Repo: c.repo, Digest: c.digest}.String()
	data, err := readManifestBlob(r.ctx, r.blobs, c.digest)
	switch {
	case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
		r.event(RebuildMissing, ref, c.digest, "its manifest is not stored")
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
		r.event(RebuildMissing, ref, c.digest, fmt.Sprintf("it is not a manifest: %v", err))
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

// missingReason returns which blobs a manifest needs and lacks; "" if none, or if it is mirrored.
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

// writeRebuilt writes the manifest, and its repository if that is new.
func (p *manifestWrite) writeRebuilt(tx backend.WriteTx) error {
	if err := p.writeNew(tx); err != nil {
		return err
	}
	return createRepo(tx, p.repo, p.record.Origin, p.record.Added)
}

// addTag adds a tag if its manifest is stored and the tag does not exist.
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
				r.event(RebuildMissing, name.String(), record.Digest, "its image is incomplete")
			case !there:
				r.event(RebuildMissing, name.String(), record.Digest, "its manifest is not stored")
			case old.Digest == "":
				r.summary.Tags++
			case old.Digest != record.Digest:
				r.event(RebuildConflict, name.String(), record.Digest, fmt.Sprintf("the tag points at %s", old.Digest))
			}
		},
	})
}
