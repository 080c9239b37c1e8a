package cache

import (
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// manifest records a manifest in a repository, if its file is there and it has what it needs; origin is "" if that is not
// known. put is called if so.
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
	trusted := origin != mirror.Mirrored && strength(origin) > 0
	if strength(origin) == 0 {
		origin = mirror.Pushed
	}
	p, err := newPutting(c.repo, mirror.Manifest{MediaType: mediaType, Digest: c.digest, Bytes: data, Origin: origin}, r.now(), nil)
	if err != nil {
		r.event(RebuildGone, ref, c.digest, fmt.Sprintf("it is no manifest: %v", err))
		return nil
	}
	if !added.IsZero() {
		p.record.Added, p.at = added, added
	}
	if !trusted {
		p.grant = r.grantAgain
	}
	var lacks string
	var known bool
	return r.add(step{
		do: func(tx backend.WriteTx) (err error) {
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
func (p *putting) lacks(tx backend.ReadTx) (string, error) {
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
func (p *putting) rebuild(tx backend.WriteTx) error {
	if err := p.writeNew(tx); err != nil || has(tx, tableRepos, p.repo.String()) {
		return err
	}
	return put(tx, tableRepos, p.repo.String(), repoRecord{Origin: p.record.Origin, Created: p.record.Added})
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
		do: func(tx backend.WriteTx) (err error) {
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
