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
func (s *Store) Repair(ctx context.Context, flaw mirror.Defect) (mended bool, err error) {
	switch {
	case flaw.Kind == mirror.Dangling:
		mended, err = s.mendEntry(ctx, flaw.Entry)
	case flaw.Digest != "":
		mended, err = s.mendFile(ctx, flaw)
	}
	return mended, explain(err, "mend %s %s", flaw.Digest, flaw.Entry)
}

func (s *Store) mendFile(ctx context.Context, flaw mirror.Defect) (mended bool, err error) {
	release, err := s.guards.take(ctx, flaw.Digest)
	if err != nil {
		return false, err
	}
	defer release()
	j := &judgement{flaw: flaw}
	if err := s.index.View(ctx, j.look); err != nil {
		return false, err
	}
	moved, err := s.blobs.Quarantine(ctx, flaw.Digest, func(blob mirror.Blob) (string, error) { return j.judge(ctx, blob) })
	if err != nil {
		return false, err
	}
	if moved {
		s.options.Log.Error("damaged content is in quarantine", zap.Stringer("digest", flaw.Digest), zap.String("why", j.reason))
	}
	changed, err := s.settle(context.WithoutCancel(ctx), flaw.Digest, j.whole)
	return moved || changed, err
}

// judgement is what is found out about a file before anything is done about it.
type judgement struct {
	flaw   mirror.Defect
	record blobRecord
	held   bool
	sure   bool // a manifest says the same of its size as the record
	reason string
	whole  bool // it was read and is right
}

func (j *judgement) look(tx backend.ReadTx) (err error) {
	d := j.flaw.Digest
	if j.record, j.held, err = get[blobRecord](tx, tableBlobs, d.String()); err != nil {
		return err
	}
	j.sure = false
	for k, value := range tx.Scan(tableUses, prefix(d.String()), "") {
		use, err := decode[useRecord](tableUses, k, value)
		j.sure = err == nil && use.Size == j.record.Size
		break
	}
	return nil
}

// judge returns what is wrong with a file. A wrong size is enough if two agree on the right one; else what it contains
// decides, read again, so that nothing goes because one reading went wrong.
func (j *judgement) judge(ctx context.Context, blob mirror.Blob) (string, error) {
	sized := j.held && blob.Size == j.record.Size
	switch {
	case sized && j.flaw.Kind == mirror.Missing: // it has come again
		return "", nil
	case j.held && !sized && j.sure:
		j.reason = fmt.Sprintf("its file has %d bytes in place of %d", blob.Size, j.record.Size)
		return j.reason, nil
	}
	reason, err := backend.CheckContent(ctx, blob, j.flaw.Digest, make([]byte, mirror.MaxCheckRead), func(context.Context, int) error { return nil })
	j.reason, j.whole = reason, reason == "" && err == nil
	return reason, err
}

// settle has the index say of d what the files say. whole is whether a file that is there was verified.
func (s *Store) settle(ctx context.Context, d digest.Digest, whole bool) (changed bool, err error) {
	var gone []content
	end := s.manifests.beginAny()
	defer func() { end(gone) }()
	err = s.index.Update(ctx, func(tx backend.WriteTx) error {
		changed, gone = false, nil
		record, held, err := get[blobRecord](tx, tableBlobs, d.String())
		if err != nil {
			return err
		}
		size, err := s.blobs.Stat(ctx, d)
		switch {
		case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
			if changed = held; held {
				gone, err = drop(tx, d)
				return err
			}
			return nil
		case err != nil || !whole || held && record.Size == size:
			return err
		}
		changed = true
		if held {
			record.Size = size
			return put(tx, tableBlobs, d.String(), record)
		}
		return hold(tx, d, size, s.Now())
	})
	return changed && err == nil, err
}

// drop notes that the file of d is held no more. Links stay where a manifest needs it, so that it is fetched again. It
// returns the manifests whose file that was.
func drop(tx backend.WriteTx, d digest.Digest) (manifests []content, err error) {
	var idle []mirror.Repo
	for k := range tx.Scan(tableLinks, prefix(d.String()), "") {
		repo, err := mirror.ParseRepo(lastPart(k))
		if err == nil && !usedIn(tx, lastPart(k), d.String()) { // a link that cannot be read is a flaw of its own
			idle = append(idle, repo)
		}
	}
	for _, repo := range idle {
		if err := unlink(tx, repo, d); err != nil {
			return nil, err
		}
	}
	for k := range tx.Scan(tableUses, prefix(d.String()), "") {
		if repo, err := mirror.ParseRepo(parts(k)[1]); err == nil && lastPart(k) == d.String() {
			manifests = append(manifests, content{repo, d})
		}
	}
	return manifests, tx.Delete(tableBlobs, d.String())
}
