package middleware

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Alive answers 200 as long as the process serves requests.
func Alive() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, "alive") })
}

const (
	// readyTTL is how long a result is reused. Without it, anonymous clients could cause as many disk writes as they
	// like.
	readyTTL = time.Second
	// readyTimeout limits the time of all checks.
	readyTimeout = 5 * time.Second
)

// Check is a condition for readiness. Its error is logged; clients only see the name, and the cause if it is an error of
// the system, such as "permission denied".
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Ready returns the readiness that the checks determine.
func Ready(log *zap.Logger, checks ...Check) *Readiness { return &Readiness{log: log, checks: checks} }

// ServeHTTP answers 200 if all checks pass. Otherwise it answers 503 with the result of [Readiness.Check].
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if failed := r.Check(req.Context()); failed != "" {
		respond(w, http.StatusServiceUnavailable, "not ready: "+failed)
		return
	}
	respond(w, http.StatusOK, "ready")
}

// Readiness says whether the server is ready. It is safe for concurrent use.
type Readiness struct {
	log    *zap.Logger
	checks []Check

	mu      sync.Mutex
	checked time.Time
	failed  string
}

// Check runs the checks one after another, at most once per second. It returns the name and the cause of the first check that
// failed, or "".
func (r *Readiness) Check(ctx context.Context) string {
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
			if cause := syscall.Errno(0); errors.As(err, &cause) {
				failed += ": " + cause.Error()
			}
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
	_, _ = io.WriteString(w, fmt.Sprintln(text)) // the client may be gone
}
