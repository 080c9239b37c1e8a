package proxy

import (
	"context"
	"sync"
	"time"

	"airmirror/mirror"
)

// errClosing ends background work when the proxy closes.
var errClosing = mirror.Errorf(mirror.CodeUnavailable, "the mirror is shutting down")

// tasks is the work that outlives the request that caused it, and that Close waits for.
type tasks struct {
	ctx     context.Context // of all tasks
	cancel  context.CancelFunc
	closing chan struct{} // closed when close begins

	mu     sync.RWMutex // write-locked by close, so that no task begins after it
	closed bool
	group  sync.WaitGroup
}

func newTasks() *tasks {
	t := &tasks{closing: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// begin adds a task. The caller calls done when it ends. It returns errClosing after close.
func (t *tasks) begin() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.closed {
		return errClosing
	}
	t.group.Add(1)
	return nil
}

func (t *tasks) done() { t.group.Done() }

// close prevents new tasks.
func (t *tasks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		close(t.closing)
	}
}

// wait waits for the tasks until ctx ends, then cancels the others and returns the error of ctx.
func (t *tasks) wait(ctx context.Context) error {
	defer t.cancel()
	done := make(chan struct{})
	go func() { t.group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		t.cancel()
		<-done
		return ctx.Err()
	}
}

// untilClose returns a context for long work that need not be finished: it ends when close begins.
func (t *tasks) untilClose(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-t.closing:
			cancel(errClosing)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// sleep waits for d. It reports whether close has not begun by then.
func (t *tasks) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-t.closing:
		return false
	case <-timer.C:
	}
	select {
	case <-t.closing:
		return false
	default:
		return true
	}
}
