// Package middleware is what every request passes before it comes to the registry: it gets an id, is counted and measured, is
// refused if there are too many, and is cut off if it does not move. What came of it is told to whoever observes: metrics,
// the access log, the audit log.
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

// Options are what a [Handler] is made with. The zero value works.
type Options struct {
	// Pages are answered by themselves, by their paths, whatever the limits: metrics, health.
	Pages map[string]http.Handler
	// User returns the name of the user whose request has a context; "" if that is nobody.
	User func(context.Context) string
	// Observers are told of each request when it has ended, by the goroutine that answered it. They must not keep it.
	Observers []func(*Exchange)
}

// Exchange is a request with what came of it.
type Exchange struct {
	ID       string // of the request, as its answer says
	Address  string // of the client, without the port; see [Settings.Proxies]
	User     string // "" if the client is anonymous
	Request  *http.Request
	Started  time.Time
	Duration time.Duration
	Status   int         // 0 if there was no answer
	In, Out  int64       // bytes of bodies
	Header   http.Header // of the answer
	// Aborted: the answer ended before it was whole, or never began.
	Aborted bool
	// Call is what the registry saw in the request; nil if the request was not for it.
	Call *registry.Call
}

// Handler stands in front of a handler. It is safe for concurrent use.
type Handler struct {
	next     http.Handler
	opts     Options
	settings atomic.Pointer[Settings]
	requests *mirror.Shares[netip.Prefix] // of the requests under way
	rates    *rates
	uploads  uploads
	ids      ids
	observed bool
}

// New returns what stands in front of next.
func New(next http.Handler, opts Options, settings Settings) *Handler {
	f := &Handler{next: next, opts: opts, requests: mirror.NewShares[netip.Prefix](0), rates: newRates(), ids: newIDs(), observed: len(opts.Observers) > 0}
	f.Configure(settings)
	return f
}

// InFlight is how many requests are being answered.
func (f *Handler) InFlight() int64 {
	n, _ := f.requests.Used()
	return n
}

// ServeHTTP answers one request.
func (f *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(w.Header())
	settings := f.settings.Load()
	r = withClientAddress(settings.Proxies, r)
	out := &writer{ResponseWriter: w, stall: settings.StallTimeout, started: time.Now()}
	out.begin()
	if mustClose(r) {
		w.Header()["Connection"] = []string{"close"}
	}
	if page, ok := f.opts.Pages[r.URL.Path]; ok {
		page.ServeHTTP(w, r)
		return
	}
	id := f.ids.of(r)
	w.Header()["X-Request-Id"] = []string{id}
	var in *body
	if r.Body != nil && r.Body != http.NoBody {
		in = &body{ReadCloser: r.Body, out: out}
		r.Body = in
	}
	done := false
	defer func() {
		out.extend(time.Now()) // for what net/http has yet to write
		f.notify(out, in, r, id, !done)
	}()
	f.admit(settings, out, r)
	done = true
}

// admit answers a request unless a limit says that it is too many.
func (f *Handler) admit(settings *Settings, w *writer, r *http.Request) {
	end, ok := f.acquire(settings, w, r)
	if !ok {
		return
	}
	defer end()
	if err := crossOrigin.Check(r); err != nil {
		registry.Refuse(w, r, mirror.Errorf(mirror.CodeDenied, "a page of another site may not change anything here: %w", err))
		return
	}
	if settings.RequestsPerSecond > 0 || settings.Uploads > 0 {
		leave, ok := f.admitAddress(settings, w, r)
		if !ok {
			return
		}
		defer leave()
	}
	f.next.ServeHTTP(w, r)
}

// tell tells observers what came of a request.
func (f *Handler) notify(out *writer, in *body, r *http.Request, id string, broken bool) {
	if !f.observed {
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
	if out.hasCall && f.opts.User != nil {
		e.User = f.opts.User(out.call.Context)
	}
	if out.hasCall {
		e.Call = &out.call
	}
	for _, observe := range f.opts.Observers {
		observe(e)
	}
}
