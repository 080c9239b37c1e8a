package cache

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

func errBlobUnknown(repo mirror.Repo, d digest.Digest) *mirror.Error {
	return mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not stored in %s", d, repo)
}

// Blob implements [mirror.BlobStore]. If the blob is in the index and its file is missing or has another size, the
// error wraps a [mirror.DefectError].
func (s *Store) Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error) {
	size, err := s.readableSize(ctx, repo, d)
	if err != nil {
		return mirror.Blob{}, err
	}
	blob, err := s.openStored(ctx, d, blobRecord{Size: size})
	if err != nil {
		if _, err := s.readableSize(ctx, repo, d); err != nil { // the blob was deleted meanwhile
			return mirror.Blob{}, err
		}
		return mirror.Blob{}, explain(err, "open blob %s of %s", d, repo)
	}
	if !mirror.UsageIgnored(ctx) {
		s.recency.touch(content{repo, d}) // after the open: an open file stays readable even if a sweep deletes it now
	}
	return blob, nil
}

// readableSize returns the size of d if repo may read it.
func (s *Store) readableSize(ctx context.Context, repo mirror.Repo, d digest.Digest) (size int64, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		tx.Prefetch(blobKeys(repo, d))
		if !linked(tx, repo, d) {
			return errBlobUnknown(repo, d)
		}
		record, stored, err := getRecord[blobRecord](tx, tableBlobs, d.String())
		if err == nil && !stored {
			return errBlobUnknown(repo, d)
		}
		size = record.Size
		return err
	})
	return size, explain(err, "look up blob %s in %s", d, repo)
}

// openStored opens the file of a blob whose record in the index is record.
func (s *Store) openStored(ctx context.Context, d digest.Digest, record blobRecord) (mirror.Blob, error) {
	blob, err := s.blobs.Open(ctx, d)
	if err == nil && blob.Size == record.Size {
		return s.verifiable(d, blob), nil
	}
	if err == nil {
		blob.Close()
	}
	return mirror.Blob{}, record.defectError(d, blob.Size, err)
}

// defectError returns the error for a file that has size bytes, or that failed to open with err.
func (r blobRecord) defectError(d digest.Digest, size int64, err error) error {
	defect, err := r.compare(d, size, err)
	if err != nil {
		return err
	}
	return newDefectError(mirror.CodeBlobUnknown, "blob "+d.String(), defect)
}

// newDefectError returns an error that wraps a [mirror.DefectError].
func newDefectError(code mirror.Code, what string, defect mirror.Defect) error {
	return &mirror.Error{Code: code, Message: what + ": " + defect.Reason, Cause: &mirror.DefectError{Defect: defect}}
}

// StatBlob implements [mirror.BlobStore].
func (s *Store) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (stat mirror.BlobStat, err error) {
	err = s.recordUse(ctx, content{repo, d}, func() (got found, err error) {
		stat, got.used, err = s.statBlob(ctx, repo, d)
		got.stored = stat.Stored && stat.Linked
		return got, err
	}, (*Store).keepBlob)
	return stat, explain(err, "look up blob %s in %s", d, repo)
}

// statBlob also returns when the link of repo to d was made or last used, if the index is shared.
func (s *Store) statBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (stat mirror.BlobStat, last time.Time, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		tx.Prefetch(func(yield func(backend.Key) bool) {
			for k := range blobKeys(repo, d) {
				if !yield(k) {
					return
				}
			}
			yield(backend.Key{Table: tableUses, Key: prefix(d.String(), repo.String()), Prefix: true})
		})
		blob, stored, err := getRecord[blobRecord](tx, tableBlobs, d.String())
		if err != nil {
			return err
		}
		if s.shared {
			link, _, err := getRecord[linkRecord](tx, tableLinks, linkKey(repo, d))
			if err != nil {
				return err
			}
			last = latest(link.Added, link.Used)
		}
		_, use, used, err := firstUse(tx, repo, d)
		stat = mirror.BlobStat{Stored: stored, Linked: linked(tx, repo, d), Size: blob.Size, Referenced: used, Required: used && !use.Owned}
		if !stored {
			stat.Size = use.Size
		}
		if err == nil && stored && !stat.Linked {
			stat.Confirmable, err = sentByUpstream(tx, repo.Host, d)
		}
		return err
	})
	return stat, last, err
}

// firstUse returns a manifest of repo that names blob d; one that needs d is preferred over one that owns it.
func firstUse(tx backend.ReadTx, repo mirror.Repo, d digest.Digest) (by digest.Digest, use useRecord, found bool, err error) {
	for k, value := range tx.Scan(tableUses, prefix(d.String(), repo.String()), "") {
		manifest := digest.Digest(lastPart(k))
		if manifest == d { // a manifest uses its own file
			continue
		}
		owned := isOwnedUse(value)
		if owned && found {
			continue
		}
		if use, err = decodeRecord[useRecord](tableUses, k, value); err != nil {
			return manifest, use, false, err
		}
		by, found = manifest, true
		if !owned {
			break
		}
	}
	return by, use, found, nil
}

// ReferencedBy implements [mirror.BlobStore].
func (s *Store) ReferencedBy(ctx context.Context, repo mirror.Repo, d digest.Digest) (by []digest.Digest, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		by = nil
		for k, value := range tx.Scan(tableUses, prefix(d.String(), repo.String()), "") {
			manifest := digest.Digest(lastPart(k))
			if manifest == d {
				continue
			}
			if isOwnedUse(value) {
				record, _, err := getRecord[manifestRecord](tx, tableManifests, content{repo, manifest}.key())
				if err != nil || slices.Contains(record.Children, d) {
					continue // an index is valid without its children
				}
			}
			by = append(by, manifest)
		}
		return nil
	})
	return by, explain(err, "look up the manifests that name %s in %s", d, repo)
}

// Users implements [mirror.Catalog].
func (s *Store) Users(ctx context.Context, digests []digest.Digest, most int) (users []int, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		users = make([]int, len(digests))
		for i, d := range digests {
			for k := range tx.Scan(tableUses, prefix(d.String()), "") {
				if users[i] == most {
					break
				}
				if digest.Digest(lastPart(k)) != d { // a manifest uses its own file
					users[i]++
				}
			}
		}
		return ctx.Err()
	})
	return users, explain(err, "count the manifests that name blobs")
}

// Mount implements [mirror.BlobStore].
func (s *Store) Mount(ctx context.Context, repo, from mirror.Repo, d digest.Digest) (size int64, err error) {
	if err := s.checkStored(ctx, d); err != nil {
		return 0, explain(err, "mount blob %s from %s in %s", d, from, repo)
	}
	err = s.index.Update(ctx, blobLocks(repo, d), func(tx backend.WriteTx) error {
		tx.Prefetch(blobKeys(repo, d))
		blob, stored, err := getRecord[blobRecord](tx, tableBlobs, d.String())
		if err != nil {
			return err
		}
		if !stored || !linked(tx, from, d) {
			return errBlobUnknown(from, d)
		}
		size = blob.Size
		return s.linkUsed(tx, repo, d, s.Now())
	})
	return size, explain(err, "mount blob %s from %s in %s", d, from, repo)
}

// Confirm implements [mirror.BlobStore].
func (s *Store) Confirm(ctx context.Context, repo mirror.Repo, d digest.Digest) error {
	err := s.index.Update(ctx, blobLocks(repo, d), func(tx backend.WriteTx) error {
		sent, err := sentByUpstream(tx, repo.Host, d)
		if err != nil {
			return err
		}
		if !sent || !has(tx, tableBlobs, d.String()) {
			return errBlobUnknown(repo, d)
		}
		return s.linkUsed(tx, repo, d, s.Now())
	})
	return explain(err, "confirm blob %s in %s", d, repo)
}

// sentByUpstream reports whether the upstream of host has sent d for one of its repositories.
func sentByUpstream(tx backend.ReadTx, host string, d digest.Digest) (bool, error) {
	for k, value := range tx.Scan(tableLinks, prefix(d.String())+host+"/", "") {
		if record, err := scanLink(k, value); err != nil || record.Sent {
			return err == nil, err
		}
	}
	return false, nil
}

// linked reports whether repo may read d, provided that d is stored. For the zero repository it reports whether d has
// any link.
func linked(tx backend.ReadTx, repo mirror.Repo, d digest.Digest) bool {
	if repo == (mirror.Repo{}) {
		return hasAny(tx, tableLinks, prefix(d.String()))
	}
	k := linkKey(repo, d)
	value := tx.Get(tableLinks, k)
	if value == nil {
		return false
	}
	record, err := scanLink(k, value)
	return err == nil && !record.Announced
}

// Unlink implements [mirror.BlobStore]. The detail of [mirror.CodeUnsupported] is a [UsedBy].
func (s *Store) Unlink(ctx context.Context, repo mirror.Repo, d digest.Digest) error {
	err := s.index.Update(ctx, blobLocks(repo, d), func(tx backend.WriteTx) error {
		if !has(tx, tableLinks, linkKey(repo, d)) {
			return errBlobUnknown(repo, d)
		}
		by, _, used, err := firstUse(tx, repo, d)
		if err != nil {
			return err
		}
		if used {
			unsupported := mirror.Errorf(mirror.CodeUnsupported, "blob %s is needed by manifest %s: delete that first", d, by)
			unsupported.Detail = UsedBy{Manifest: by}
			return unsupported
		}
		return unlink(tx, repo, d)
	})
	return explain(err, "unlink blob %s in %s", d, repo)
}

// UsedBy is the detail of the error for a blob that cannot be unlinked because a manifest names it.
type UsedBy struct {
	Manifest digest.Digest `json:"manifest"`
}

// blobKeys are the keys that tell whether repo may read blobs: their entries and links.
func blobKeys(repo mirror.Repo, digests ...digest.Digest) iter.Seq[backend.Key] {
	return func(yield func(backend.Key) bool) {
		for _, d := range digests {
			if !yield(backend.Key{Table: tableBlobs, Key: d.String()}) {
				return
			}
			if repo != (mirror.Repo{}) && !yield(backend.Key{Table: tableLinks, Key: linkKey(repo, d)}) {
				return
			}
		}
	}
}

// recordBlob adds the entry for the file of d, which is durable.
func recordBlob(tx backend.WriteTx, d digest.Digest, record blobRecord) error {
	return insertRecord(tx, tableBlobs, d.String(), record)
}

// link allows repo to read d.
func link(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error {
	if linked(tx, repo, d) {
		return nil
	}
	return putRecord(tx, tableLinks, linkKey(repo, d), linkRecord{Added: at})
}

// linkSent is linkUsed for a blob that the upstream of repo has sent.
func (s *Store) linkSent(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error {
	record, found, err := getRecord[linkRecord](tx, tableLinks, linkKey(repo, d))
	switch {
	case err != nil:
		return err
	case found && record.Sent:
		return s.linkUsed(tx, repo, d, at)
	case !found || record.Announced:
		record = linkRecord{Added: at}
	case s.shared:
		record.Used = at
	default:
		s.recency.touch(content{repo, d})
	}
	record.Sent = true
	return putRecord(tx, tableLinks, linkKey(repo, d), record)
}

// announce records that a manifest of repo names d. It does not allow repo to read d.
func announce(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error {
	return insertRecord(tx, tableLinks, linkKey(repo, d), linkRecord{Added: at, Announced: true})
}

// linkUsed links d and records a use, even if d was linked before.
func (s *Store) linkUsed(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error {
	if linked(tx, repo, d) {
		return s.useLink(tx, content{repo, d})
	}
	return link(tx, repo, d, at)
}

// unlink deletes the link of d. The caller makes sure that no manifest of repo uses d.
func unlink(tx backend.WriteTx, repo mirror.Repo, d digest.Digest) error {
	return tx.Delete(tableLinks, linkKey(repo, d))
}
