package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"airmirror/api/certs"
	"airmirror/cmd/mirror/config"
)

// transport serves clients with or without TLS.
type transport struct {
	certs *certs.Watcher // nil without TLS
}

// newTransport returns the transport of a server. With tls.redirectHTTP, it redirects plain HTTP to listener until ctx ends.
func newTransport(ctx context.Context, c config.TLS, listener net.Listener, log *zap.Logger) (transport, error) {
	t := transport{}
	if !c.Enabled() {
		return t, nil
	}
	var err error
	if t.certs, err = certs.Watch(c.Files(), log); err != nil {
		return t, &Error{InvalidConfig, err}
	}
	if c.RedirectHTTP != "" {
		plain, err := listen(c.RedirectHTTP, "tls.redirectHTTP")
		if err != nil {
			return t, err
		}
		go serveRedirect(ctx, plain, listener.Addr(), log)
	}
	return t, nil
}

// prepareServer sets the certificates of a server, before it serves.
func (t transport) prepareServer(server *http.Server) {
	if t.certs != nil {
		server.TLSConfig = t.certs.Config()
	}
}

// serve serves clients on a listener until server is shut down.
func (t transport) serve(server *http.Server, listener net.Listener) error {
	if t.certs == nil {
		return server.Serve(listener)
	}
	return server.ServeTLS(httpsListener{listener}, "", "")
}

// prepare reads the certificates of next, and returns a function that uses them.
func (t transport) prepare(next config.TLS) (use func(), err error) {
	if t.certs == nil {
		return func() {}, nil
	}
	return t.certs.Prepare(next.Files())
}

// expires returns a function that returns the expiry of the certificate; nil without TLS.
func (t transport) expires() func() time.Time {
	if t.certs == nil {
		return nil
	}
	return t.certs.Expires
}

// serveRedirect redirects plain HTTP to HTTPS on the port of address until ctx ends.
func serveRedirect(ctx context.Context, listener net.Listener, address net.Addr, log *zap.Logger) {
	_, port, _ := net.SplitHostPort(address.String())
	server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if port != "443" {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		// 308 keeps the method and the body of a push.
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
	}), otherConns, log)
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("cannot redirect plain HTTP any more", zap.Error(err))
	}
}
