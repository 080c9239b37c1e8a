package server

import (
	"context"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"airmirror/api/admin"
)

// serveAdmin serves the admin API on the socket in the data folder until stop is called, which interrupts running
// commands. stop waits for the last response and removes the socket. The server also runs without the socket, as
// some shared file systems do not support sockets.
func (s *server) serveAdmin(ctx context.Context) (stop func(deadline context.Context)) {
	listener, err := admin.Listen(s.settings.Data)
	if err != nil {
		s.log.Error("cannot listen on the admin socket: commands cannot use this server", zap.Error(err))
		return func(context.Context) {}
	}
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	server := newHTTPServer(admin.Local(s.api), otherConns, s.log)
	server.BaseContext = func(net.Listener) context.Context { return base }
	server.ConnContext = admin.WithPeerCredentials
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); err != http.ErrServerClosed { //nolint:errorlint // net/http does not wrap it
			s.log.Error("the admin socket failed: commands cannot use this server any more", zap.Error(err))
		}
	}()
	return func(deadline context.Context) {
		cancel(admin.ErrShutdown)
		if err := server.Shutdown(deadline); err != nil {
			s.log.Warn("commands were disconnected", zap.Error(err))
			server.Close()
		}
		<-done
	}
}

// newAPI returns the admin API of the server, for its socket and for the web console.
func (s *server) newAPI() *admin.Handler {
	this := &admin.Server{
		PID: os.Getpid(), Address: s.listener.Addr().String(), TLS: s.settings.TLS.Enabled(), Started: time.Now().UTC().Truncate(time.Second),
	}
	return s.admin(admin.Options{Server: this, Details: s.details, Reload: s.reloader.reload, ConsoleLink: s.consoleLink, Access: s.guard, Log: s.log})
}

// details returns what a status says of the server besides the mirror.
func (s *server) details(ctx context.Context) admin.Details {
	reason := s.monitoring.ready.Check(ctx)
	users := s.guard.Users()
	d := admin.Details{
		Ready: &admin.Ready{Ready: reason == "", Reason: reason}, Disk: s.disk(), Users: &users, Access: s.guard.Summary(),
		Requests: s.monitoring.middleware.InFlight(),
	}
	if s.monitoring.expires != nil {
		d.CertificateExpires = s.monitoring.expires()
	}
	return d
}
