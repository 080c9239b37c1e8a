package transfer

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// partial is what came of an entry that is not all in the volumes that came.
type partialEntry struct {
	Digest digest.Digest `json:"digest"`
	mirror.PartialBlob
}

// crossing is what an import of a volume knows of entries that are not all in it.
type split struct {
	end    int64                // of the volume, in the bundle
	more   bool                 // there is another one
	before *partialEntry        // what earlier volumes had of the entry that this one begins with
	after  mirror.ResumableBlob // of the entry that the next one begins with; nil if nothing of it is to be kept
}

// drop drops what this volume had for the next one, if that was not kept.
func (c *split) drop() error {
	if c.after == nil {
		return nil
	}
	return c.after.Abort()
}

// restartError says that an entry has to come again from its beginning.
type restartError struct {
	from int64 // where it begins in the bundle
	err  error
}

func (e *restartError) Error() string { return e.err.Error() }
func (e *restartError) Unwrap() error { return e.err }

// cross takes in an entry that is not all in this volume: what there is goes to what earlier volumes had. done is false
// if it is all here.
func (in *importer) receiveSplit(ctx context.Context, e *bundle.Entry, all *committer) (done bool, err error) {
	here, left := in.split.end-in.reader.Offset(), e.Size-e.Skipped
	goesOn := left > here && in.split.more
	switch {
	case e.Skipped == 0 && !goesOn:
		return false, nil
	case e.Skipped == 0 && here == 0: // it will begin with the next volume
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

// grow goes on with an entry where the volume before ended, or begins one.
func (in *importer) resumeEntry(ctx context.Context, e *bundle.Entry, begins int64) (mirror.ResumableBlob, error) {
	in.Doing("receiving " + e.Digest.String())
	if e.Skipped == 0 {
		return in.service.store.ResumeBlob(ctx, e.Digest, mirror.PartialBlob{})
	}
	before := in.split.before
	if before == nil || before.Digest != e.Digest || before.Size != e.Skipped {
		return nil, &restartError{begins, mirror.Errorf(mirror.CodeDigestInvalid, "what earlier volumes had of %s is not here any more", e.Digest)}
	}
	growing, err := in.service.store.ResumeBlob(ctx, e.Digest, before.PartialBlob)
	if mirror.CodeOf(err) == mirror.CodeBlobUploadUnknown {
		err = &restartError{begins, err}
	}
	return growing, err
}
