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

// update is a queued function.
type update struct {
	f       func(backend.WriteTx) error
	claimed atomic.Bool // the committer took it and will complete it, or its caller gave up
	err     error       // result of f in the current transaction
	done    chan error
}

// Update implements [backend.Index].
//
// Updates are committed in groups: while one transaction is synced, further updates queue, and the next transaction
// runs all of them. There is no delay to tune. bbolt's DB.Batch is not used because it delays every update by up to
// 10 ms to collect a group, even if there is only one.
//
// An update whose ctx ends while it is queued does not run. A panic of f is raised again in the caller. f runs in
// another goroutine, so it must not end its goroutine as t.Fatal does. One update runs at a time, so locks change nothing.
func (x *Index) Update(ctx context.Context, _ backend.Locks, f func(backend.WriteTx) error) error {
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

// Waiting implements [backend.Queue].
func (x *Index) Waiting() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.queue) > 0
}

// wakeCommitter wakes the committer. One token stands for any number of updates.
func (x *Index) wakeCommitter() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// runCommitter commits updates until the index is closed and every queued update is completed.
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

// commit runs a group in one transaction. If an update fails after it wrote something, the transaction is rolled back
// and run again without it. That update then runs on its own, so that its error reflects a durable state.
func (x *Index) commit(group []*update) {
	var failures []*update
	for len(group) > 0 {
		failed, err := x.tryCommit(group)
		if failed < 0 || len(group) == 1 {
			answer(group, err)
			break
		}
		failures = append(failures, group[failed])
		group = slices.Delete(group, failed, failed+1)
	}
	for _, u := range failures {
		x.commit([]*update{u})
	}
}

// tryCommit runs a group in one transaction and commits it. If an update fails after it wrote, tryCommit rolls back
// and returns the index of the update, otherwise -1. An update that fails before it writes does not affect the
// others; most failures are of that kind, because checks come first. A transaction without writes is not committed.
func (x *Index) tryCommit(group []*update) (failed int, err error) {
	x.writing.Lock()
	defer x.writing.Unlock()
	t, err := x.db.Load().Begin(true)
	if err != nil {
		return -1, fmt.Errorf("begin index transaction: %w", err)
	}
	wrote := false
	for i, u := range group {
		w := &tx{bolt: t, fill: x.fill}
		if u.err = run(u.f, w); u.err != nil && w.wrote {
			return i, t.Rollback()
		}
		wrote = wrote || w.wrote
	}
	if !wrote {
		return -1, t.Rollback()
	}
	if err := errors.Join(x.CheckFile(), x.syncName()); err != nil {
		return -1, errors.Join(err, t.Rollback())
	}
	return -1, x.sync(t)
}

// CheckFile returns [ErrFileReplaced] if the file was removed or replaced since it was opened. The system would
// accept further writes to it and discard them when it is closed.
func (x *Index) CheckFile() error {
	x.fileMu.Lock()
	defer x.fileMu.Unlock()
	if x.opened == nil {
		return nil
	}
	switch now, err := os.Stat(x.path); {
	case errors.Is(err, os.ErrNotExist), err == nil && !os.SameFile(now, x.opened):
		return fmt.Errorf("index %s: %w", x.path, ErrFileReplaced)
	case err != nil:
		return fmt.Errorf("index %s: %w", x.path, err)
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

// answer completes updates: with err if there is one, otherwise each with its own result.
func answer(group []*update, err error) {
	for _, u := range group {
		if err != nil {
			u.done <- err
		} else {
			u.done <- u.err
		}
	}
}

// panicError passes a panic of an update from the committer to the caller.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string {
	return fmt.Sprintf("index update panicked: %v\n\n%s", p.value, p.stack)
}

// run calls f and converts a panic into an error, so that one update cannot end the committer.
func run(f func(backend.WriteTx) error, w *tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return f(w)
}

// repanic panics if err is a panic of an update, and returns err otherwise.
func repanic(err error) error {
	var p *panicError
	if errors.As(err, &p) {
		panic(p)
	}
	return err
}
