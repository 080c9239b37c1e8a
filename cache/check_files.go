package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// storedFile is an entry of tableBlobs.
type storedFile struct {
	digest digest.Digest
	record blobRecord
}

// expectBytes announces the number of bytes to check, unless no progress is requested.
func (c *check) expectBytes() bool {
	if c.opts.Progress == (mirror.NoProgress{}) {
		return true
	}
	var sum int64
	return c.scan(tableBlobs, c.opts.After.String(), func(_ backend.ReadTx, k string, value []byte) {
		if record, err := decodeRecord[blobRecord](tableBlobs, k, value); err == nil {
			sum += record.Size
		}
	}, func() bool {
		c.opts.Progress.AddTotal(sum)
		sum = 0
		return true
	})
}

// checkedFile is a file, and what was found.
type checkedFile struct {
	storedFile
	defect mirror.Defect // its reason is "" if the file is in order
	read   bool          // the content was read
	err    error
}

// filePage is a page of tableBlobs.
type filePage struct {
	files []checkedFile
	bad   []mirror.Defect // entries that cannot be read
}

// filePages yields the files in the index in pages.
func (c *check) filePages(ctx context.Context) iter.Seq2[filePage, error] {
	return func(yield func(filePage, error) bool) {
		var page filePage
		err := eachPage(ctx, c.index, tableBlobs, c.opts.After.String(), checkPage, func(_ backend.ReadTx, k string, value []byte) {
			d, err := mirror.ParseDigest(k)
			record, recordErr := decodeRecord[blobRecord](tableBlobs, k, value)
			if err = errors.Join(err, recordErr); err != nil {
				page.bad = append(page.bad, danglingDefect(tableBlobs, k, err.Error()))
				return
			}
			page.files = append(page.files, checkedFile{storedFile: storedFile{d, record}})
		}, func() error {
			full := page
			page = filePage{}
			if !yield(full, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield(page, err)
		}
	}
}

// checkFiles checks each file in the index. If it does not read their content, it looks up several pages of files at a
// time; reading has a limited rate, and waits for the disk.
func (c *check) checkFiles() bool {
	pages := c.filePages(c.ctx)
	if c.opts.Fast {
		pages = mirror.InOrder(c.ctx, c.filePages, c.examinePage)
	}
	for page, err := range pages {
		if err != nil {
			return c.reportError("", err)
		}
		for _, defect := range page.bad {
			if !c.report(defect) {
				return false
			}
		}
		for i := range page.files {
			file := &page.files[i]
			c.opts.Progress.SetCurrent(file.digest.String())
			if !c.opts.Fast {
				c.examine(c.ctx, file)
			}
			if !c.checkFile(file) {
				return false
			}
		}
	}
	return true
}

// examinePage examines the files of a page.
func (c *check) examinePage(ctx context.Context, page filePage) (filePage, error) {
	for i := range page.files {
		c.examine(ctx, &page.files[i])
	}
	return page, ctx.Err()
}

// examine compares a file with its entry and its digest.
func (c *check) examine(ctx context.Context, file *checkedFile) {
	size, err := c.blobs.Stat(ctx, file.digest)
	file.defect, file.err = file.record.compare(file.digest, size, err)
	if !c.opts.Fast && file.err == nil && file.defect.Reason == "" {
		file.defect, file.read, file.err = c.readBlob(ctx, file.digest, file.record, c.opts.Read)
	}
}

// checkFile reports what was found. It confirms a defect before: the file may have been deleted or restored since.
func (c *check) checkFile(file *checkedFile) bool {
	if file.err != nil {
		if !c.reportError(file.digest, file.err) {
			return false
		}
	} else if file.defect.Reason != "" && !c.confirm(file.storedFile, file.defect, file.read) {
		return false
	}
	c.opts.Progress.AddDone(file.record.Size)
	c.opts.Checked(file.digest, file.record.Size)
	return true
}

// compare returns the defect of a file that has size bytes, or that failed to open with err.
func (r blobRecord) compare(d digest.Digest, size int64, err error) (mirror.Defect, error) {
	defect := mirror.Defect{Digest: d, Size: r.Size}
	switch {
	case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
		defect.Kind, defect.Reason = mirror.Missing, "it is in the index but its file is missing"
	case err != nil:
		return mirror.Defect{}, err
	case size != r.Size:
		defect.Kind, defect.Reason = mirror.Damaged, fmt.Sprintf("it is damaged: its file has %d bytes instead of %d", size, r.Size)
	}
	return defect, nil
}

// readBlob verifies the content of d, whose size is right. checked is false if the file is missing.
func (s *Store) readBlob(ctx context.Context, d digest.Digest, record blobRecord, before func(context.Context, int) error) (defect mirror.Defect, checked bool, err error) {
	reason, err := s.blobs.Check(ctx, d, before)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown { // deleted since
		defect, err = record.compare(d, 0, err)
		return defect, false, err
	}
	return mirror.Defect{Kind: mirror.Damaged, Digest: d, Size: record.Size, Reason: reason}, true, err
}

// confirm reports a defect if the entry has not changed since it was read: then the file should have been there all the
// time, and no other file has replaced it.
func (c *check) confirm(stored storedFile, defect mirror.Defect, read bool) bool {
	size, err := c.blobs.Stat(c.ctx, stored.digest)
	now, err := stored.record.compare(stored.digest, size, err)
	if err != nil {
		return c.reportError(stored.digest, err)
	}
	if now.Reason == "" && !read { // restored since
		return true
	}
	var same bool
	err = c.index.View(c.ctx, func(tx backend.ReadTx) error {
		record, _, err := getRecord[blobRecord](tx, tableBlobs, stored.digest.String())
		same = record == stored.record
		defect.Repos, defect.Manifest = reposUsing(tx, stored.digest)
		return err
	})
	if err != nil {
		return c.reportError("", err)
	}
	return !same || c.report(defect)
}

// checkOrphans checks for files that are not in the index.
func (c *check) checkOrphans() bool {
	c.opts.Progress.SetCurrent("files that the index does not name")
	var batch []digest.Digest
	for d, err := range c.unindexedFiles(c.ctx) {
		switch {
		case c.ctx.Err() != nil:
			return c.reportError("", c.ctx.Err())
		case err != nil && !c.yield(mirror.Defect{}, err):
			return false
		case err != nil || c.beingChanged(d):
			continue
		}
		if batch = append(batch, d); len(batch) == checkPage {
			if !c.reportUnindexed(batch) {
				return false
			}
			batch = batch[:0]
		}
	}
	return c.reportUnindexed(batch)
}

// beingChanged reports whether another goroutine is about to index or delete a file. If not, such a change is complete,
// and a later read of the index sees it.
func (c *check) beingChanged(d digest.Digest) bool {
	release := c.locks.tryLock(d)
	if release == nil {
		return true
	}
	release()
	return false
}

// reportUnindexed reports the files of a batch that have no entry and are not new.
func (c *check) reportUnindexed(batch []digest.Digest) bool {
	var defects []mirror.Defect
	err := c.index.View(c.ctx, func(tx backend.ReadTx) error {
		defects = defects[:0]
		for _, d := range batch {
			if has(tx, tableBlobs, d.String()) {
				continue
			}
			defect := mirror.Defect{Kind: mirror.Orphaned, Digest: d, Reason: "it is not in the index: a crash left it, or its entry was lost"}
			if defect.Repos, defect.Manifest = reposUsing(tx, d); defect.IsLeftover() {
				defect.Reason = "it is not in the index, and nothing in the index needs it: a crash left it, and 'mirror gc' deletes it"
			}
			defects = append(defects, defect)
		}
		return nil
	})
	if err != nil {
		return c.reportError("", err)
	}
	for _, defect := range defects {
		file, err := c.blobs.Describe(c.ctx, defect.Digest)
		if err != nil || c.Now().Sub(c.clock.fileTime(file.Written)) < orphanAge { // deleted since, or new
			continue
		}
		defect.Size = file.Size
		if !c.report(defect) {
			return false
		}
	}
	return true
}
