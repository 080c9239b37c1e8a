package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"airmirror/cache/backend"
)

var (
	_ backend.Checker = (*Index)(nil)
	_ backend.Copier  = (*Index)(nil)
)

// maxDefects is the number of defects that Check returns. A damaged file usually has many more.
const maxDefects = 100

// Check implements [backend.Checker]. It runs in a write transaction in which it writes nothing: bbolt compares the
// pages with its list of free pages, which other writers change. It reads every page, a few hundred MB per second.
func (x *Index) Check(ctx context.Context) (defects []error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	t, err := x.db.Load().Begin(true)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("check index: %w", err)
	}
	for defect := range t.Check() { // to the end: bbolt's goroutine must not outlive the transaction
		if len(defects) < maxDefects {
			defects = append(defects, defect)
		}
	}
	return defects, t.Rollback()
}

// Copy implements [backend.Copier]. Writers do not wait for it. Pages that are freed during the copy are reused only
// after its end. The file therefore grows by the data that is written while a slow w receives the copy.
func (x *Index) Copy(ctx context.Context, w io.Writer) (n int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = x.view(func(t *bbolt.Tx) (err error) {
		n, err = t.WriteTo(&ctxWriter{ctx, w})
		return err
	})
	switch {
	case errors.Is(err, ErrClosed):
		return 0, err
	case ctx.Err() != nil:
		return n, ctx.Err()
	case err != nil:
		return n, fmt.Errorf("copy index: %w", err)
	}
	return n, nil
}

// ctxWriter is a writer that fails after its context has ended.
type ctxWriter struct {
	ctx context.Context
	w   io.Writer
}

func (u *ctxWriter) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}
