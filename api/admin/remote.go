package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"airmirror/mirror"
)

// Remote says how a client reaches the admin API of a mirror on another machine.
type Remote struct {
	// URL is the address of the mirror, with the path that a proxy serves it below. Without a scheme it means https.
	URL string
	// User and Password log in: as a user, or with the name and the secret of an API token. Without a User, the client is
	// anonymous.
	User, Password string
	// CA are PEM certificates that are trusted besides those of the system.
	CA []byte
}

// RemoteTransport sends the requests of a [Client] to a mirror on another machine. It is safe for concurrent use.
type RemoteTransport struct {
	base           *url.URL
	user, password string
	http           *http.Transport
}

// dialTimeout limits how long a connection to a mirror on another machine may take, with its TLS handshake.
const dialTimeout = 15 * time.Second

// Transport returns a transport to the mirror. It sends nothing yet.
func (r Remote) Transport() (*RemoteTransport, error) {
	base, err := r.base()
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if len(r.CA) > 0 && !roots.AppendCertsFromPEM(r.CA) {
		return nil, fmt.Errorf("the file of the certificate authority contains no PEM certificate")
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &RemoteTransport{base: base, user: r.User, password: r.Password, http: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		TLSHandshakeTimeout: dialTimeout,
		WriteBufferSize:     bufferSize + 64,
		// This also keeps to HTTP/1.1, where an answer can arrive while the request is sent.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return drainingConn{conn}, nil
		},
	}}, nil
}

// base returns the URL of the mirror without a slash at its end.
func (r Remote) base() (*url.URL, error) {
	text := r.URL
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	base, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("%q is not the URL of a mirror: write it as https://reg.example", r.URL)
	}
	return base, nil
}

// Host returns the host of the mirror, with the port.
func (t *RemoteTransport) Host() string { return t.base.Host }

// CloseIdleConnections closes the connections that no request uses.
func (t *RemoteTransport) CloseIdleConnections() { t.http.CloseIdleConnections() }

// RoundTrip implements [http.RoundTripper].
func (t *RemoteTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := req.Clone(req.Context())
	sent.URL.Scheme, sent.URL.Host, sent.Host = t.base.Scheme, t.base.Host, ""
	sent.URL.Path, sent.URL.RawPath = t.base.Path+req.URL.Path, t.base.EscapedPath()+req.URL.EscapedPath()
	if t.user != "" {
		sent.SetBasicAuth(t.user, t.password)
	}
	resp, err := t.http.RoundTrip(sent)
	if err != nil {
		return nil, mirror.Errorf(mirror.CodeUnavailable, "cannot reach the mirror at %s: %w", t.base, err)
	}
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 { // credentials are not sent elsewhere
		resp.Body.Close()
		return nil, mirror.Errorf(mirror.CodeUnavailable, "%s redirects to %s: use that address of the mirror", t.base, to)
	}
	return resp, nil
}
