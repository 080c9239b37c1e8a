package server

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"airmirror/api/auth"
	"airmirror/api/metrics"
	"airmirror/api/middleware"
	"airmirror/cmd/mirror/config"
	"airmirror/gc"
	"airmirror/upstream"
)

// Paths of the pages for monitoring.
const (
	metricsPath = "/metrics"
	alivePath   = "/healthz"
	readyPath   = "/readyz"
)

// monitoring serves metrics and health checks, and observes requests.
type monitoring struct {
	metrics    *metrics.Metrics
	middleware *middleware.Handler
	ready      *middleware.Readiness
	pages      map[string]http.Handler
	listener   net.Listener     // for pages; nil without an address of its own
	expires    func() time.Time // expiry of the certificate; nil without TLS
	// droppedLines returns how many lines the log lacks.
	droppedLines func() uint64
	log          *zap.Logger
}

func newMonitoring(c config.Metrics, version string, log *zap.Logger) (*monitoring, error) {
	m := &monitoring{metrics: metrics.New(version, log), log: log}
	if !c.Enabled || c.Listen == "" {
		return m, nil
	}
	var err error
	m.listener, err = listen(c.Listen, "metrics.listen")
	return m, err
}

// upstream counts a request to an upstream.
func (m *monitoring) upstream(r upstream.RequestInfo) { m.metrics.Upstream(r.Host, r.Status, r.Took) }

// handler returns next with the middleware and the pages for monitoring in front. On the address for clients, metrics are
// only for admins. On an address of its own, they are for everyone who can reach it.
func (m *monitoring) handler(next http.Handler, s *server) http.Handler {
	m.ready = middleware.Ready(m.log, s.readyChecks()...)
	m.pages = map[string]http.Handler{alivePath: middleware.Alive(), readyPath: m.ready}
	pages := map[string]http.Handler{alivePath: m.pages[alivePath], readyPath: m.pages[readyPath]}
	if c := s.settings.Metrics; c.Enabled {
		m.pages[metricsPath] = m.metrics.Handler()
		if c.Listen == "" {
			pages[metricsPath] = s.guard.Admins(m.pages[metricsPath])
		}
	}
	m.middleware = middleware.New(next, middleware.Options{
		Pages: pages,
		User:  auth.UserOf,
		Observers: []func(*middleware.Exchange){
			m.metrics.Request, s.audit.Request, s.events.Request, middleware.AccessLog(m.log, func() bool { return s.current().AccessLog }),
		},
	}, s.middlewareSettings(s.settings.Config))
	m.metrics.Watch(metrics.Sources{
		Mirror: s.Proxy, Store: s.store, Space: s.store.Space, Collection: s.lastCollection, InFlight: m.middleware.InFlight, Events: s.events.Status,
		CertificateExpires: m.expires, DroppedLogLines: m.droppedLines, AuditFailures: s.audit.Failures,
	})
	return m.middleware
}

// serve serves the pages on their own address, if they have one, until ctx ends. It must be called after handler.
func (m *monitoring) serve(ctx context.Context) {
	if m.listener == nil {
		return
	}
	server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page, ok := m.pages[r.URL.Path]; ok {
			page.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	}), otherConns, m.log)
	server.WriteTimeout = time.Minute
	context.AfterFunc(ctx, func() { server.Close() })
	m.log.Info("serving metrics", zap.Stringer("address", m.listener.Addr()))
	if err := server.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
		m.log.Error("cannot serve metrics any more", zap.Error(err))
	}
}

// collectionStates is the kind of the states in the store that are results of the collector, by cause; see [gc.Result].
const collectionStates = "collection"

// lastCollection returns the result of the last collection; nil if there was none.
func (i *Instance) lastCollection(ctx context.Context) (*metrics.Collection, error) {
	states, err := i.store.State(ctx, collectionStates)
	if err != nil {
		return nil, err
	}
	var last *metrics.Collection
	for _, state := range states {
		var r gc.Result
		if json.Unmarshal(state, &r) == nil && (last == nil || r.Began.After(last.Started)) {
			last = &metrics.Collection{Started: r.Began, Seconds: r.Seconds, Bytes: r.Bytes, Failed: r.Error != ""}
		}
	}
	return last, nil
}
