// Package server runs a mirror: it opens the parts that the settings ask for, connects them, listens, reloads the
// settings, and shuts down.
//
// [Run] runs a server until its context ends. [Open] opens the same mirror for a command that runs without a server.
package server

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
	"syscall"
	"time"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/cmd/mirror/config"
	"airmirror/mirror"
)

// server is a mirror that serves clients.
type server struct {
	*Instance
	listener   net.Listener
	transport  transport
	guard      *auth.Guard
	monitoring *monitoring
	reloader   *reloader
	api        *admin.Handler
	places     places

	descriptors descriptors
}

// Run runs a mirror until ctx ends, then waits for transfers to end. It prints to out how clients reach it.
func Run(ctx context.Context, settings config.Loaded, version string, out io.Writer) error {
	hangUp := make(chan os.Signal, 1) // first of all: SIGHUP ends a process that does not handle it
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	level, err := zap.ParseAtomicLevel(settings.LogLevel)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // or a closed standard error would end the process
	log, lines := newLogger(level, settings.LogFormat)
	defer lines.close(lastLinesTimeout)
	limitMemory(log)
	listener, err := listen(settings.Listen, "--listen")
	if err != nil {
		return err
	}
	defer listener.Close()
	places, err := newPlaces(settings.Config)
	if err != nil {
		return err
	}
	defer places.close()
	monitoring, err := newMonitoring(settings.Metrics, version, log)
	if err != nil {
		return err
	}
	transport, err := newTransport(ctx, settings.TLS, listener, log)
	if err != nil {
		return err
	}
	monitoring.expires, monitoring.droppedLines = transport.expires(), lines.dropped
	if err := checkServer(settings.Data, os.Geteuid()); err != nil {
		return err
	}
	i, err := Open(ctx, settings, Options{Version: version, Log: log, address: listener.Addr().String(), observe: monitoring.upstream, spool: true})
	if err != nil {
		return err
	}
	var guard *auth.Guard
	if err = createInitialUser(settings.Config, log); err != nil {
		err = &Error{InvalidConfig, err}
	} else if guard, err = newGuard(settings.Config, i.tokens, log); err == nil {
		err = i.setMode(ctx)
	}
	if err != nil {
		return errors.Join(err, i.Close(ctx))
	}
	s := &server{Instance: i, listener: listener, transport: transport, guard: guard, monitoring: monitoring, places: places, descriptors: divideDescriptors(openFileLimit())}
	s.descriptors.warn(settings.Limits.Requests, log)
	s.reloader = newReloader(s, hangUp, level)
	banner := newLogWriter(out, nil)
	defer banner.close(lastLinesTimeout)
	printBanner(banner, s)
	return errors.Join(s.serve(ctx), i.release())
}

// setMode switches to the configured mode, if there is one.
func (i *Instance) setMode(ctx context.Context) error {
	mode := mirror.Mode(i.settings.Mode)
	if mode == "" {
		return nil
	}
	err := i.Proxy.SetMode(ctx, mode)
	if err != nil && i.Proxy.Mode() != mode {
		return err
	}
	if err != nil {
		i.log.Warn("the mode was set, but it could not be stored for the next start", zap.Error(err))
	}
	return nil
}

// serve serves clients until ctx ends, then waits for transfers until the shutdown timeout.
func (s *server) serve(ctx context.Context) error {
	log := s.log
	s.api = s.newAPI()
	clients := s.newClientServer(ctx)
	go s.monitoring.serve(ctx)
	go s.reloader.follow(ctx)
	s.events.Deliver(s.Proxy.NetworkContext)
	stopAdmin := s.serveAdmin(ctx)
	stopCollector := s.serveCollector(ctx)
	stopUpkeep := s.keepUp(ctx)
	s.Proxy.SurveyInAdvance()
	failed := make(chan error, 3)
	s.transport.prepareServer(clients)
	go func() { failed <- s.transport.serve(clients, s.listener) }()
	for _, own := range s.places.listeners() {
		go func() { failed <- s.transport.serve(clients, own) }()
		log.Info("serving on another address", zap.Stringer("address", own.Addr()))
	}
	log.Info("serving", zap.Stringer("address", s.listener.Addr()), zap.String("data", s.settings.Data), zap.String("mode", string(s.Proxy.Mode())),
		zap.String("access", s.guard.Summary()))
	if warning := s.settings.OpenLogins(); warning != "" {
		log.Warn("content that is fetched with a login is public", zap.String("reason", warning))
	}
	var failure error
	select {
	case err := <-failed: // shut down in any case, to store what is in memory
		failure = fmt.Errorf("serve HTTP on %s: %w", s.listener.Addr(), err)
	case <-ctx.Done():
	}
	timeout := time.Duration(s.current().ShutdownTimeout)
	log.Info("stopping: waiting for transfers", zap.Duration("timeout", timeout))
	deadline, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.api.Close(deadline); err != nil { // before the requests, so that the watchers of jobs receive the reason
		log.Warn("jobs are still running", zap.Error(err))
	}
	stopAdmin(deadline)
	stopCollector()
	stopUpkeep()
	if err := clients.Shutdown(deadline); err != nil {
		log.Warn("clients were disconnected", zap.Error(err))
		clients.Close()
	}
	if err := s.Proxy.Close(deadline); err != nil {
		log.Warn("transfers were interrupted", zap.Error(err))
	}
	log.Info("stopped")
	return failure
}

// newClientServer returns the HTTP server for clients.
func (s *server) newClientServer(ctx context.Context) *http.Server {
	api := registry.New(s.Proxy, registry.Options{
		NoDelete: func() bool { return !s.current().AllowDelete }, Authorizer: s.guard, OpenUploads: s.uploads, Log: s.log,
	})
	clients := newHTTPServer(s.monitoring.handler(s.withConsole(s.withAPI(ctx, s.guard.Handler(api))), s), s.descriptors.connLimits(), s.log)
	if timeout := s.settings.Limits.StallTimeout; timeout > 0 {
		clients.HTTP2 = &http.HTTP2Config{WriteByteTimeout: time.Duration(timeout)}
	}
	clients.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return s.places.withConn(mirror.WithClient(ctx, conn.RemoteAddr()), conn)
	}
	return clients
}

// keepUp does what the store needs in the background, until ctx ends or stop is called.
func (s *server) keepUp(ctx context.Context) (stop func()) {
	if s.node != nil {
		return s.cleanBucket(ctx)
	}
	return s.compactIndex(ctx)
}

// serveCollector runs the collector until ctx ends or stop is called. stop waits for a running collection, which ends
// after its current step.
func (s *server) serveCollector(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Go(func() { s.collector.Serve(ctx) })
	return func() {
		cancel()
		serving.Wait()
	}
}

// newGuard returns the access control.
func newGuard(c config.Config, tokens *auth.Tokens, log *zap.Logger) (*auth.Guard, error) {
	opts, err := c.Access(log)
	opts.Tokens = tokens
	if err != nil {
		return nil, &Error{InvalidConfig, err}
	}
	guard, err := auth.New(opts)
	if err != nil {
		return nil, &Error{InvalidConfig, err}
	}
	return guard, nil
}
