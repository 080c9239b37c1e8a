package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"airmirror/api/certs"
)

// tlsConfig says how clients are served by TLS; they are served without if it is empty.
type tlsConfig struct {
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
	// ClientCAFile has the authorities of clients' certificates, which are required if RequireClientCert is set.
	ClientCAFile      string `yaml:"clientCAFile"`
	RequireClientCert bool   `yaml:"requireClientCert"`
	// RedirectHTTP is an address where clients that come without TLS are told to come with it.
	RedirectHTTP string `yaml:"redirectHTTP"`
}

func (c tlsConfig) enabled() bool { return c.CertFile != "" }

func (c tlsConfig) check() error {
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("TLS needs both a certificate and its key: 'mirror cert' makes them")
	case !c.enabled() && (c.ClientCAFile != "" || c.RequireClientCert || c.RedirectHTTP != ""):
		return errors.New("clients cannot be asked for certificates or redirected without TLS: say which certFile and keyFile to serve with")
	case c.RequireClientCert && c.ClientCAFile == "":
		return errors.New("clients' certificates cannot be required without a clientCAFile to check them against")
	}
	return nil
}

func (c tlsConfig) files() certs.Files {
	return certs.Files{Cert: c.CertFile, Key: c.KeyFile, ClientCA: c.ClientCAFile, RequireClient: c.RequireClientCert}
}

// serve returns what has a server serve clients on listener, and what prepares it for its certificates as they are now, or others. It
// begins to redirect those that come without TLS, until ctx ends.
func (c tlsConfig) serve(ctx context.Context, listener net.Listener, log *zap.Logger) (serveOn func(*http.Server) error, prepare func(tlsConfig) (func(), error), err error) {
	if !c.enabled() {
		return func(server *http.Server) error { return server.Serve(listener) }, func(tlsConfig) (func(), error) { return func() {}, nil }, nil
	}
	follower, err := certs.Follow(c.files(), log)
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	if c.RedirectHTTP != "" {
		plain, err := listen(c.RedirectHTTP, "tls.redirectHTTP")
		if err != nil {
			return nil, nil, err
		}
		go serveRedirect(ctx, plain, listener.Addr(), log)
	}
	return func(server *http.Server) error {
		server.TLSConfig = follower.Config()
		return server.ServeTLS(listener, "", "")
	}, func(next tlsConfig) (func(), error) { return follower.Prepare(next.files()) }, nil
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
