package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// TestEndpointsInOrder checks that the next endpoint is tried after a failure and that the last error is returned.
func TestEndpointsInOrder(t *testing.T) {
	unknown, broken := status(404, "MANIFEST_UNKNOWN", "no such tag"), page(500)
	for name, test := range map[string]struct {
		first, second http.HandlerFunc
		code          mirror.Code
		asked         int // requests to the second endpoint
	}{
		"the first has it":       {serveIndex, abort, "", 0},
		"unknown to the first":   {unknown, serveIndex, "", 1},
		"the first fails":        {broken, serveIndex, "", 1},
		"the first is a portal":  {page(200), serveIndex, "", 1},
		"the first hangs":        {func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, serveIndex, "", 1},
		"unknown to both":        {unknown, unknown, mirror.CodeManifestUnknown, 1},
		"unknown to the last":    {broken, unknown, mirror.CodeManifestUnknown, 1},
		"the last cannot tell":   {unknown, broken, mirror.CodeUnavailable, 1},
		"the first limits":       {limited("60"), serveIndex, "", 1},
		"the first wants others": {status(401, "UNAUTHORIZED", ""), serveIndex, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				second := play(test.second)
				n.serve("first.test", play(test.first))
				n.serve("second.test", second)
				c := n.configured(upstream.Options{Timeout: 4 * time.Second}, at("http://first.test", "http://second.test"))
				var err error
				if d := took(func() { err = fetch(t, c) }); d > 4*time.Second {
					t.Errorf("duration is %v", d)
				}
				if got := mirror.CodeOf(err); got != test.code {
					t.Errorf("error is %v, want %q", err, test.code)
				}
				if got := len(second.lines()); got != test.asked {
					t.Errorf("the second got %d requests", got)
				}
			})
		})
	}
}

// TestOneOfTwoEndpointsIsDown checks that the upstream is neither down nor slow.
func TestOneOfTwoEndpointsIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.fail("first.test", syscall.ECONNREFUSED)
		n.serve("second.test", open(serveIndex))
		c := n.configured(upstream.Options{}, at("http://first.test", "http://second.test"))
		for range 10 {
			if err := fetch(t, c); err != nil {
				t.Error(err)
			}
		}
		if got := c.Status()[0]; got.Down || got.Failures != 3 || len(got.URLs) != 2 {
			t.Errorf("status is %+v", got)
		}
		if first, second := n.dialledHost("first.test"), n.dialledHost("second.test"); first != 4 || second != 1 { // three, and /v2/
			t.Errorf("dialled the first %d times, the second %d times", first, second)
		}
	})
}

// TestOneOfTwoResumes resumes a transfer from an endpoint that was down, though the other endpoint answers 404.
func TestOneOfTwoResumes(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("first.test", play(piece(5000), page(500), page(500), piece(len(large))))
		n.serve("second.test", play(status(404, "BLOB_UNKNOWN", "")))
		wantLarge(t, n.configured(upstream.Options{}, at("http://first.test", "http://second.test")))
	})
}

// TestPatterns checks that repositories which are not allowed cause no dial.
func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		allow, deny, path string
		want              bool
	}{
		{"", "", "org/app", true},
		{"org/app", "", "org/app", true},
		{"org/app", "", "org/app/sub", false},
		{"org/*", "", "org/app", true},
		{"org/*", "", "org", false},
		{"org/*", "", "org/app/sub", false},
		{"org/**", "", "org/app/sub", true},
		{"org/**", "", "org", true},
		{"org/**", "", "organ/app", false},
		{"**", "", "a/b/c", true},
		{"**/app", "", "app", true},
		{"**/app", "", "a/b/app", true},
		{"**/app", "", "a/b/app2", false},
		{"a/**/z", "", "a/b/c/z", true},
		{"a/**/z", "", "a/z", true},
		{"a/**/z", "", "a/b/c", false},
		{"library/[a-m]*", "", "library/alpine", true},
		{"library/[a-m]*", "", "library/zsh", false},
		{"", "org/*", "org/app", false},
		{"", "org/*", "other/app", true},
		{"org/**", "**/secret", "org/secret", false},
	} {
		n := newNetwork(t)
		n.serve("registry.test", open(serveIndex))
		config := upstream.Config{Host: "registry.test", Endpoints: []upstream.EndpointConfig{{URL: "http://registry.test"}}}
		if test.allow != "" {
			config.Allow = []string{test.allow}
		}
		if test.deny != "" {
			config.Deny = []string{test.deny}
		}
		if !test.want {
			n.addrs = nil
		}
		c := n.configured(upstream.Options{}, config)
		_, err := c.Manifest(t.Context(), mirror.Ref{Repo: mirror.Repo{Host: "registry.test", Path: test.path}, Tag: "v1"})
		if test.want && err != nil {
			t.Errorf("%+v: %v", test, err)
		}
		if !test.want {
			wantError(t, err, mirror.CodeDenied, "the configuration of upstream registry.test does not allow to fetch registry.test/"+test.path)
		}
	}
}

func TestAliases(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", open(serveIndex))
	config := at("http://registry.test")
	config.Aliases = []string{"Old.test", "registry.hub.docker.com"}
	c := n.configured(upstream.Options{}, config)
	for _, host := range []string{"registry.test", "old.test", "docker.io"} {
		if _, err := c.Manifest(t.Context(), mirror.Ref{Repo: mirror.Repo{Host: host, Path: "org/app"}, Tag: "v1"}); err != nil {
			t.Error(err)
		}
	}
	if got := c.Hosts(); len(got) != 1 || len(c.Status()) != 1 {
		t.Errorf("hosts are %v", got)
	}
	if got := upstream.Aliases([]upstream.Config{config}); got["old.test"] != "registry.test" || len(got) != 2 {
		t.Errorf("aliases are %v", got)
	}
}

func TestWellKnown(t *testing.T) {
	c, err := upstream.New(upstream.WellKnown(), upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range c.Status() {
		got = append(got, s.Host+"="+strings.Join(s.URLs, ","))
	}
	want := "docker.io=https://registry-1.docker.io ghcr.io=https://ghcr.io quay.io=https://quay.io " +
		"registry.k8s.io=https://registry.k8s.io gcr.io=https://gcr.io mcr.microsoft.com=https://mcr.microsoft.com " +
		"public.ecr.aws=https://public.ecr.aws"
	if strings.Join(got, " ") != want {
		t.Errorf("well known are %v", got)
	}
}

// TestCredentials checks that an endpoint gets its own credentials and no other endpoint does.
func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, credentials := range map[string]upstream.Credentials{
		"password": {Username: "me", Password: "secret"},
		"file":     {Username: "me", PasswordFile: file},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.serve("first.test", noAuthorization(t, status(404, "MANIFEST_UNKNOWN", "")))
			n.serve("registry.test", basic(func() string { return "secret" }, serveIndex))
			config := at("http://first.test", "http://registry.test")
			config.Endpoints[1].Credentials = credentials
			if err := fetch(t, n.configured(upstream.Options{}, config)); err != nil {
				t.Error(err)
			}
		})
	}
	n := newNetwork(t)
	n.serve("registry.test", basic(func() string { return "secret" }, serveIndex))
	config := at("http://registry.test")
	config.Endpoints[0].Credentials = upstream.Credentials{Username: "me", PasswordFile: file + "-lost"}
	wantError(t, fetch(t, n.configured(upstream.Options{}, config)), mirror.CodeUnavailable, "reading the password")
}

// TestIdentityToken checks that an identity token is exchanged for tokens and sent to the token service only.
func TestIdentityToken(t *testing.T) {
	n := newNetwork(t)
	k := n.serveTokens(serveIndex)
	config := at("http://registry.test")
	config.Endpoints[0].Credentials = upstream.Credentials{IdentityToken: "identity"}
	if err := fetch(t, n.configured(upstream.Options{}, config)); err != nil {
		t.Fatal(err)
	}
	if len(k.asked) != 1 || k.asked[0].Method != http.MethodPost {
		t.Errorf("the token service got %d requests", len(k.asked))
	}
}

// writePEM writes a block into a new file and returns its name.
func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTLS checks the certificate authorities and the client certificate of an endpoint.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := writePEM(t, "CERTIFICATE", cert), writePEM(t, "PRIVATE KEY", der)

	n := newNetwork(t)
	srv := httptest.NewUnstartedServer(open(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		serveIndex(w, r)
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	srv.Config.ErrorLog = nil
	n.add("example.com", "443", srv.Listener.Addr())
	caFile := writePEM(t, "CERTIFICATE", srv.Certificate().Raw)

	for name, test := range map[string]struct {
		tls  upstream.TLS
		says string
	}{
		"nothing":     {upstream.TLS{CertFile: certFile, KeyFile: keyFile}, "certificate"},
		"no client":   {upstream.TLS{CAFile: caFile}, "refused"},
		"both":        {upstream.TLS{CAFile: caFile, CertFile: certFile, KeyFile: keyFile}, ""},
		"skip verify": {upstream.TLS{SkipVerify: true, CertFile: certFile, KeyFile: keyFile}, ""},
	} {
		config := at("https://example.com")
		config.Endpoints[0].TLS = test.tls
		err := fetch(t, n.configured(upstream.Options{}, config))
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProxy checks that requests use the proxy of the endpoint, and that "none" overrides the environment.
func TestProxy(t *testing.T) {
	n, seen := newNetwork(t), &requestLog{}
	n.serve("proxy.test:3128", seen.wrap(open(serveIndex)))
	config := at("http://registry.test")
	config.Endpoints[0].Proxy = "http://proxy.test:3128"
	if err := fetch(t, n.configured(upstream.Options{}, config)); err != nil {
		t.Error(err)
	}
	if got := seen.requests[0].Host; got != "registry.test" {
		t.Errorf("the proxy got a request for %s", got)
	}
}

func TestConfigErrors(t *testing.T) {
	with := func(e upstream.EndpointConfig) upstream.Config {
		e.URL = "https://registry.test"
		return upstream.Config{Host: "registry.test", Endpoints: []upstream.EndpointConfig{e}}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, config := range map[string]upstream.Config{
		`"" is not the name of a registry host`:    {},
		`"a b" is not the name of a registry host`: {Host: "registry.test", Aliases: []string{"a b"}},
		`endpoint "ftp://x": the scheme ftp:// is`: {Host: "registry.test", Endpoints: []upstream.EndpointConfig{{URL: "ftp://x"}}},
		`"[" is not a pattern`:                     {Host: "registry.test", Allow: []string{"["}},
		`"" is not a pattern`:                      {Host: "registry.test", Deny: []string{""}},
		`"ghcr.io/org/*" begins with the name of another host: write registry.test/ghcr.io/org/* if`: {Host: "registry.test", Allow: []string{"ghcr.io/org/*"}},
		"requestsPerSecond, burst and parallel cannot be negative":                                   {Host: "registry.test", Parallel: -1},
		"both a certFile and a keyFile":                                                              with(upstream.EndpointConfig{TLS: upstream.TLS{CertFile: "x"}}),
		"both a password and a passwordFile":                                                         with(upstream.EndpointConfig{Credentials: upstream.Credentials{Username: "me", Password: "x", PasswordFile: "x"}}),
		"without a username":                                                                         with(upstream.EndpointConfig{Credentials: upstream.Credentials{Password: "x"}}),
		"the proxy is neither":                                                                       with(upstream.EndpointConfig{Proxy: "proxy.test:3128"}),
		"reading the CA certificates":                                                                with(upstream.EndpointConfig{TLS: upstream.TLS{CAFile: empty + "-lost"}}),
		"contains no certificate":                                                                    with(upstream.EndpointConfig{TLS: upstream.TLS{CAFile: empty}}),
		"reading the client certificate":                                                             with(upstream.EndpointConfig{TLS: upstream.TLS{CertFile: empty, KeyFile: empty}}),
	} {
		_, err := upstream.New([]upstream.Config{config}, upstream.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
}

func TestPatternsMayNameTheHost(t *testing.T) {
	c := upstream.Config{Host: "docker.io", Aliases: []string{"hub.corp"}}
	for pattern, want := range map[string]string{
		"library/*":                     "library/*",
		"docker.io/library/*":           "library/*",
		"index.docker.io/library/*:1.*": "library/*:1.*",
		"hub.corp/**":                   "**",
		"docker.io/ghcr.io/org/*":       "ghcr.io/org/*",
		"*.io/app":                      "*.io/app",
	} {
		if got := c.PathPattern(pattern); got != want {
			t.Errorf("%s is %s, want %s", pattern, got, want)
		}
		if err := c.CheckPattern(pattern); err != nil {
			t.Error(err)
		}
	}
}
