package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"airmirror/api/admin"
)

// serveAdmin answers commands on the socket in the data folder until ctx ends, which ends what they are waiting for as
// well. stop waits until the last is answered and removes the socket. A folder that can have no socket, as on some
// shared file systems, is no reason not to serve clients.
func serveAdmin(ctx context.Context, w *services, c serveConfig, addr net.Addr, log *zap.Logger) (stop func(context.Context)) {
	listener, err := admin.Listen(c.Data)
	if err != nil {
		log.Error("commands cannot speak to this mirror while it runs", zap.Error(err))
		return func(context.Context) {}
	}
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { cancel(admin.ErrShutdown) })
	this := &admin.Server{PID: os.Getpid(), Address: addr.String(), TLS: c.TLS.Enabled(), Started: time.Now().UTC().Truncate(time.Second)}
	server := newServer(newAdmin(w, c, this, log), log)
	server.BaseContext = func(net.Listener) context.Context { return base }
	server.ConnContext = admin.WithPeerCredentials
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); err != http.ErrServerClosed { //nolint:errorlint // net/http returns it as it is
			log.Error("commands cannot speak to this mirror any more", zap.Error(err))
		}
	}()
	return func(deadline context.Context) {
		cancel(admin.ErrShutdown)
		if err := server.Shutdown(deadline); err != nil {
			log.Warn("commands were cut off", zap.Error(err))
			server.Close()
		}
		<-done
	}
}
