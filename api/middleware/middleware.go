// Package middleware wraps the registry's handler. It gives each request an ID, applies limits and timeouts, sets
// security headers and reports the finished request to observers: metrics, the access log, the audit log and events.
package middleware

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Options configure a [Handler]. The zero value is valid.
type Options struct {
	// Pages are served by path, without limits and observers: metrics and health checks.
	Pages map[string]http.Handler
	// User returns the name of the user from a request's context, or "" if the client is anonymous.
	User func(context.Context) string
	// Observers are called in order when a request has ended, by the goroutine that served it. They must not keep the
	// Exchange.
	Observers []func(*Exchange)
}

// Exchange is a finished request.
type Exchange struct {
	ID       string // request ID, as in the response
	Address  string // of the client, without a port; see [Settings.Proxies]
	User     string // "" if the client is anonymous
	Request  *http.Request
	Started  time.Time
	Duration time.Duration
	Status   int         // 0 if there was no response
	In, Out  int64       // bytes of the bodies
	Header   http.Header // of the response
	// Aborted means that the response was cut off, or never began.
	Aborted bool
	// Call is what the registry did; nil if the request did not reach it.
	Call *registry.Call
}

// Handler is an [http.Handler] that wraps another one. It is safe for concurrent use.
type Handler struct {
	next     http.Handler
	opts     Options
	settings atomic.Pointer[Settings]
	requests *mirror.Shares[netip.Prefix] // in flight, by client network
	rates    *rates
	uploads  uploads
	ids      ids
	observed bool
}

// New returns a handler that wraps next.
func New(next http.Handler, opts Options, settings Settings) *Handler {
	h := &Handler{next: next, opts: opts, requests: mirror.NewShares[netip.Prefix](0), rates: newRates(), ids: newIDs(), observed: len(opts.Observers) > 0}
	h.Configure(settings)
	return h
}

// InFlight returns the number of requests in flight.
func (h *Handler) InFlight() int64 {
	n, _ := h.requests.Used()
	return n
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(w.Header())
	settings := h.settings.Load()
	r = withClientAddress(settings.Proxies, r)
	out := &writer{ResponseWriter: w, stall: settings.StallTimeout, started: time.Now()}
	out.begin()
	if mustClose(r) {
		w.Header()["Connection"] = []string{"close"}
	}
	if page, ok := h.opts.Pages[r.URL.Path]; ok {
		page.ServeHTTP(w, r)
		return
	}
	id := h.ids.of(r)
	out.id[0] = id
	w.Header()["X-Request-Id"] = out.id[:]
	var in *body
	if r.Body != nil && r.Body != http.NoBody {
		in = &body{ReadCloser: r.Body, out: out}
		r.Body = in
	}
	done := false
	defer func() {
		out.extend(time.Now()) // for what net/http still has to write
		h.notify(out, in, r, id, !done)
	}()
	h.admit(settings, out, r)
	done = true
}

// admit passes a request to the next handler if the limits allow it, and refuses it otherwise.
func (h *Handler) admit(settings *Settings, w *writer, r *http.Request) {
	network := mirror.NetworkOf(r.RemoteAddr)
	if !h.acquire(settings, network, w, r) {
		return
	}
	defer h.requests.Give(network, 1)
	if err := crossOrigin.Check(r); err != nil {
		registry.Refuse(w, r, mirror.Errorf(mirror.CodeDenied, "a page of another site may not change anything on this mirror: %w", err))
		return
	}
	if settings.RequestsPerSecond > 0 || settings.Uploads > 0 {
		leave, ok := h.admitAddress(settings, w, r)
		if !ok {
			return
		}
		defer leave()
	}
	h.next.ServeHTTP(w, r)
}

// notify calls the observers.
func (h *Handler) notify(out *writer, in *body, r *http.Request, id string, broken bool) {
	if !h.observed {
		return
	}
	e := &out.exchange
	e.ID, e.Request, e.Started, e.Duration = id, r, out.started, time.Since(out.started)
	e.Status, e.Out, e.Aborted, e.Header = out.status, out.sent, broken, out.Header()
	if in != nil {
		e.In = in.read
	}
	if e.Status == 0 && !broken {
		e.Status = http.StatusOK
	}
	e.Address = mirror.HostOf(r.RemoteAddr)
	e.User = out.user
	if out.hasCall && h.opts.User != nil {
		e.User = h.opts.User(out.call.Context)
	}
	if out.hasCall {
		e.Call = &out.call
	}
	for _, observe := range h.opts.Observers {
		observe(e)
	}
}
