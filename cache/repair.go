package cache

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Repair implements [mirror.CheckStore].
//
// It moves the file first and deletes its entry afterwards. A crash between the two leaves an entry whose file is
// missing: readers get a miss, and the next check finds it. In the opposite order, a damaged file would be left, and a
// push of the same blob would accept it as stored. The digest is locked during a repair, so that no other goroutine can
// index the file: see [digestLocks].
//
// A lost file is the one exception to the invariants in schema.go. A manifest whose own file is lost keeps its record
// and its tags, and a pushed or imported manifest remains without the lost blob, until the file is stored again.
func (s *Store) Repair(ctx context.Context, defect mirror.Defect) (repaired bool, err error) {
	switch {
	case defect.Kind == mirror.Dangling:
		repaired, err = s.repairEntry(ctx, defect.Entry)
	case defect.Digest != "":
		repaired, err = s.repairFile(ctx, defect)
	}
	return repaired, explain(err, "repair %s %s", defect.Digest, defect.Entry)
}

func (s *Store) repairFile(ctx context.Context, defect mirror.Defect) (repaired bool, err error) {
	release, err := s.locks.lock(ctx, defect.Digest)
	if err != nil {
		return false, err
	}
	defer release()
	j := &fileCheck{defect: defect}
	if err := s.index.View(ctx, j.lookUp); err != nil {
		return false, err
	}
	moved, err := s.blobs.Quarantine(ctx, defect.Digest, func(blob mirror.Blob) (string, error) { return j.check(ctx, blob) })
	if err != nil {
		return false, err
	}
	if moved {
		s.options.Log.Error("moved damaged content to the quarantine", zap.Stringer("digest", defect.Digest), zap.String("why", j.reason))
	}
	changed, err := s.reconcile(context.WithoutCancel(ctx), defect.Digest, j.intact)
	return moved || changed, err
}

// fileCheck contains the facts about a file that a repair collects before it changes anything.
type fileCheck struct {
	defect        mirror.Defect
	record        blobRecord
	stored        bool
	sizeConfirmed bool // a manifest states the same size as the record
	reason        string
	intact        bool // the content was read and has the right digest
}

func (j *fileCheck) lookUp(tx backend.ReadTx) (err error) {
	d := j.defect.Digest
	if j.record, j.stored, err = getRecord[blobRecord](tx, tableBlobs, d.String()); err != nil {
		return err
	}
	j.sizeConfirmed = false
	for k, value := range tx.Scan(tableUses, prefix(d.String()), "") {
		use, err := decodeRecord[useRecord](tableUses, k, value)
		j.sizeConfirmed = err == nil && use.Size == j.record.Size
		break
	}
	return nil
}

// check returns what is wrong with a file. A wrong size suffices if a manifest and the record agree on the right one.
// Otherwise the content is read again, so that no file is lost because of one failed read.
func (j *fileCheck) check(ctx context.Context, blob mirror.Blob) (string, error) {
	sized := j.stored && blob.Size == j.record.Size
	switch {
	case sized && j.defect.Kind == mirror.Missing: // the file was stored again after the defect was found
		return "", nil
	case j.stored && !sized && j.sizeConfirmed:
		j.reason = fmt.Sprintf("its file has %d bytes instead of %d", blob.Size, j.record.Size)
		return j.reason, nil
	}
	reason, err := backend.CheckContent(ctx, blob, j.defect.Digest, make([]byte, mirror.MaxCheckRead), func(context.Context, int) error { return nil })
	j.reason, j.intact = reason, reason == "" && err == nil
	return reason, err
}

// reconcile updates the entry of d to match its file. intact reports whether the file was verified.
func (s *Store) reconcile(ctx context.Context, d digest.Digest, intact bool) (changed bool, err error) {
	var manifests []content
	end := s.manifests.beginUnknownWrite()
	defer func() { end(manifests) }()
	platform := ""
	if size, err := s.blobs.Stat(ctx, d); err == nil && intact {
		platform = s.platformStated(ctx, d, size)
	}
	err = s.index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error {
		changed, manifests = false, nil
		record, stored, err := getRecord[blobRecord](tx, tableBlobs, d.String())
		if err != nil {
			return err
		}
		size, err := s.blobs.Stat(ctx, d)
		switch {
		case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
			if changed = stored; stored {
				manifests, err = dropBlob(tx, d)
				return err
			}
			return nil
		case err != nil || !intact || stored && record.Size == size:
			return err
		}
		changed = true
		if stored {
			record.Size = size
			return putRecord(tx, tableBlobs, d.String(), record)
		}
		return recordBlob(tx, d, blobRecord{Size: size, Added: s.Now(), Platform: platform})
	})
	return changed && err == nil, err
}

// dropBlob deletes the entry of a blob whose file is lost. The links of repositories whose manifests use the blob stay,
// so that it is fetched again. dropBlob returns the manifests whose own file d is.
func dropBlob(tx backend.WriteTx, d digest.Digest) (manifests []content, err error) {
	var idle []mirror.Repo
	for k := range tx.Scan(tableLinks, prefix(d.String()), "") {
		repo, err := mirror.ParseRepo(lastPart(k))
		if err == nil && !hasAny(tx, tableUses, prefix(d.String(), lastPart(k))) { // a link that cannot be decoded is a separate defect
			idle = append(idle, repo)
		}
	}
	for _, repo := range idle {
		if err := unlink(tx, repo, d); err != nil {
			return nil, err
		}
	}
	for k := range tx.Scan(tableUses, prefix(d.String()), "") {
		if repo, err := mirror.ParseRepo(splitKey(k)[1]); err == nil && lastPart(k) == d.String() {
			manifests = append(manifests, content{repo, d})
		}
	}
	return manifests, tx.Delete(tableBlobs, d.String())
}
