package transfer

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// partialEntry is the stored part of an entry that is not complete yet.
type partialEntry struct {
	Digest digest.Digest `json:"digest"`
	mirror.PartialBlob
}

// split is the state of an import of a volume about entries that span volumes.
type split struct {
	end    int64                // offset of the end of the volume in the bundle
	more   bool                 // another volume follows
	before *partialEntry        // the entry that this volume continues
	after  mirror.ResumableBlob // the entry that the next volume continues; nil if there is none
}

// drop discards what this volume contributed to an unfinished entry, unless it was saved.
func (c *split) drop() error {
	if c.after == nil {
		return nil
	}
	return c.after.Abort()
}

// restartError says that an entry has to be received again from its beginning.
type restartError struct {
	from int64 // offset of the entry in the bundle
	err  error
}

func (e *restartError) Error() string { return e.err.Error() }
func (e *restartError) Unwrap() error { return e.err }

// receiveSplit stores the part of an entry in this volume, and appends it to the parts from earlier volumes. done is
// false if the volume contains the whole entry.
func (in *importer) receiveSplit(ctx context.Context, e *bundle.Entry, all *committer) (done bool, err error) {
	here, left := in.split.end-in.reader.Offset(), e.Size-e.Skipped
	goesOn := left > here && in.split.more
	switch {
	case e.Skipped == 0 && !goesOn:
		return false, nil
	case e.Skipped == 0 && here == 0: // the next volume begins with the entry
		return true, nil
	}
	begins := in.reader.Offset() - e.Skipped
	growing, err := in.resumeEntry(ctx, e, begins)
	if err != nil {
		return true, err
	}
	if _, err := io.Copy(growing, io.LimitReader(&countingReader{ctx, e, in}, here)); err != nil {
		return true, errors.Join(err, growing.Abort())
	}
	if goesOn {
		in.split.after = growing
		return true, nil
	}
	return true, all.run(func() error {
		err := in.commit(ctx, growing, e.Size)
		if mirror.CodeOf(err) == mirror.CodeDigestInvalid {
			err = &restartError{begins, err}
		}
		return err
	})
}

// resumeEntry continues an entry of the previous volume, or begins one.
func (in *importer) resumeEntry(ctx context.Context, e *bundle.Entry, begins int64) (mirror.ResumableBlob, error) {
	in.SetCurrent("receiving " + e.Digest.String())
	if e.Skipped == 0 {
		return in.service.store.ResumeBlob(ctx, e.Digest, mirror.PartialBlob{})
	}
	before := in.split.before
	if before == nil || before.Digest != e.Digest || before.Size != e.Skipped {
		return nil, &restartError{begins, mirror.Errorf(mirror.CodeDigestInvalid, "the part of %s from earlier volumes is no longer stored", e.Digest)}
	}
	growing, err := in.service.store.ResumeBlob(ctx, e.Digest, before.PartialBlob)
	if mirror.CodeOf(err) == mirror.CodeBlobUploadUnknown {
		err = &restartError{begins, err}
	}
	return growing, err
}
