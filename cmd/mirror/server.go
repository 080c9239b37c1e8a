package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"airmirror/api/auth"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/cmd/mirror/config"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
	"airmirror/upstream"
)

// A body may take any time as long as it moves; see [middleware.Settings].
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// serve runs the mirror until ctx ends, then lets transfers end and returns.
func serve(ctx context.Context, c serveConfig, out io.Writer) error {
	hangUp := make(chan os.Signal, 1) // from the start: it would end the process otherwise
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	level, err := zap.ParseAtomicLevel(c.LogLevel)
	if err != nil {
		return err
	}
	log := newLoggerAt(level, c.LogFormat)
	defer log.Sync() //nolint:errcheck // standard error cannot be synced on every system
	limitMemory(log)
	listener, err := listen(c.Listen, "--listen")
	if err != nil {
		return err
	}
	defer listener.Close()
	watch, err := newWatch(c.Metrics, log)
	if err != nil {
		return err
	}
	served, err := serveTLS(ctx, c.TLS, listener, log)
	if err != nil {
		return err
	}
	watch.expires = served.expires()
	if err := mayServe(c.Data, os.Geteuid()); err != nil {
		return err
	}
	store, err := openStore(c.Data, cache.Options{Log: log})
	if err != nil {
		return err
	}
	defer store.Close()
	guard, err := guard(c.Config, log)
	if err != nil {
		return err
	}
	c.observe, c.live = watch.upstream, new(atomic.Pointer[config.Config])
	c.live.Store(&c.Config)
	if c.events, err = c.openEvents(listener.Addr().String(), log); err != nil {
		return err
	}
	defer c.events.Close() // the last: until then something happens
	m, err := newMirror(store, c, log)
	if err != nil {
		return err
	}
	if c.Mode != "" {
		err := m.SetMode(ctx, mirror.Mode(c.Mode))
		if err != nil && m.Mode() != mirror.Mode(c.Mode) {
			return errors.Join(err, closeMirror(ctx, m))
		}
		if err != nil {
			log.Warn("the mode is what was asked for, but not for the next start", zap.Error(err))
		}
	}
	w, err := newServices(ctx, m, store, c, log)
	if err != nil {
		return errors.Join(err, closeMirror(ctx, m))
	}
	w.watch, w.reloader = watch, newReloader(w, guard, c, hangUp, level, served.prepare, log)
	printBanner(out, listener.Addr(), c, m.Mode(), guard.Summary())
	return serveHTTP(ctx, listener, served.on, w, guard, c, log)
}

func listen(address, setting string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &exitError{exitAddress, fmt.Errorf("cannot listen on %s: %w; choose another address with %s", address, cause(err), setting)}
	}
	return listener, nil
}

// openStore opens the data folder, which from then on belongs to this process.
func openStore(data string, opts cache.Options) (*cache.Store, error) {
	store, err := cache.Open(cache.Config{Folder: data, Options: opts})
	if errors.Is(err, cache.ErrInUse) {
		return nil, &exitError{exitInUse, fmt.Errorf("the data folder %s is in use by another process: stop that one, or choose another folder with --data", data)}
	}
	if err != nil {
		return nil, folderError(data, err)
	}
	return store, nil
}

// folderError is the error for a data folder that cannot be used, with what to do about it.
func folderError(data string, err error) error {
	switch {
	case errors.Is(err, cache.ErrIndexMissing):
		err = fmt.Errorf("%w: 'mirror verify --rebuild' makes a new one", err)
	case errors.Is(err, cache.ErrIndexDamaged):
		err = fmt.Errorf("%w; 'mirror verify --rebuild' makes a new index, and keeps this one", err)
	}
	return &exitError{exitData, fmt.Errorf("cannot use the data folder %s: %w", data, err)}
}

func newMirror(store mirror.Store, c serveConfig, log *zap.Logger) (*proxy.Proxy, error) {
	opts := proxy.Options{
		Names:         c.Names(),
		TagTTL:        func(ref mirror.Ref) time.Duration { return c.current().TTLOf(ref) },
		Local:         func(repo mirror.Repo) (local, decided bool) { return c.current().IsLocal(repo) },
		Backfill:      func(repo mirror.Repo) (images, referrers bool) { return c.current().BackfillOf(repo) },
		CheckCapacity: c.room(store),
		OnWant:        c.events.Want,
		Offline:       c.Offline,

		MissesPerSecond: func() float64 { return c.current().Limits.MissesPerSecond },

		Log: log,

		IgnoreNondistributable: c.IgnoreNondistributable,

		ScrubEvery: time.Duration(c.Verify.Interval),
		ScrubRate:  int64(c.Verify.Rate),
	}
	if c.Offline { // what is not there cannot dial
		return proxy.New(store, nil, opts)
	}
	client, err := newUpstream(c.Registries(), c, log)
	if err != nil {
		return nil, err
	}
	return proxy.New(store, client, opts)
}

// newUpstream returns a client of registries.
func newUpstream(registries []upstream.Config, c serveConfig, log *zap.Logger) (*upstream.Client, error) {
	retryFor := time.Duration(c.RetryFor)
	if retryFor == 0 {
		retryFor = -1 // not at all; zero means the default there
	}
	client, err := upstream.New(registries, upstream.Options{Timeout: time.Duration(c.UpstreamTimeout), RetryFor: retryFor, Logger: log, Version: version, Observe: c.observe})
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return client, nil
}

// serveHTTP serves a mirror by serveOn on listener until ctx ends, then lets what is under way end within the shutdown
// timeout.
func serveHTTP(ctx context.Context, listener net.Listener, serveOn func(*http.Server) error, w *services, guard *auth.Guard, c serveConfig, log *zap.Logger) error {
	m := w.mirror
	front := guard.Handler(registry.New(m, registry.Options{NoDelete: func() bool { return !c.current().AllowDelete }, Authorizer: guard, OpenUploads: w.uploads, Log: log}))
	server := newServer(w.watch.handler(front, guard, w, c), log)
	if c.Limits.StallTimeout > 0 {
		server.HTTP2 = &http.HTTP2Config{WriteByteTimeout: time.Duration(c.Limits.StallTimeout)}
	}
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return mirror.WithClient(ctx, c.RemoteAddr()) }
	go w.watch.serve(ctx)
	go w.reloader.follow(ctx)
	c.events.Deliver(m.NetworkContext)
	stopAdmin := serveAdmin(ctx, w, c, listener.Addr(), log)
	stopCollector := serveCollector(ctx, w.collector)
	failed := make(chan error, 1)
	go func() { failed <- serveOn(server) }()
	log.Info("serving", zap.Stringer("address", listener.Addr()), zap.String("data", c.Data), zap.String("mode", string(m.Mode())), zap.String("access", guard.Summary()))
	if note := c.OpenLogins(); note != "" {
		log.Warn("an upstream that the mirror signs in to is open", zap.String("reason", note))
	}
	var failure error
	select {
	case err := <-failed: // what is held in memory is to be kept all the same
		failure = fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	timeout := time.Duration(c.current().ShutdownTimeout)
	log.Info("stopping: transfers under way may end", zap.Duration("timeout", timeout))
	deadline, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	stopAdmin(deadline)
	stopCollector()
	if err := server.Shutdown(deadline); err != nil {
		log.Warn("clients were cut off", zap.Error(err))
		server.Close()
	}
	if err := m.Close(deadline); err != nil {
		log.Warn("transfers were broken off", zap.Error(err))
	}
	log.Info("stopped")
	return failure
}

// serveCollector has space freed by schedule and when the disk is nearly full, until ctx ends or stop is called, which
// returns when a run under way has ended: soon, as it does so between two steps.
func serveCollector(ctx context.Context, collector *gc.Collector) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Go(func() { collector.Serve(ctx) })
	return func() {
		cancel()
		serving.Wait()
	}
}

// maxIdleConns limits the idle connections of all clients of a server; see [middleware.LimitIdleConns].
const maxIdleConns = 8192

// newServer returns a server with the limits of all that this process serves. What net/http says goes wrong, as that no
// connection can be accepted, is a warning.
func newServer(handler http.Handler, log *zap.Logger) *http.Server {
	faults, err := zap.NewStdLogAt(log.WithOptions(zap.AddCallerSkip(1)), zap.WarnLevel)
	if err != nil { // there is no such level
		panic(err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          faults,
	}
	middleware.LimitIdleConns(server, maxIdleConns)
	return server
}

// cause strips what net.Listen says again of the address.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		var sys *os.SyscallError
		if errors.As(op.Err, &sys) {
			return sys.Err
		}
		return op.Err
	}
	return err
}
