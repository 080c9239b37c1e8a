package main

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

// served is how a server reaches clients, by TLS or without.
type served struct {
	listener net.Listener
	follower *certs.Follower // nil without TLS
}

// serveTLS returns how a server serves clients on listener. It begins to redirect those that come without TLS, until ctx ends.
func serveTLS(ctx context.Context, c config.TLS, listener net.Listener, log *zap.Logger) (served, error) {
	s := served{listener: listener}
	if !c.Enabled() {
		return s, nil
	}
	var err error
	if s.follower, err = certs.Follow(c.Files(), log); err != nil {
		return s, &exitError{exitUsage, err}
	}
	if c.RedirectHTTP != "" {
		plain, err := listen(c.RedirectHTTP, "tls.redirectHTTP")
		if err != nil {
			return s, err
		}
		go serveRedirect(ctx, plain, listener.Addr(), log)
	}
	return s, nil
}

// on has a server serve clients, until it is shut down.
func (s served) on(server *http.Server) error {
	if s.follower == nil {
		return server.Serve(s.listener)
	}
	server.TLSConfig = s.follower.Config()
	return server.ServeTLS(s.listener, "", "")
}

// prepare reads the certificates as they are now, or others, and returns what has clients served with them.
func (s served) prepare(next config.TLS) (use func(), err error) {
	if s.follower == nil {
		return func() {}, nil
	}
	return s.follower.Prepare(next.Files())
}

// expires returns until when the certificate is valid; nil without TLS.
func (s served) expires() func() time.Time {
	if s.follower == nil {
		return nil
	}
	return s.follower.Expires
}

// serveRedirect tells clients that come without TLS, until ctx ends, to come with it to the port of address.
func serveRedirect(ctx context.Context, listener net.Listener, address net.Addr, log *zap.Logger) {
	_, port, _ := net.SplitHostPort(address.String())
	server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if port != "443" {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		// 308 keeps the method: a push is not made a pull.
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
	}), log)
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("clients without TLS are not redirected any more", zap.Error(err))
	}
}
