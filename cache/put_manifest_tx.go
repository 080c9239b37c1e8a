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

// maxMissing is the maximum number of missing blobs in an error. There can be very many, and a client pushes all of
// them anyway.
const maxMissing = 100

// check returns an error if a manifest that was not mirrored lacks blobs or states wrong sizes: clients could not pull
// it.
func (p *manifestWrite) check(tx backend.ReadTx) error {
	var missing missingBlobs
	if err := p.findMissing(tx, &missing); err != nil {
		return err
	}
	return missing.err("manifest %s needs %d blobs that %s does not have: push them first", p.digest, len(missing.all), p.repo)
}

// missingBlobs are all missing blobs, and the first of them in the order in which they were found.
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

// err returns nil if no blob is missing.
func (l *missingBlobs) err(format string, args ...any) error {
	if len(l.all) == 0 {
		return nil
	}
	err := mirror.Errorf(mirror.CodeManifestBlobUnknown, format, args...)
	err.Detail = l.first
	return err
}

// findMissing adds the blobs that the manifest needs and that are missing.
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

// write checks and writes the manifest in a transaction.
func (p *manifestWrite) write(tx backend.WriteTx, alone bool) error {
	p.alone = alone
	tx.Prefetch(p.keys())
	if err := p.check(tx); err != nil {
		return err
	}
	return p.writeChecked(tx)
}

// writeChecked writes a manifest that was checked. It also writes the entry of the manifest's file, because a known
// manifest may have lost its file before.
func (p *manifestWrite) writeChecked(tx backend.WriteTx) error {
	if !fileStored(tx, p.named, p.digest) {
		return errFileDeleted
	}
	if err := p.writeRecord(tx); err != nil {
		return err
	}
	if err := recordBlob(tx, p.digest, blobRecord{Size: p.record.Size, Added: p.at}); err != nil {
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
	return insertRecord(tx, tableRepos, repo.String(), repoRecord{Origin: origin, Created: at})
}

// writeRecord writes a new manifest, or raises the origin of a stored one.
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
		if err := p.onExisting(tx, p.content); err != nil {
			return err
		}
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

// linkBlobs links or announces the blobs that the manifest needs, and announces what it owns; see [manifestWrite].
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

// linkExtra links the stored blobs that came with the manifest.
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

// retype handles a manifest that is stored with another media type. Another type may name fewer digests and release
// content that the stored manifest needs. So only an unknown type is replaced by a known one, if the origin ranks at
// least as high. Another type from an upstream is ignored, so that its tags still move.
func (p *manifestWrite) retype(tx backend.WriteTx, old manifestRecord) error {
	better := mirror.KnownManifestType(p.record.MediaType) && !mirror.KnownManifestType(old.MediaType)
	switch {
	case better && originRank(p.record.Origin) >= originRank(old.Origin):
		if !p.alone { // it deletes what the other type named, which is not among the locks
			return errNotAlone
		}
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
	return mirror.Errorf(mirror.CodeManifestInvalid, "manifest %s is stored in %s as %q, not as %q: delete it first",
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

// writeTag points a tag at the manifest. A mirrored manifest does not move a pushed tag.
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

// moveTag replaces the record of a tag; old is the zero value for a new tag. If the tag points at the same manifest as
// before, it keeps its times and the origin that ranks higher.
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

// originRank orders origins by how hard it is to get the content again; the higher one is kept. It is 0 for an invalid
// origin.
func originRank(o mirror.Origin) int {
	return slices.Index([]mirror.Origin{mirror.Mirrored, mirror.Imported, mirror.Pushed}, o) + 1
}

func referrerKey(c content, subject digest.Digest) string {
	return key(c.repo.String(), subject.String(), c.digest.String())
}
