package postgres

import (
	"context"
	"errors"

	"airmirror/cache/backend"
)

// View implements [backend.Index]. A function whose first read is not a scan may run twice.
func (x *Index) View(ctx context.Context, f func(backend.ReadTx) error) error {
	err := x.view(ctx, true, f)
	if errors.Is(err, errChanged) {
		err = x.view(ctx, false, f)
	}
	return err
}

func (x *Index) view(ctx context.Context, single bool, f func(backend.ReadTx) error) error {
	conn, err := x.acquire(ctx)
	if err != nil {
		return err
	}
	r := &reader{ctx: ctx, index: x, conn: conn, single: single, begin: []statement{{sql: "begin isolation level repeatable read read only"}}}
	defer r.end()
	err = f(r)
	if r.err != nil {
		return explain(ctx, r.err)
	}
	return err
}

// end ends the transaction, if there is one. It has written nothing.
func (r *reader) end() {
	defer func() { r.conn.Release() }()
	if r.begun {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), answerTimeout)
		defer cancel()
		_, _ = r.conn.Exec(ctx, "rollback") // the pool drops a connection that is still in a transaction
	}
}
