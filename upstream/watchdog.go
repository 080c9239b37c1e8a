package upstream

import (
	"context"
	"time"
)

// watchdog cancels a request whose answer takes too long to begin.
type watchdog struct {
	ctx      context.Context // of the request
	cancel   context.CancelCauseFunc
	deadline time.Time
	timer    *time.Timer
}

func newWatchdog(ctx context.Context, patience time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(ctx)
	deadline := time.Now().Add(patience)
	timer := time.AfterFunc(patience, func() { cancel(timeoutError(patience.Round(time.Millisecond))) })
	return &watchdog{ctx: ctx, cancel: cancel, deadline: deadline, timer: timer}
}

// reason is why the request ended, if the watchdog or the caller ended it, and err otherwise.
func (w *watchdog) reason(err error) error {
	if cause := context.Cause(w.ctx); cause != nil {
		return cause
	}
	return err
}

// dismiss leaves the rest of the answer to its caller, and reports whether that was in time.
func (w *watchdog) dismiss() bool { return w.timer.Stop() }

// midst is until when the request may be held back, so that there is as much time left for its answer to begin.
func (w *watchdog) midst() time.Time { return time.Now().Add(time.Until(w.deadline) / 2) }

// end lets go of the request.
func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}
