package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// heldFile is an entry of tableBlobs.
type heldFile struct {
	digest digest.Digest
	record blobRecord
}

// expect adds up what there is to do, if anybody wants to know.
func (c *check) expect() bool {
	if c.opts.Progress == (mirror.NoProgress{}) {
		return true
	}
	var sum int64
	return c.scan(tableBlobs, c.opts.After.String(), func(_ backend.ReadTx, k string, value []byte) {
		if record, err := decode[blobRecord](tableBlobs, k, value); err == nil {
			sum += record.Size
		}
	}, func() bool {
		c.opts.Progress.Expect(sum)
		sum = 0
		return true
	})
}

// files checks each file that the index names.
func (c *check) files() bool {
	var page []heldFile
	var bad []mirror.Defect
	return c.scan(tableBlobs, c.opts.After.String(), func(_ backend.ReadTx, k string, value []byte) {
		d, err := mirror.ParseDigest(k)
		record, recordErr := decode[blobRecord](tableBlobs, k, value)
		if err = errors.Join(err, recordErr); err != nil {
			bad = append(bad, dangling(tableBlobs, k, err.Error()))
			return
		}
		page = append(page, heldFile{d, record})
	}, func() bool {
		for _, flaw := range bad {
			if !c.flaw(flaw) {
				return false
			}
		}
		for _, held := range page {
			if !c.file(held) {
				return false
			}
		}
		page, bad = page[:0], bad[:0]
		return true
	})
}

// file checks one file, and looks again before it says that something is wrong: it may have gone, or have come again.
func (c *check) file(held heldFile) bool {
	c.opts.Progress.Doing(held.digest.String())
	flaw, read, err := c.examine(held)
	if err != nil {
		if !c.unread(held.digest, err) {
			return false
		}
	} else if flaw.Reason != "" && !c.confirmed(held, flaw, read) {
		return false
	}
	c.opts.Progress.Did(held.record.Size)
	c.opts.Checked(held.digest, held.record.Size)
	return true
}

// examine compares a file with its entry and its digest; the reason is "" if it is in order. read says that the size is
// right and the content is not.
func (c *check) examine(held heldFile) (flaw mirror.Defect, read bool, err error) {
	size, err := c.blobs.Stat(c.ctx, held.digest)
	if flaw, err = held.record.compare(held.digest, size, err); c.opts.Fast || err != nil || flaw.Reason != "" {
		return flaw, false, err
	}
	return c.read(c.ctx, held.digest, held.record, c.opts.Read)
}

// compare says what is wrong with a file that has size bytes or could not be opened.
func (r blobRecord) compare(d digest.Digest, size int64, err error) (mirror.Defect, error) {
	flaw := mirror.Defect{Digest: d, Size: r.Size}
	switch {
	case mirror.CodeOf(err) == mirror.CodeBlobUnknown:
		flaw.Kind, flaw.Reason = mirror.Missing, "it is in the index but its file is missing"
	case err != nil:
		return mirror.Defect{}, err
	case size != r.Size:
		flaw.Kind, flaw.Reason = mirror.Damaged, fmt.Sprintf("it is damaged: its file has %d bytes in place of %d", size, r.Size)
	}
	return flaw, nil
}

// read reads the file of d, whose size is right. checked says that it did.
func (s *Store) read(ctx context.Context, d digest.Digest, record blobRecord, before func(context.Context, int) error) (flaw mirror.Defect, checked bool, err error) {
	reason, err := s.blobs.Check(ctx, d, before)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown { // gone since
		flaw, err = record.compare(d, 0, err)
		return flaw, false, err
	}
	return mirror.Defect{Kind: mirror.Damaged, Digest: d, Size: record.Size, Reason: reason}, true, err
}

// confirmed yields the flaw of a file if the entry is the one that was read, so that the file was meant to be there all the
// time, and no other file has come since.
func (c *check) confirmed(held heldFile, flaw mirror.Defect, read bool) bool {
	size, err := c.blobs.Stat(c.ctx, held.digest)
	now, err := held.record.compare(held.digest, size, err)
	if err != nil {
		return c.unread(held.digest, err)
	}
	if now.Reason == "" && !read { // it has come again since
		return true
	}
	var same bool
	err = c.index.View(c.ctx, func(tx backend.ReadTx) error {
		record, _, err := get[blobRecord](tx, tableBlobs, held.digest.String())
		same = record == held.record
		flaw.Repos, flaw.Manifest = users(tx, held.digest)
		return err
	})
	if err != nil {
		return c.unread("", err)
	}
	return !same || c.flaw(flaw)
}

// orphans looks for files that the index does not name.
func (c *check) orphans() bool {
	c.opts.Progress.Doing("files that the index does not name")
	var batch []backend.StoredBlob
	for entry, err := range c.blobs.All(c.ctx) {
		switch {
		case c.ctx.Err() != nil:
			return c.unread("", err)
		case err != nil && !c.yield(mirror.Defect{}, err):
			return false
		case err != nil:
			continue
		}
		if c.Now().Sub(c.clock.written(entry.Written)) < orphanAge || c.coming(entry.Digest) {
			continue
		}
		if batch = append(batch, entry); len(batch) == checkPage {
			if !c.unnamed(batch) {
				return false
			}
			batch = batch[:0]
		}
	}
	return c.unnamed(batch)
}

// coming reports whether somebody is about to name or to delete a file. If not, whoever was has done it, and the index,
// asked after this, says so.
func (c *check) coming(d digest.Digest) bool {
	release := c.guards.try(d)
	if release == nil {
		return true
	}
	release()
	return false
}

// unnamed yields those of a batch that are in no entry.
func (c *check) unnamed(batch []backend.StoredBlob) bool {
	var flaws []mirror.Defect
	err := c.index.View(c.ctx, func(tx backend.ReadTx) error {
		flaws = flaws[:0]
		for _, entry := range batch {
			if has(tx, tableBlobs, entry.Digest.String()) {
				continue
			}
			flaw := mirror.Defect{Kind: mirror.Orphaned, Digest: entry.Digest, Size: entry.Size, Reason: "it is not in the index: a crash left it, or its entry was lost"}
			flaw.Repos, flaw.Manifest = users(tx, entry.Digest)
			flaws = append(flaws, flaw)
		}
		return nil
	})
	if err != nil {
		return c.unread("", err)
	}
	for _, flaw := range flaws {
		if _, err := c.blobs.Stat(c.ctx, flaw.Digest); err != nil { // gone since: it was on its way out
			continue
		}
		if !c.flaw(flaw) {
			return false
		}
	}
	return true
}
