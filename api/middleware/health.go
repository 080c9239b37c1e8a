package middleware

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Alive answers that the process serves: 200, always.
func Alive() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, "alive") })
}

const (
	// readyTTL is how long an answer holds: whoever may ask as often as they like cannot have the disk written to as often.
	readyTTL = time.Second
	// readyTimeout is how long it may take to find out.
	readyTimeout = 5 * time.Second
)

// Check is something that has to be in order for a mirror to be ready. Its error is logged; clients are told the name.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Ready answers 200 if all checks find everything in order, and 503 with the names of those that do not. The checks are
// made one after another, and not more often than once in a second.
func Ready(log *zap.Logger, checks ...Check) http.Handler {
	r := &readiness{log: log, checks: checks}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if failed := r.check(req.Context()); failed != "" {
			respond(w, http.StatusServiceUnavailable, "not ready: "+failed)
			return
		}
		respond(w, http.StatusOK, "ready")
	})
}

type readiness struct {
	log    *zap.Logger
	checks []Check

	mu      sync.Mutex
	checked time.Time
	failed  string
}

// look returns what is not in order.
func (r *readiness) check(ctx context.Context) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.checked.IsZero() && time.Since(r.checked) < readyTTL {
		return r.failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	failed := ""
	for _, check := range r.checks {
		if err := check.Run(ctx); err != nil {
			r.log.Error("not ready", zap.String("check", check.Name), zap.Error(err))
			failed = check.Name
			break
		}
	}
	r.checked, r.failed = time.Now(), failed
	return failed
}

func respond(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, fmt.Sprintln(text)) // a client that is gone needs no answer
}
