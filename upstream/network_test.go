package upstream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/upstream"
)

// TestMain removes the credentials and proxies of the user from the environment.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "upstream")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"} {
		os.Setenv(name, home)
	}
	for _, name := range []string{"REGISTRY_AUTH_FILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

// network is all that a client under test can reach: hosts by name. A dial to anything else fails the test.
type network struct {
	t     *testing.T
	mu    sync.Mutex
	addrs map[string]string // by host:port
	roots *x509.CertPool
}

func newNetwork(t *testing.T) *network {
	return &network{t: t, addrs: map[string]string{}, roots: x509.NewCertPool()}
}

// serve serves http at host, on port 80 unless host has a port.
func (n *network) serve(host string, h http.Handler) *httptest.Server {
	srv := httptest.NewServer(h)
	n.t.Cleanup(srv.Close)
	n.add(host, "80", srv.Listener.Addr())
	return srv
}

// serveTLS serves https at host, on port 443 unless host has a port. Certificates are for example.com and hosts below
// it.
func (n *network) serveTLS(host string, h http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // of handshakes that were meant to fail
	srv.StartTLS()
	n.t.Cleanup(srv.Close)
	n.roots.AddCert(srv.Certificate())
	n.add(host, "443", srv.Listener.Addr())
	return srv
}

func (n *network) add(host, port string, addr net.Addr) {
	if !strings.Contains(host, ":") {
		host = net.JoinHostPort(host, port)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs[host] = addr.String()
}

func (n *network) dial(ctx context.Context, proto, addr string) (net.Conn, error) {
	n.mu.Lock()
	real, ok := n.addrs[addr]
	n.mu.Unlock()
	if !ok {
		n.t.Errorf("dialled %s", addr)
		return nil, fmt.Errorf("no such host: %s", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, proto, real)
}

// client returns a client for endpoints that reaches this network only.
func (n *network) client(opts upstream.Options, endpoints ...string) *upstream.Client {
	n.t.Helper()
	list := make([]upstream.Config, 0, len(endpoints))
	for _, s := range endpoints {
		e, err := upstream.ParseEndpoint(s)
		if err != nil {
			n.t.Fatal(err)
		}
		list = append(list, e.Config())
	}
	return n.configured(opts, list...)
}

// configured returns a client for upstreams that reaches this network only.
func (n *network) configured(opts upstream.Options, configs ...upstream.Config) *upstream.Client {
	n.t.Helper()
	t := &http.Transport{DialContext: n.dial, TLSClientConfig: &tls.Config{RootCAs: n.roots}}
	n.t.Cleanup(t.CloseIdleConnections)
	opts.Transport = t
	c, err := upstream.New(configs, opts)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// keychain has credentials for hosts: user:password by host.
type keychain map[string]string

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	user, password, ok := strings.Cut(k[r.RegistryStr()], ":")
	if !ok {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: user, Password: password}, nil
}

// requestLog records requests.
type requestLog struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (l *requestLog) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.requests = append(l.requests, r.Clone(context.Background()))
		l.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// lines returns the requests as "METHOD path".
func (l *requestLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, r := range l.requests {
		lines = append(lines, r.Method+" "+r.URL.Path)
	}
	return lines
}

func (l *requestLog) count(path string) int {
	n := 0
	for _, line := range l.lines() {
		if strings.HasSuffix(line, " "+path) {
			n++
		}
	}
	return n
}

// open answers /v2/ with 200 and passes everything else to h.
func open(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			h(w, r)
		}
	})
}

const indexType = "application/vnd.oci.image.index.v1+json"

var (
	index     = []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[]}`)
	indexSHA  = digest.FromBytes(index)
	blob      = []byte("the bytes of a blob")
	blobSHA   = digest.FromBytes(blob)
	app       = mirror.Repo{Host: "registry.test", Path: "org/app"}
	appTag    = mirror.Ref{Repo: app, Tag: "v1"}
	appDigest = mirror.Ref{Repo: app, Digest: indexSHA}
)

// serveIndex serves the index.
func serveIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", indexType)
	w.Header().Set("Docker-Content-Digest", indexSHA.String())
	w.Header().Set("Content-Length", fmt.Sprint(len(index)))
	_, _ = w.Write(index)
}

// status returns a handler that sends an error in the format of registries.
func status(code int, id, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, id, message)
	}
}

// slowDown sends a 429 that allows the next request at once.
func slowDown(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "0")
	status(http.StatusTooManyRequests, "TOOMANYREQUESTS", "slow down")(w, r)
}

// page returns a handler that sends a web page.
func page(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(code)
		fmt.Fprint(w, "<html>Welcome to the guest network</html>")
	}
}

// wantError fails the test unless err has the code and contains all parts.
func wantError(t *testing.T, err error, code mirror.Code, parts ...string) {
	t.Helper()
	if got := mirror.CodeOf(err); got != code {
		t.Errorf("code is %q, want %q: %v", got, code, err)
		return
	}
	var e *mirror.Error
	errors.As(err, &e)
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("message is %q, want %q in it", e.Message, part)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 700 {
		t.Errorf("error is not a short line: %q", err)
	}
}

// within fails the test if f takes much longer than a client under test may.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("still waiting")
	}
}
