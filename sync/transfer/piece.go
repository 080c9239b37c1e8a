package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// piece is a blob of no repository that has a part of something.
type piece struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// partial is what came of an entry. Each volume's part is a piece of its own: an upload would have to be cut back when a
// volume turns out to be damaged after some of it was appended.
type partial struct {
	Digest digest.Digest `json:"digest"`
	Pieces []piece       `json:"pieces"`
}

func (p *partial) size() (size int64) {
	if p != nil {
		for _, piece := range p.Pieces {
			size += piece.Size
		}
	}
	return size
}

// againError says that an entry has to come again from its beginning.
type againError struct {
	from int64 // where it begins in the bundle
	err  error
}

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// cross takes in an entry that is not all in this volume: what there is becomes a piece or, with the pieces before it, the
// blob. done is false if it is all here.
func (in *importing) cross(ctx context.Context, e *bundle.Entry, all *commits) (done bool, err error) {
	here := in.crossing.end - in.reader.Offset()
	left := e.Size - e.Skipped
	if e.Skipped == 0 && left <= here {
		return false, nil
	}
	before := in.crossing.before
	begins := in.reader.Offset() - e.Skipped
	if e.Skipped > 0 && (before == nil || before.Digest != e.Digest || before.size() != e.Skipped) {
		return true, &againError{begins, mirror.Errorf(mirror.CodeDigestInvalid, "what earlier volumes had of %s is not here any more", e.Digest)}
	}
	if left <= here {
		return true, in.complete(ctx, e, before, begins, all)
	}
	if !in.crossing.more {
		return false, nil
	}
	after := &partial{Digest: e.Digest}
	if e.Skipped > 0 {
		after.Pieces = append(after.Pieces, before.Pieces...)
	}
	if here > 0 {
		d, err := in.receivePiece(ctx, io.LimitReader(&counted{ctx, e, in}, here), here)
		if err != nil {
			return true, err
		}
		after.Pieces = append(after.Pieces, piece{d, here})
	}
	if len(after.Pieces) > 0 {
		in.crossing.after = after
	}
	return true, nil
}

// complete makes a blob of pieces and the rest of an entry.
func (in *importing) complete(ctx context.Context, e *bundle.Entry, before *partial, begins int64, all *commits) error {
	pieces, err := in.c.openPieces(ctx, before.Pieces)
	if err != nil {
		if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
			err = &againError{begins, err}
		}
		return err
	}
	defer pieces.Close()
	incoming, err := in.c.store.Receive(ctx, e.Digest)
	if err != nil {
		return err
	}
	if _, err := io.Copy(incoming, pieces); err != nil {
		return errors.Join(err, incoming.Abort())
	}
	if _, err := io.Copy(incoming, &counted{ctx, e, in}); err != nil {
		return errors.Join(err, incoming.Abort())
	}
	return all.do(func() error {
		err := in.commit(ctx, incoming, e.Size)
		if mirror.CodeOf(err) == mirror.CodeDigestInvalid {
			err = &againError{begins, err}
		}
		return err
	})
}

// receivePiece stores size bytes of r.
func (in *importing) receivePiece(ctx context.Context, r io.Reader, size int64) (digest.Digest, error) {
	incoming, err := in.c.store.Receive(ctx, "")
	if err != nil {
		return "", err
	}
	n, err := io.Copy(incoming, r)
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", errors.Join(err, incoming.Abort())
	}
	if err := incoming.Commit(ctx, mirror.Repo{}); err != nil {
		return "", err
	}
	in.protect(incoming.Digest())
	return incoming.Digest(), nil
}

func (in *importing) keepPiece(ctx context.Context, data []byte) (digest.Digest, error) {
	return in.receivePiece(ctx, bytes.NewReader(data), int64(len(data)))
}

// maxPiece is how large a piece may be that is read into memory.
const maxPiece = 1 << 30

// readPiece reads a piece and verifies it.
func (c *Carrier) readPiece(ctx context.Context, d digest.Digest) ([]byte, error) {
	blob, err := c.store.OpenHeld(ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	data, err := io.ReadAll(io.LimitReader(blob, maxPiece))
	if err == nil && d.Algorithm().FromBytes(data) != d {
		err = fmt.Errorf("the file of %s is damaged", d)
	}
	return data, err
}

// openPieces opens pieces to be read one after the other.
func (c *Carrier) openPieces(ctx context.Context, pieces []piece) (*opened, error) {
	o := new(opened)
	var readers []io.Reader
	for _, p := range pieces {
		blob, err := c.store.OpenHeld(ctx, p.Digest)
		if err != nil {
			return nil, errors.Join(err, o.Close())
		}
		o.blobs = append(o.blobs, blob)
		readers = append(readers, blob)
	}
	o.Reader = io.MultiReader(readers...)
	return o, nil
}

// opened are open pieces.
type opened struct {
	io.Reader
	blobs []mirror.Blob
}

func (o *opened) Close() (err error) {
	for _, blob := range o.blobs {
		err = errors.Join(err, blob.Close())
	}
	return err
}
