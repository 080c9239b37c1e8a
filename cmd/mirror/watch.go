package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/api/auth"
	"airmirror/api/metrics"
	"airmirror/api/middleware"
	"airmirror/cmd/mirror/config"
	"airmirror/gc"
	"airmirror/upstream"
)

const (
	metricsPath = "/metrics"
	alivePath   = "/healthz"
	readyPath   = "/readyz"
)

// watch is what tells how a server is doing.
type watch struct {
	metrics *metrics.Metrics
	front   *middleware.Handler
	pages   map[string]http.Handler
	// listener is an address of its own, nil without one.
	listener net.Listener
	expires  func() time.Time // of the certificate; nil without TLS
	log      *zap.Logger
}

func newWatch(c config.Metrics, log *zap.Logger) (*watch, error) {
	w := &watch{metrics: metrics.New(version, log), log: log}
	if !c.Enabled || c.Listen == "" {
		return w, nil
	}
	var err error
	w.listener, err = listen(c.Listen, "metrics.listen")
	return w, err
}

// upstream counts what is asked of upstreams; it is an observer of theirs.
func (w *watch) upstream(o upstream.RequestInfo) { w.metrics.Upstream(o.Host, o.Status, o.Took) }

// handler returns what clients are answered by: next, and what stands in front of it. Where clients are served, metrics
// are for who may look after the mirror; who can reach an address of their own may read them there.
func (w *watch) handler(next http.Handler, guard *auth.Guard, services *services, c serveConfig) http.Handler {
	w.pages = map[string]http.Handler{
		alivePath: middleware.Alive(),
		readyPath: middleware.Ready(w.log, services.checks(c)...),
	}
	pages := map[string]http.Handler{alivePath: w.pages[alivePath], readyPath: w.pages[readyPath]}
	if c.Metrics.Enabled {
		w.pages[metricsPath] = w.metrics.Handler()
		if c.Metrics.Listen == "" {
			pages[metricsPath] = guard.Admins(w.pages[metricsPath])
		}
	}
	w.front = middleware.New(next, middleware.Options{
		Pages:     pages,
		User:      auth.UserOf,
		Observers: []func(*middleware.Exchange){w.metrics.Request, services.audit.Request, c.events.Request, middleware.AccessLog(w.log, func() bool { return c.current().AccessLog })},
	}, c.Front())
	w.metrics.Watch(metrics.Sources{
		Mirror: services.mirror, Store: services.store, Space: services.store.Space, Collection: services.collected, InFlight: w.front.InFlight, Events: c.events.Status,
		CertificateExpires: w.expires,
	})
	return w.front
}

// serve answers for metrics and health at an address of their own, if they have one, until ctx ends. Call it after handler.
func (w *watch) serve(ctx context.Context) {
	if w.listener == nil {
		return
	}
	server := newServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if page, ok := w.pages[r.URL.Path]; ok {
			page.ServeHTTP(out, r)
			return
		}
		http.NotFound(out, r)
	}), w.log)
	server.WriteTimeout = time.Minute
	context.AfterFunc(ctx, func() { server.Close() })
	w.log.Info("serving metrics", zap.Stringer("address", w.listener.Addr()))
	if err := server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
		w.log.Error("metrics are not served any more", zap.Error(err))
	}
}

// checks are what has to be in order for the mirror to be ready. That upstreams answer is none of it.
func (w *services) checks(c serveConfig) []middleware.Check {
	index := filepath.Join(c.Data, indexName)
	opened, _ := os.Stat(index)
	return []middleware.Check{
		{Name: "the data folder cannot be written to", Run: func(context.Context) error { return tryFolder(c.Data) }},
		{Name: "the folder of uploads cannot be written to", Run: func(context.Context) error { return tryFolder(filepath.Join(c.Data, "incoming")) }},
		{Name: "the index was removed or replaced", Run: func(context.Context) error { return sameFile(index, opened) }},
		{Name: "the index cannot be read", Run: func(ctx context.Context) error {
			_, err := w.store.Repos(ctx, "", 1)
			return err
		}},
		{Name: "the folder of blobs cannot be read", Run: func(context.Context) error { return readable(filepath.Join(c.Data, "blobs")) }},
		{Name: "the disk is full", Run: func(context.Context) error {
			if w.mirror.ReadOnly() {
				return nil
			}
			return w.mirror.Writable()
		}},
	}
}

// sameFile reports whether the file at path is no longer the one that it was: what is open there can be read on, and
// keeps nothing.
func sameFile(path string, was os.FileInfo) error {
	now, err := os.Stat(path)
	if err == nil && !os.SameFile(now, was) {
		err = fmt.Errorf("%s is another file than the one in use", path)
	}
	return err
}

// readable reports whether a folder of blobs, or a folder of an algorithm in it, cannot be read. They are made before a
// server starts, so one that is gone took its content with it.
func readable(folder string) error {
	for _, path := range []string{folder, filepath.Join(folder, digest.SHA256.String()), filepath.Join(folder, digest.SHA512.String())} {
		opened, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = opened.Readdirnames(1)
		if opened.Close(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// tryFolder reports whether a file cannot be written in a folder.
func tryFolder(folder string) error {
	path := filepath.Join(folder, ".ready")
	err := os.WriteFile(path, []byte("ready\n"), 0o600)
	return errors.Join(err, os.Remove(path))
}

// collectionNotes is the kind of notes that are results of the collector, by what it ran for; see [gc.Result].
const collectionNotes = "collection"

// collected returns what the last run of the collector did; nil if there was none.
func (w *services) collected(ctx context.Context) (*metrics.Collection, error) {
	notes, err := w.store.State(ctx, collectionNotes)
	if err != nil {
		return nil, err
	}
	var last *metrics.Collection
	for _, note := range notes {
		var r gc.Result
		if json.Unmarshal(note, &r) == nil && (last == nil || r.Began.After(last.Started)) {
			last = &metrics.Collection{Started: r.Began, Seconds: r.Seconds, Bytes: r.Bytes, Failed: r.Error != ""}
		}
	}
	return last, nil
}
