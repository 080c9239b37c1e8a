package cache

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// sweepTx is one transaction of a sweep. It counts what it writes.
type sweepTx struct {
	backend.WriteTx
	store    *Store
	deleting map[digest.Digest]bool // whose files [guards] know to be on their way out, by this run or an earlier one
	began    time.Time
	reads    time.Duration // how long it may read
	count    int
	most     int // writes; a job that was begun is ended
	outcomes []sweepOutcome
}

// sweepOutcome is what a transaction did for a job.
type sweepOutcome struct {
	decided   bool // it was this transaction that judged tags and manifests
	kept      string
	tags      int
	manifests int
	blobs     int             // how many of the job's blobs were judged, in this transaction or before
	removed   []digest.Digest // which the index does not name any more
}

// sweepFailure says at which of the jobs a transaction failed.
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

// full reports whether the transaction did enough.
func (tx *sweepTx) full() bool { return tx.count >= tx.most || time.Since(tx.began) > tx.reads }

// run does as many jobs as fit, but at least a part of one.
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

// images takes out tags and manifests, or says why it does not.
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

// manifest takes out a manifest with everything that only it needed.
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

// unneeded takes from repo a blob that one of its manifests needed and, if nobody else has it, from the index.
func (tx *sweepTx) releaseBlob(repo mirror.Repo, d digest.Digest, before time.Time, outcome *sweepOutcome) error {
	if hasAny(tx, tableUses, prefix(d.String(), repo.String())) {
		return nil
	}
	if !hasAny(tx, tableUses, prefix(d.String())) {
		return tx.deleteUnused(d, before, outcome)
	}
	// It stays, and only the right to read it may go. What repositories have links is not looked through: that can be all.
	link, linked, err := getRecord[linkRecord](tx, tableLinks, linkKey(repo, d))
	if err != nil || !linked || !tx.store.fence.mark(d) {
		return err
	}
	if !latest(link.Added, link.Used, tx.store.recency.pendingUse(content{repo, d})).Before(before) {
		return nil
	}
	return unlink(tx, repo, d)
}

// forget drops a repository that is left without a manifest, and so without a tag, unless it is local.
func (tx *sweepTx) deleteEmptyRepo(repo mirror.Repo) error {
	record, found, err := getRecord[repoRecord](tx, tableRepos, repo.String())
	if err != nil || !found || record.Origin == mirror.Pushed || hasAny(tx, tableManifests, prefix(repo.String())) {
		return err
	}
	return tx.Delete(tableRepos, repo.String())
}
