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
// The file goes first and its entry after it. A crash in between leaves an entry whose file is missing, which is a miss to
// readers and found by the next check; the other way round it would leave a damaged file, which a push that brings the
// same would find there already. Nobody can take a file in while it is being judged: see [guards].
//
// What was lost is the one exception to the rules that schema.go states: a manifest whose own file is not held keeps its
// record and its tags, and one that was pushed or imported stays without the blob, until these come again.
func (s *Store) Repair(ctx context.Context, defect mirror.Defect) (repaired bool, err error) {
	switch {
	case defect.Kind == mirror.Dangling:
		repaired, err = s.repairEntry(ctx, defect.Entry)
	case defect.Digest != "":
		repaired, err = s.repairFile(ctx, defect)
	}
	return repaired, explain(err, "mend %s %s", defect.Digest, defect.Entry)
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
		s.options.Log.Error("damaged content is in quarantine", zap.Stringer("digest", defect.Digest), zap.String("why", j.reason))
	}
	changed, err := s.reconcile(context.WithoutCancel(ctx), defect.Digest, j.intact)
	return moved || changed, err
}

// judgement is what is found out about a file before anything is done about it.
type fileCheck struct {
	defect        mirror.Defect
	record        blobRecord
	stored        bool
	sizeConfirmed bool // a manifest says the same of its size as the record
	reason        string
	intact        bool // it was read and is right
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

// judge returns what is wrong with a file. A wrong size is enough if two agree on the right one; else what it contains
// decides, read again, so that nothing goes because one reading went wrong.
func (j *fileCheck) check(ctx context.Context, blob mirror.Blob) (string, error) {
	sized := j.stored && blob.Size == j.record.Size
	switch {
	case sized && j.defect.Kind == mirror.Missing: // it has come again
		return "", nil
	case j.stored && !sized && j.sizeConfirmed:
		j.reason = fmt.Sprintf("its file has %d bytes in place of %d", blob.Size, j.record.Size)
		return j.reason, nil
	}
	reason, err := backend.CheckContent(ctx, blob, j.defect.Digest, make([]byte, mirror.MaxCheckRead), func(context.Context, int) error { return nil })
	j.reason, j.intact = reason, reason == "" && err == nil
	return reason, err
}

// settle has the index say of d what the files say. whole is whether a file that is there was verified.
func (s *Store) reconcile(ctx context.Context, d digest.Digest, whole bool) (changed bool, err error) {
	var gone []content
	end := s.manifests.beginUnknownWrite()
	defer func() { end(gone) }()
	err = s.index.Update(ctx, func(tx backend.WriteTx) error {
		changed, gone = false, nil
		record, stored, err := getRecord[blobRecord](tx, tableBlobs, d.String())
		if err != nil {
			return err
		}
		size, err := s.blobs.Stat(ctx, d)
		switch {
		case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
			if changed = stored; stored {
				gone, err = dropBlob(tx, d)
				return err
			}
			return nil
		case err != nil || !whole || stored && record.Size == size:
			return err
		}
		changed = true
		if stored {
			record.Size = size
			return putRecord(tx, tableBlobs, d.String(), record)
		}
		return recordBlob(tx, d, size, s.Now())
	})
	return changed && err == nil, err
}

// drop notes that the file of d is held no more. Links stay where a manifest needs it, so that it is fetched again. It
// returns the manifests whose file that was.
func dropBlob(tx backend.WriteTx, d digest.Digest) (manifests []content, err error) {
	var idle []mirror.Repo
	for k := range tx.Scan(tableLinks, prefix(d.String()), "") {
		repo, err := mirror.ParseRepo(lastPart(k))
		if err == nil && !hasAny(tx, tableUses, prefix(d.String(), lastPart(k))) { // a link that cannot be read is a defect of its own
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
