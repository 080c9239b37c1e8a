package upstream_test

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// inBubble runs f with a network in memory and a fake clock.
func inBubble(t *testing.T, f func(t *testing.T, n *memoryNetwork)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, &memoryNetwork{t: t, hosts: map[string]chan net.Conn{}, dead: map[string]error{}, dials: map[string]int{}})
	})
}

// memoryNetwork is a network in memory: hosts by name, on port 80. A dial to any other host fails the test.
type memoryNetwork struct {
	t     *testing.T
	mu    sync.Mutex
	hosts map[string]chan net.Conn
	dead  map[string]error // what a dial to a host ends with
	dials map[string]int
}

// serve serves http at host, on port 80.
func (n *memoryNetwork) serve(host string, h http.Handler) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.hosts[host] = l.conns
	srv := &http.Server{Handler: h, ErrorLog: stdlog.New(io.Discard, "", 0)}
	go func() { _ = srv.Serve(l) }()
	n.t.Cleanup(func() { _ = srv.Close() })
}

// fail has dials to host end with err, or succeed if it is nil.
func (n *memoryNetwork) fail(host string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead[host] = err
}

// dialled returns the number of dials to any host.
func (n *memoryNetwork) dialled() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := 0
	for _, dials := range n.dials {
		all += dials
	}
	return all
}

// dialledHost returns the number of dials to one host.
func (n *memoryNetwork) dialledHost(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[host]
}

func (n *memoryNetwork) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	n.mu.Lock()
	n.dials[host]++
	conns, dead := n.hosts[host], n.dead[host]
	n.mu.Unlock()
	switch {
	case dead != nil:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: dead}
	case conns == nil:
		n.t.Errorf("dialled %s", addr)
		return nil, fmt.Errorf("no such host: %s", addr)
	}
	ours, theirs := net.Pipe()
	select {
	case conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *memoryNetwork) configured(opts upstream.Options, configs ...upstream.Config) *upstream.Client {
	n.t.Helper()
	t := &http.Transport{DialContext: n.dial}
	n.t.Cleanup(t.CloseIdleConnections)
	opts.Transport = t
	c, err := upstream.New(configs, opts)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// client returns a client for registry.test.
func (n *memoryNetwork) client(opts upstream.Options) *upstream.Client {
	return n.configured(opts, at("http://registry.test"))
}

// at returns the configuration of registry.test with these endpoints.
func at(urls ...string) upstream.Config {
	c := upstream.Config{Host: "registry.test"}
	for _, url := range urls {
		c.Endpoints = append(c.Endpoints, upstream.EndpointConfig{URL: url})
	}
	return c
}

type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

// script answers each request by its next step; the last step answers all further requests.
type script struct {
	requestLog
	steps []http.HandlerFunc
}

func play(steps ...http.HandlerFunc) *script { return &script{steps: steps} }

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(context.Background()))
	step := s.steps[min(len(s.requests), len(s.steps))-1]
	s.mu.Unlock()
	step(w, r)
}

// headers returns the values of a header of all requests.
func (s *script) headers(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var values []string
	for _, r := range s.requests {
		values = append(values, r.Header.Get(name))
	}
	return values
}

// took returns the duration of f.
func took(f func()) time.Duration {
	begun := time.Now()
	f()
	return time.Since(begun)
}

// fetch fetches the manifest of appTag.
func fetch(t *testing.T, c *upstream.Client) error {
	t.Helper()
	_, err := c.Manifest(t.Context(), appTag)
	return err
}

// wantAtOnce fails the test unless a request fails at once with an error that contains all parts.
func wantAtOnce(t *testing.T, c *upstream.Client, parts ...string) {
	t.Helper()
	var err error
	if d := took(func() { err = fetch(t, c) }); d != 0 {
		t.Errorf("duration is %v", d)
	}
	wantError(t, err, mirror.CodeUnavailable, parts...)
}
