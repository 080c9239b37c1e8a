package cache

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// sweepTx is a transaction of a sweep. It counts its writes.
type sweepTx struct {
	backend.WriteTx
	store    *Store
	deleting map[digest.Digest]bool // digests marked as deleting in [digestLocks], by this run of the function or an earlier one
	waiting  func() bool            // reports whether another writer waits
	began    time.Time
	reads    time.Duration // maximum time for reads, while another writer waits
	count    int
	most     int // maximum number of writes, while another writer waits; a started job may exceed it
	outcomes []sweepOutcome
}

// sweepOutcome is what a transaction did for a job.
type sweepOutcome struct {
	decided   bool // this transaction checked the tags and manifests
	kept      string
	tags      int
	manifests int
	blobs     int             // number of blobs of the job that are checked, including earlier transactions
	removed   []digest.Digest // blobs whose entries were deleted, and whose files will be
	deleted   []sweptFile     // blobs that were deleted in the transaction, see [backend.Indexed]
}

// sweepFailure is an error with the job that failed.
type sweepFailure struct {
	job   int
	cause error
}

func (f *sweepFailure) Error() string { return f.cause.Error() }
func (f *sweepFailure) Unwrap() error { return f.cause }

func (tx *sweepTx) Put(t backend.Table, key string, value []byte) error {
	tx.count++
	return tx.WriteTx.Put(t, key, value)
}

func (tx *sweepTx) Delete(t backend.Table, key string) error {
	tx.count++
	return tx.WriteTx.Delete(t, key)
}

// full reports whether the transaction has reached a limit.
func (tx *sweepTx) full() bool {
	passed := func(times int) bool {
		return tx.count >= times*tx.most || time.Since(tx.began) > time.Duration(times)*tx.reads
	}
	return passed(1) && (passed(sweepIdle) || tx.waiting())
}

// run runs as many jobs as fit, and at least a part of one.
func (tx *sweepTx) run(jobs []*sweepJob) error {
	for i, job := range jobs {
		if i > 0 && tx.full() {
			return nil
		}
		outcome, err := tx.job(job)
		if err != nil {
			return &sweepFailure{i, err}
		}
		tx.outcomes = append(tx.outcomes, outcome)
	}
	return nil
}

func (tx *sweepTx) job(job *sweepJob) (outcome sweepOutcome, err error) {
	if !job.decided {
		outcome.decided = true
		if outcome.kept, err = tx.deleteImages(&job.DeleteRequest, &outcome); err != nil {
			return outcome, err
		}
	}
	for outcome.blobs = job.blobsDone; outcome.blobs < len(job.Blobs); outcome.blobs++ {
		if (outcome.decided || outcome.blobs > job.blobsDone) && tx.full() {
			break
		}
		if err := tx.deleteUnused(job.Blobs[outcome.blobs], job.Before, &outcome); err != nil {
			return outcome, err
		}
	}
	return outcome, nil
}

// deleteImages deletes tags and manifests, or returns the reason why it does not.
func (tx *sweepTx) deleteImages(c *mirror.DeleteRequest, outcome *sweepOutcome) (kept string, err error) {
	if c.Repo == (mirror.Repo{}) {
		return "", nil
	}
	stored, kept, err := tx.check(c)
	if kept != "" || err != nil {
		return kept, err
	}
	for _, tag := range c.Tags {
		name := tagName{c.Repo, tag.Name}
		if !has(tx, tableTags, name.key()) {
			continue
		}
		if err := deleteTag(tx, name, tag.Digest); err != nil {
			return "", err
		}
		outcome.tags++
	}
	for d, record := range stored {
		if err := tx.deleteManifest(content{c.Repo, d}, record, c.Before, outcome); err != nil {
			return "", err
		}
		outcome.manifests++
	}
	return "", tx.deleteEmptyRepo(c.Repo)
}

// deleteManifest deletes a manifest and everything that only it needed.
func (tx *sweepTx) deleteManifest(c content, record manifestRecord, before time.Time, outcome *sweepOutcome) error {
	if err := removeManifest(tx, c, record); err != nil {
		return err
	}
	if err := tx.Delete(tableRecency, c.key()); err != nil {
		return err
	}
	for d := range record.named() {
		if err := tx.releaseBlob(c.repo, d, before, outcome); err != nil {
			return err
		}
	}
	return tx.releaseBlob(c.repo, c.digest, before, outcome)
}

// releaseBlob deletes the link of repo to a blob that one of its manifests used. If no repository uses the blob, it
// deletes its entry.
func (tx *sweepTx) releaseBlob(repo mirror.Repo, d digest.Digest, before time.Time, outcome *sweepOutcome) error {
	if !hasAny(tx, tableUses, prefix(d.String())) {
		return tx.deleteUnused(d, before, outcome)
	}
	if hasAny(tx, tableUses, prefix(d.String(), repo.String())) {
		return nil
	}
	// The blob is kept; only the link may be deleted. Whether another repository has a link does not matter here, and a
	// scan could cost a lot.
	link, linked, err := getRecord[linkRecord](tx, tableLinks, linkKey(repo, d))
	if err != nil || !linked || !tx.store.fence.mark(d) {
		return err
	}
	if !latest(link.Added, link.Used, tx.store.recency.pendingUse(content{repo, d})).Before(before) {
		return nil
	}
	return unlink(tx, repo, d)
}

// deleteEmptyRepo deletes the record of a repository without manifests, unless the repository is local.
func (tx *sweepTx) deleteEmptyRepo(repo mirror.Repo) error {
	record, found, err := getRecord[repoRecord](tx, tableRepos, repo.String())
	if err != nil || !found || record.Origin == mirror.Pushed || hasAny(tx, tableManifests, prefix(repo.String())) {
		return err
	}
	return tx.Delete(tableRepos, repo.String())
}
