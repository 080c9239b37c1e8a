package cache

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// maxMissing is how many missing blobs an error names: there can be very many, and a client pushes them all anyway.
const maxMissing = 100

// check refuses an image that did not come from an upstream and lacks blobs, or is wrong about their sizes: clients that
// believe it could not read them.
func (p *manifestWrite) check(tx backend.ReadTx) error {
	var missing missingBlobs
	if err := p.findMissing(tx, &missing); err != nil {
		return err
	}
	return missing.err("manifest %s needs %d blobs that %s does not have: push them first", p.digest, len(missing.all), p.repo)
}

// lack is what blobs are missing: all of them, and the first in the order in which they were missed.
type missingBlobs struct {
	all   map[digest.Digest]bool
	first []digest.Digest
}

func (l *missingBlobs) add(d digest.Digest) {
	if l.all == nil {
		l.all = make(map[digest.Digest]bool)
	}
	if !l.all[d] && len(l.first) < maxMissing {
		l.first = append(l.first, d)
	}
	l.all[d] = true
}

// err returns nil if nothing is missing.
func (l *missingBlobs) err(format string, args ...any) error {
	if len(l.all) == 0 {
		return nil
	}
	err := mirror.Errorf(mirror.CodeManifestBlobUnknown, format, args...)
	err.Detail = l.first
	return err
}

// findMissing adds what the manifest must have and lacks.
func (p *manifestWrite) findMissing(tx backend.ReadTx, missing *missingBlobs) error {
	if p.record.Origin == mirror.Mirrored {
		return nil
	}
	for _, blob := range p.blobs {
		stored, found, err := getRecord[blobRecord](tx, tableBlobs, blob.Digest.String())
		if err != nil {
			return err
		}
		if !found || !p.anyRepo && !linked(tx, p.repo, blob.Digest) {
			missing.add(blob.Digest)
			continue
		}
		if stored.Size != blob.Size {
			return errSize(blob, stored.Size)
		}
	}
	return nil
}

func errSize(blob v1.Descriptor, actual int64) *mirror.Error {
	return mirror.Errorf(mirror.CodeManifestInvalid, "manifest says that blob %s has %d bytes, it has %d", blob.Digest, blob.Size, actual)
}

// write is the transaction.
func (p *manifestWrite) write(tx backend.WriteTx) error {
	if err := p.check(tx); err != nil {
		return err
	}
	return p.writeChecked(tx)
}

// store writes what was checked. A manifest that is known may have lost its file, and with it the entry of that, until
// now.
func (p *manifestWrite) writeChecked(tx backend.WriteTx) error {
	if err := p.writeRecord(tx); err != nil {
		return err
	}
	if err := recordBlob(tx, p.digest, p.record.Size, p.at); err != nil {
		return err
	}
	for _, name := range p.tags {
		if err := p.writeTag(tx, name); err != nil {
			return err
		}
	}
	return createRepo(tx, p.repo, p.repoOrigin, p.at)
}

// createRepo creates a repository unless it exists.
func createRepo(tx backend.WriteTx, repo mirror.Repo, origin mirror.Origin, at time.Time) error {
	if has(tx, tableRepos, repo.String()) {
		return nil
	}
	return putRecord(tx, tableRepos, repo.String(), repoRecord{Origin: origin, Created: at})
}

// writeRecord writes the manifest, or raises the origin of the one that is there.
func (p *manifestWrite) writeRecord(tx backend.WriteTx) error {
	old, found, err := getRecord[manifestRecord](tx, tableManifests, p.key())
	if err != nil {
		return err
	}
	stronger := originRank(p.record.Origin) > originRank(old.Origin)
	if !found {
		return p.writeNew(tx)
	}
	if p.onExisting != nil {
		p.onExisting()
	}
	if err := p.linkExtra(tx); err != nil {
		return err
	}
	switch {
	case !strings.EqualFold(old.MediaType, p.record.MediaType):
		return p.retype(tx, old)
	case stronger:
		old.Origin = p.record.Origin
		if err := p.linkBlobs(tx); err != nil {
			return err
		}
		return putRecord(tx, tableManifests, p.key(), old)
	}
	return nil
}

// linkBlobs lets the repository read what the manifest needs, or announces it, and announces what else the manifest owns:
// see [putting].
func (p *manifestWrite) linkBlobs(tx backend.WriteTx) error {
	for _, blob := range p.blobs {
		if err := p.grant(tx, p.repo, blob.Digest, p.at); err != nil {
			return err
		}
	}
	for _, d := range p.record.Owned {
		if err := announce(tx, p.repo, d, p.at); err != nil {
			return err
		}
	}
	return nil
}

// linkExtra lets the repository read what came with the manifest.
func (p *manifestWrite) linkExtra(tx backend.WriteTx) error {
	for _, d := range p.extra {
		if !has(tx, tableBlobs, d.String()) {
			continue
		}
		if err := link(tx, p.repo, d, p.at); err != nil {
			return err
		}
	}
	return nil
}

// retype decides about the same bytes under another media type. That may point at less, and so let go of what the held
// manifest needs: only one that nobody understood becomes one that is understood, if the word for it is as good. An
// upstream's other word is ignored, so that its tags still move.
func (p *manifestWrite) retype(tx backend.WriteTx, old manifestRecord) error {
	better := mirror.KnownManifestType(p.record.MediaType) && !mirror.KnownManifestType(old.MediaType)
	switch {
	case better && originRank(p.record.Origin) >= originRank(old.Origin):
		since, err := rootSince(tx, p.content)
		if err == nil {
			err = removeManifest(tx, p.content, old)
		}
		if err == nil && !since.IsZero() {
			err = addRoot(tx, p.content, since)
		}
		if err != nil {
			return err
		}
		return p.writeNew(tx)
	case p.record.Origin == mirror.Mirrored:
		return nil
	}
	return mirror.Errorf(mirror.CodeManifestInvalid, "manifest %s is held in %s as %q, not as %q: delete it first",
		p.digest, p.repo, old.MediaType, p.record.MediaType)
}

func (p *manifestWrite) writeNew(tx backend.WriteTx) error {
	if err := putRecord(tx, tableUses, useKey(p.digest, p.repo, p.digest), useRecord{Size: p.record.Size}); err != nil {
		return err
	}
	if err := errors.Join(p.linkBlobs(tx), p.linkExtra(tx)); err != nil {
		return err
	}
	for _, blob := range p.blobs {
		if err := putRecord(tx, tableUses, useKey(blob.Digest, p.repo, p.digest), useRecord{Size: blob.Size}); err != nil {
			return err
		}
	}
	for _, desc := range slices.Concat(p.owned, p.children) {
		if err := putRecord(tx, tableUses, useKey(desc.Digest, p.repo, p.digest), useRecord{Size: desc.Size, Owned: true}); err != nil {
			return err
		}
		if err := tx.Put(tableParents, parentKey(desc.Digest, p.content), emptyValue); err != nil {
			return err
		}
	}
	if p.record.Subject != "" {
		if err := putRecord(tx, tableReferrers, referrerKey(p.content, p.record.Subject), p.referrer); err != nil {
			return err
		}
	}
	return putRecord(tx, tableManifests, p.key(), p.record)
}

// writeTag points a tag at the manifest. A client's tag is not an upstream's to move.
func (p *manifestWrite) writeTag(tx backend.WriteTx, name tagName) error {
	old, found, err := getRecord[tagRecord](tx, tableTags, name.key())
	if err != nil {
		return err
	}
	if found && old.Origin == mirror.Pushed && p.record.Origin == mirror.Mirrored {
		return nil
	}
	record := tagRecord{Digest: p.digest, Origin: p.record.Origin, Updated: p.at}
	if p.record.Origin == mirror.Mirrored {
		record.Checked = p.at
	}
	return moveTag(tx, name, old, record)
}

// moveTag writes record in the place of old, the zero value for a new tag. One that does not move keeps when it was
// made, when it was last confirmed, and the stronger origin.
func moveTag(tx backend.WriteTx, name tagName, old, record tagRecord) error {
	if old.Digest == record.Digest {
		record.Updated = old.Updated
		if record.Checked.IsZero() {
			record.Checked = old.Checked
		}
		if originRank(old.Origin) > originRank(record.Origin) {
			record.Origin = old.Origin
		}
	}
	if record == old {
		return nil
	}
	return setTag(tx, name, old.Digest, record)
}

// strength orders origins by how hard it is to get the content again: the stronger one is kept. It is 0 for what is not
// an origin.
func originRank(o mirror.Origin) int {
	return slices.Index([]mirror.Origin{mirror.Mirrored, mirror.Imported, mirror.Pushed}, o) + 1
}

func referrerKey(c content, subject digest.Digest) string {
	return key(c.repo.String(), subject.String(), c.digest.String())
}
