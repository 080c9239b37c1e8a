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
type partial struct {
	Digest digest.Digest `json:"digest"`
	mirror.PartialBlob
}

// crossing is what an import of a volume knows of entries that are not all in it.
type crossing struct {
	end    int64                // of the volume, in the bundle
	more   bool                 // there is another one
	before *partial             // what earlier volumes had of the entry that this one begins with
	after  mirror.ResumableBlob // of the entry that the next one begins with; nil if nothing of it is to be kept
}

// drop drops what this volume had for the next one, if that was not kept.
func (c *crossing) drop() error {
	if c.after == nil {
		return nil
	}
	return c.after.Abort()
}

// againError says that an entry has to come again from its beginning.
type againError struct {
	from int64 // where it begins in the bundle
	err  error
}

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// cross takes in an entry that is not all in this volume: what there is goes to what earlier volumes had. done is false
// if it is all here.
func (in *importing) cross(ctx context.Context, e *bundle.Entry, all *commits) (done bool, err error) {
	here, left := in.crossing.end-in.reader.Offset(), e.Size-e.Skipped
	goesOn := left > here && in.crossing.more
	switch {
	case e.Skipped == 0 && !goesOn:
		return false, nil
	case e.Skipped == 0 && here == 0: // it will begin with the next volume
		return true, nil
	}
	begins := in.reader.Offset() - e.Skipped
	growing, err := in.grow(ctx, e, begins)
	if err != nil {
		return true, err
	}
	if _, err := io.Copy(growing, io.LimitReader(&counted{ctx, e, in}, here)); err != nil {
		return true, errors.Join(err, growing.Abort())
	}
	if goesOn {
		in.crossing.after = growing
		return true, nil
	}
	return true, all.do(func() error {
		err := in.commit(ctx, growing, e.Size)
		if mirror.CodeOf(err) == mirror.CodeDigestInvalid {
			err = &againError{begins, err}
		}
		return err
	})
}

// grow goes on with an entry where the volume before ended, or begins one.
func (in *importing) grow(ctx context.Context, e *bundle.Entry, begins int64) (mirror.ResumableBlob, error) {
	in.Doing("receiving " + e.Digest.String())
	if e.Skipped == 0 {
		return in.c.store.ResumeBlob(ctx, e.Digest, mirror.PartialBlob{})
	}
	before := in.crossing.before
	if before == nil || before.Digest != e.Digest || before.Size != e.Skipped {
		return nil, &againError{begins, mirror.Errorf(mirror.CodeDigestInvalid, "what earlier volumes had of %s is not here any more", e.Digest)}
	}
	growing, err := in.c.store.ResumeBlob(ctx, e.Digest, before.PartialBlob)
	if mirror.CodeOf(err) == mirror.CodeBlobUploadUnknown {
		err = &againError{begins, err}
	}
	return growing, err
}
