package upstream

import (
	"context"
	"errors"
	"sync"
	"time"
)

// watchdog cancels a request whose answer takes too long to begin: at the deadline or, if somebody vouched for whoever
// is asked by then, after the limit.
type watchdog struct {
	caller   context.Context // whose request it is
	ctx      context.Context // of the request
	cancel   context.CancelCauseFunc
	deadline time.Time
	limit    time.Duration // after the beginning
	patience time.Duration

	mu       sync.Mutex
	timer    *time.Timer
	half     *time.Timer // asks for somebody to vouch; nil if nobody can
	vouched  bool
	extended bool
	over     bool
}

// watchdog returns one for a request to o. Half of the time is for an answer; then /v2/ is asked whether there is
// anybody. Only the last of several endpoints may take longer: before it the next one is asked.
func (o *origin) watchdog(ctx context.Context, patience time.Duration, k kind, last bool) *watchdog {
	w := &watchdog{caller: ctx, deadline: time.Now().Add(patience), patience: patience, limit: patience}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	begun := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if last {
		w.limit = 4 * o.opts.Timeout
		if k == aBlob {
			w.limit = max(w.limit, o.opts.BlobTimeout)
		}
	}
	w.half = time.AfterFunc(patience/2, func() {
		if o.vouch(w.caller, begun) == nil {
			w.mu.Lock()
			w.vouched = true
			w.mu.Unlock()
		}
	})
	w.timer = time.AfterFunc(patience, w.expire)
	return w
}

// expire ends the request, unless it may go on.
func (w *watchdog) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	waited := w.patience
	switch {
	case w.over:
		return
	case w.vouched && !w.extended && w.limit > w.patience:
		w.extended = true
		w.timer.Reset(w.limit - w.patience)
		return
	case w.extended:
		waited = w.limit
	}
	w.over = true
	w.cancel(timeoutError(waited.Round(time.Millisecond)))
}

// arrived is for when the answer has begun: no more is waited for the rest of it than for any.
func (w *watchdog) arrived() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.half.Stop()
	if w.extended && !w.over {
		w.timer.Reset(w.patience)
	}
	w.limit = w.patience
}

// reason is why the request ended, if the watchdog or the caller ended it, and err otherwise.
func (w *watchdog) reason(err error) error {
	if cause := context.Cause(w.ctx); cause != nil {
		return cause
	}
	return err
}

// dismiss leaves the rest of the answer to its caller, and reports whether that was in time.
func (w *watchdog) dismiss() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	inTime := !w.over
	w.over = true
	w.timer.Stop()
	w.half.Stop()
	return inTime
}

// midst is until when the request may be held back, so that there is as much time left for its answer to begin.
func (w *watchdog) midst() time.Time { return time.Now().Add(time.Until(w.deadline) / 2) }

// end lets go of the request.
func (w *watchdog) end() {
	w.dismiss()
	w.cancel(context.Canceled)
}

func isTimeout(err error) bool {
	var silence timeoutError
	return errors.As(err, &silence)
}
