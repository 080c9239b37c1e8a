package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"airmirror/cache/backend"
)

// block keeps the committer in a transaction until release is called.
func block(t *testing.T, x *Index) (release func()) {
	t.Helper()
	inside, proceed, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
			close(inside)
			<-proceed
			return nil
		})
	}()
	<-inside
	return func() {
		close(proceed)
		if err := <-ended; err != nil {
			t.Errorf("blocking update: %v", err)
		}
	}
}

// queued waits until n updates are queued.
func queued(x *Index, n int) {
	for {
		x.mu.Lock()
		have := len(x.queue)
		x.mu.Unlock()
		if have == n {
			return
		}
		runtime.Gosched()
	}
}

func TestConcurrentUpdatesShareCommit(t *testing.T) {
	x := open(t, t.TempDir())
	release := block(t, x)
	const updates = 64
	var all sync.WaitGroup
	for i := range updates {
		all.Go(func() {
			if err := x.Update(context.Background(), backend.Locks{}, write(strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		})
	}
	queued(x, updates)
	release()
	all.Wait()
	if n := keys(t, x); n != updates {
		t.Errorf("%d of %d updates are stored", n, updates)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x.commits != 1 {
		t.Errorf("%d queued updates took %d commits, want 1", updates, x.commits)
	}
}

func TestUpdateWithoutWritesDoesNotCommit(t *testing.T) {
	x := open(t, t.TempDir())
	wrong := errors.New("wrong")
	if err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error { tx.Get("t", "a"); return nil }); err != nil {
		t.Error(err)
	}
	if err := x.Update(context.Background(), backend.Locks{}, func(backend.WriteTx) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v, want %v", err, wrong)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x.commits != 0 {
		t.Errorf("%d commits without writes", x.commits)
	}
}

// TestUpdateThatFailsBeforeWritingLeavesGroup checks that the other updates do not run again.
func TestUpdateThatFailsBeforeWritingLeavesGroup(t *testing.T) {
	x := open(t, t.TempDir())
	defer x.Close()
	release := block(t, x)
	wrong := errors.New("wrong")
	runs := 0
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		first <- x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
			runs++
			return write("a")(tx)
		})
	}()
	queued(x, 1)
	go func() {
		second <- x.Update(context.Background(), backend.Locks{}, func(backend.WriteTx) error { return wrong })
	}()
	queued(x, 2)
	release()
	if err := <-first; err != nil || runs != 1 {
		t.Errorf("ran %d times, %v", runs, err)
	}
	if err := <-second; !errors.Is(err, wrong) {
		t.Errorf("the failing update returned %v, want %v", err, wrong)
	}
}

// TestUpdateErrorsReflectDurableState queues an update that writes and fails, and then one that looks for what the
// first wrote.
func TestUpdateErrorsReflectDurableState(t *testing.T) {
	x := open(t, t.TempDir())
	defer x.Close()
	release := block(t, x)
	wrong, found := errors.New("wrong"), errors.New("found")
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		first <- x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
			return errors.Join(write("a")(tx), wrong)
		})
	}()
	queued(x, 1)
	go func() {
		second <- x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
			if tx.Get("t", "a") != nil {
				return found
			}
			return write("b")(tx)
		})
	}()
	queued(x, 2)
	release()
	if err := <-first; !errors.Is(err, wrong) {
		t.Errorf("the failing update returned %v, want %v", err, wrong)
	}
	if err := <-second; err != nil {
		t.Errorf("the other update returned %v", err)
	}
	if n := keys(t, x); n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
}

func TestCanceledQueuedUpdateDoesNotRun(t *testing.T) {
	x := open(t, t.TempDir())
	defer x.Close()
	release := block(t, x)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Update(ctx, backend.Locks{}, write("a")) }()
	queued(x, 1)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) { // even while the committer is busy
		t.Errorf("update returned %v, want %v", err, context.Canceled)
	}
	release()
	if err := x.Update(context.Background(), backend.Locks{}, write("b")); err != nil {
		t.Fatal(err)
	}
	if n := keys(t, x); n != 1 {
		t.Errorf("%d keys, want 1: the canceled update must not run", n)
	}
}

func TestUpdatePanicReachesCaller(t *testing.T) {
	x := open(t, t.TempDir())
	defer x.Close()
	release := block(t, x)
	recovered := make(chan any)
	go func() {
		defer func() { recovered <- recover() }()
		_ = x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
			_ = write("a")(tx)
			panic("oh")
		})
	}()
	queued(x, 1)
	neighbour := make(chan error)
	go func() { neighbour <- x.Update(context.Background(), backend.Locks{}, write("b")) }()
	queued(x, 2)
	release()
	if v := <-recovered; v == nil {
		t.Error("the caller does not panic")
	}
	if err := <-neighbour; err != nil {
		t.Errorf("the other update: %v", err)
	}
	if n := keys(t, x); n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
}

func TestCloseRunsQueuedUpdates(t *testing.T) {
	folder := t.TempDir()
	x := open(t, folder)
	release := block(t, x)
	const updates = 8
	var all sync.WaitGroup
	for i := range updates {
		all.Go(func() {
			if err := x.Update(context.Background(), backend.Locks{}, write(strconv.Itoa(i))); err != nil {
				t.Errorf("queued before Close: %v", err)
			}
		})
	}
	queued(x, updates)
	closed := make(chan error)
	go func() { closed <- x.Close() }()
	for !x.isClosed() {
		runtime.Gosched()
	}
	if err := x.Update(context.Background(), backend.Locks{}, write("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("update after Close: %v, want %v", err, ErrClosed)
	}
	release()
	all.Wait()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	x = open(t, folder)
	defer x.Close()
	if n := keys(t, x); n != updates {
		t.Errorf("%d of %d updates are stored", n, updates)
	}
}

func (x *Index) isClosed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.closed
}

func BenchmarkUpdate(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(strconv.Itoa(workers), func(b *testing.B) {
			x := open(b, b.TempDir())
			jobs := make(chan int)
			var all sync.WaitGroup
			for range workers {
				all.Go(func() {
					for i := range jobs {
						if err := x.Update(context.Background(), backend.Locks{}, write(strconv.Itoa(i))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				jobs <- i
			}
			close(jobs)
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
			if err := x.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/float64(x.commits), "updates/commit")
		})
	}
}

func TestUpdateFailsAfterFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	ctx := context.Background()
	if err := x.Update(ctx, backend.Locks{}, write("before")); err != nil {
		t.Fatal(err)
	}
	path := x.path
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := x.Update(ctx, backend.Locks{}, write("removed")); !errors.Is(err, ErrFileReplaced) {
		t.Errorf("update after the file was removed: %v, want %v", err, ErrFileReplaced)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := x.Update(ctx, backend.Locks{}, write("replaced")); !errors.Is(err, ErrFileReplaced) {
		t.Errorf("update after the file was replaced: %v, want %v", err, ErrFileReplaced)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if err := x.Update(ctx, backend.Locks{}, write("after")); err != nil {
		t.Errorf("update after the file was restored: %v", err)
	}
}

// TestWaiting checks that a running update learns whether another one waits.
func TestWaiting(t *testing.T) {
	x, err := Open(filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var alone bool
	second := make(chan error, 1)
	err = x.Update(t.Context(), backend.Locks{}, func(backend.WriteTx) error {
		alone = !x.Waiting()
		go func() { second <- x.Update(t.Context(), backend.Locks{}, func(backend.WriteTx) error { return nil }) }()
		for !x.Waiting() {
			runtime.Gosched()
		}
		return nil
	})
	if err != nil || !alone {
		t.Errorf("alone: %v, %v; want true", alone, err)
	}
	if err := <-second; err != nil || x.Waiting() {
		t.Errorf("waiting: %v, %v; want false", x.Waiting(), err)
	}
}
