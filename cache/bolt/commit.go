package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"airmirror/cache/backend"
)

// update is a function on its way into a transaction.
type update struct {
	f       func(backend.WriteTx) error
	claimed atomic.Bool // the committer took it and will answer; or its caller gave up and wants no answer
	err     error       // what f said in the transaction under way
	done    chan error
}

// Update implements [backend.Index].
//
// Updates are committed in groups: while one transaction is being synced the next ones queue, and then go together into
// one. There is no delay to tune, which is why this is not bbolt's own DB.Batch: that one waits up to 10 ms for company,
// which a lone update pays for in full.
//
// An update whose ctx ends while it is queued is not run. A panic of f is raised again in the caller; f must not end its
// goroutine (as t.Fatal does), which is not the caller's.
func (x *Index) Update(ctx context.Context, f func(backend.WriteTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &update{f: f, done: make(chan error, 1)}
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return ErrClosed
	}
	x.queue = append(x.queue, u)
	x.mu.Unlock()
	x.wakeCommitter()

	select {
	case err := <-u.done:
		return repanic(err)
	case <-ctx.Done():
		if u.claimed.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return repanic(<-u.done)
	}
}

// nudge wakes the committer; one token stands for any number of updates.
func (x *Index) wakeCommitter() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// runCommitter is the committer: it runs until the index is closed and every queued update is answered.
func (x *Index) runCommitter() {
	defer close(x.done)
	for range x.wake {
		x.mu.Lock()
		group, closed := x.queue, x.closed
		x.queue = nil
		x.mu.Unlock()

		x.commit(slices.DeleteFunc(group, func(u *update) bool { return !u.claimed.CompareAndSwap(false, true) }))
		if closed {
			return // nothing was queued after closed was set
		}
	}
}

// commit runs a group in one transaction. An update that fails after it wrote something is taken out, what the others
// did is rolled back and done again without it, and then it runs on its own, so that the error it is answered with is
// about what is durable and not about what a neighbour might have written.
func (x *Index) commit(group []*update) {
	var alone []*update
	for len(group) > 0 {
		failed, err := x.tryCommit(group)
		if failed < 0 || len(group) == 1 {
			answer(group, err)
			break
		}
		alone = append(alone, group[failed])
		group = slices.Delete(group, failed, failed+1)
	}
	for _, u := range alone {
		x.commit([]*update{u})
	}
}

// try runs a group in one transaction and commits it, or rolls it back and returns the place of the update that spoiled
// it. One that fails before it wrote spoils nothing: that is most of them, because checks come first. Where nobody
// wrote there is nothing to commit either.
func (x *Index) tryCommit(group []*update) (failed int, err error) {
	t, err := x.db.Begin(true)
	if err != nil {
		return -1, fmt.Errorf("begin index transaction: %w", err)
	}
	wrote := false
	for i, u := range group {
		w := &tx{bolt: t}
		if u.err = run(u.f, w); u.err != nil && w.wrote {
			return i, t.Rollback()
		}
		wrote = wrote || w.wrote
	}
	if !wrote {
		return -1, t.Rollback()
	}
	if err := x.checkFile(); err != nil {
		return -1, errors.Join(err, t.Rollback())
	}
	return -1, x.sync(t)
}

// present reports with [ErrFileReplaced] that the file was removed or replaced since it was opened. The system would go on taking
// what is written to it, and drop all of that when it is closed.
func (x *Index) checkFile() error {
	if x.opened == nil {
		return nil
	}
	path := x.db.Path()
	switch now, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist), err == nil && !os.SameFile(now, x.opened):
		return fmt.Errorf("index %s: %w", path, ErrFileReplaced)
	case err != nil:
		return fmt.Errorf("index %s: %w", path, err)
	}
	return nil
}

func (x *Index) sync(t *bbolt.Tx) error {
	x.commits++
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit index transaction: %w", err)
	}
	x.prealloc.grow()
	return nil
}

// answer tells every caller what became of its update: the transaction's error, if it has one, or else its own.
func answer(group []*update, err error) {
	for _, u := range group {
		if err != nil {
			u.done <- err
		} else {
			u.done <- u.err
		}
	}
}

// panicked carries a panic of an update from the committer to the caller.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string {
	return fmt.Sprintf("index update panicked: %v\n\n%s", p.value, p.stack)
}

// run calls f and makes an error of its panic, so that one update cannot take the committer down with it.
func run(f func(backend.WriteTx) error, w *tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return f(w)
}

func repanic(err error) error {
	var p *panicError
	if errors.As(err, &p) {
		panic(p)
	}
	return err
}
