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

// maxDefects is how many faults Check returns: a file with one has very many, for most.
const maxDefects = 100

// Check implements [backend.Checker]. It runs in a transaction that could write and does not: bbolt compares the pages with
// its list of free ones, which every other writer changes. It reads every page, some hundred MB in a second.
func (x *Index) Check(ctx context.Context) (wrong []error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := x.db.Begin(true)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("check index: %w", err)
	}
	for fault := range t.Check() { // to the end, or bbolt's goroutine would go on in a transaction that is over
		if len(wrong) < maxDefects {
			wrong = append(wrong, fault)
		}
	}
	return wrong, t.Rollback()
}

// Copy implements [backend.Copier]. No writer waits for it, but pages that are freed meanwhile are used again only after it:
// the file grows by what is written while a slow w takes the copy.
func (x *Index) Copy(ctx context.Context, w io.Writer) (n int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = x.db.View(func(t *bbolt.Tx) (err error) {
		n, err = t.WriteTo(&ctxWriter{ctx, w})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return 0, ErrClosed
	case ctx.Err() != nil:
		return n, ctx.Err()
	case err != nil:
		return n, fmt.Errorf("copy index: %w", err)
	}
	return n, nil
}

// ctxWriter is a writer that fails once a context has ended.
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
