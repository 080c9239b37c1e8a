package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"airmirror/cache/backend"
)

const (
	// maxAttempts is how often an update that the server ended runs again.
	maxAttempts = 5
)

// The codes of errors after which an update runs again.
const (
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeOutOfMemory   = "53200" // too many locks
)

// Update implements [backend.Index]. If the connection is lost during the commit, the error says so: the update may have
// been committed.
func (x *Index) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	alone := false
	for attempt := 1; ; attempt++ {
		err := x.update(ctx, locks, alone, f)
		var failed *pgconn.PgError
		if attempt == maxAttempts || !errors.As(err, &failed) {
			return explain(ctx, err)
		}
		switch failed.Code {
		case codeSerialization, codeDeadlock:
		case codeOutOfMemory:
			alone = true
		default:
			return explain(ctx, err)
		}
	}
}

func (x *Index) update(ctx context.Context, locks backend.Locks, alone bool, f func(backend.WriteTx) error) error {
	conn, err := x.acquire(ctx)
	if err != nil {
		return err
	}
	keys, exclusive := lockArgs(locks, alone)
	begin := []statement{{sql: "begin isolation level read committed"}, {sql: lockStatement, args: []any{keys, exclusive}}}
	w := &writer{reader: reader{ctx: ctx, index: x, conn: conn, begin: begin, keep: true}}
	defer func() { w.end() }()
	if err := f(w); err != nil || w.err != nil {
		if w.err != nil {
			err = w.err
		}
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.commit()
}

// commit sends the writes and ends the transaction, in one round trip.
func (w *writer) commit() error {
	if len(w.writes) == 0 {
		return nil // the transaction has only read
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), answerTimeout)
	defer cancel()
	var batch pgx.Batch
	if !w.begun {
		for _, b := range w.begin {
			batch.Queue(b.sql, b.args...)
		}
	}
	for _, s := range w.statements() {
		batch.Queue(s.sql, s.args...)
	}
	batch.Queue("commit")
	err := w.conn.SendBatch(ctx, &batch).Close()
	if !w.begun && pgconn.SafeToRetry(err) && w.reconnect() == nil {
		err = w.conn.SendBatch(ctx, &batch).Close()
	}
	if w.begun = err != nil; !w.begun {
		return nil
	}
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		err = &lostCommitError{err}
	}
	return err
}
