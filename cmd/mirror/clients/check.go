package clients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// checkTimeout limits each request of a check. The mirror is near and has the content.
const checkTimeout = 10 * time.Second

// Stored is a complete image of the mirror, for [Check] to pull. The zero value is none.
type Stored struct {
	Ref      mirror.Ref
	Manifest digest.Digest // of one platform of it
}

// way describes the requests of a version of a client.
type way struct {
	client string
	// path is the repository in a URL, and query the query of each request.
	path, query string
	// login says that the client sends the credentials of the setup.
	login bool
	// optional says that the check may fail, as these versions cannot log in.
	optional bool
}

// ways returns the ways of a kind of client for a repository.
func ways(kind string, m Mirror, repo mirror.Repo) []way {
	ns := "?ns=" + url.QueryEscape(repo.Host)
	switch {
	case kind == "podman" || kind == "crio":
		return []way{{client: kind, path: repo.String(), login: true}}
	case kind != "docker":
		return []way{{client: kind, path: repo.Path, query: ns, login: true}}
	}
	classic := way{client: "docker up to 28", path: repo.Path, optional: m.User != ""}
	if len(m.Upstreams) > 0 && repo.Host != m.Upstreams[0] { // under the name of the mirror, with a login
		classic.path, classic.login, classic.optional = repo.String(), true, false
	}
	return []way{classic, {client: "docker 29", path: repo.Path, query: ns, login: true}}
}

// Check pulls an image from m as a kind of client would, and reports each request and the result. Without an image, it
// requests a blob that does not exist, which shows whether the client may pull. The error says what to do.
func Check(ctx context.Context, kind string, m Mirror, stored Stored, report func(string)) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	p := &puller{client: client, m: m, report: report}
	if err := p.ping(ctx); err != nil {
		return fmt.Errorf("%s is not a registry that this machine can use: %w", m.URL(), hint(m, err))
	}
	repo := stored.Ref.Repo
	if repo == (mirror.Repo{}) {
		repo = mirror.Repo{Host: mirror.DockerHub, Path: "library/busybox"}
		if len(m.Upstreams) > 0 {
			repo.Host = m.Upstreams[0]
		}
	}
	for _, w := range ways(kind, m, repo) {
		p.way, p.authorization = w, ""
		switch err := p.pull(ctx, stored); {
		case err != nil && w.optional:
			report(fmt.Sprintf("%s cannot pull through %s: %v", w.client, m.URL(), err))
		case err != nil:
			return fmt.Errorf("%s cannot pull %s: %w", w.client, repo, err)
		case stored == Stored{}:
			report(fmt.Sprintf("%s is allowed to pull through %s; no image is stored yet to pull", w.client, m.URL()))
		default:
			report(fmt.Sprintf("%s can pull through %s: pulled %s", w.client, m.URL(), stored.Ref))
		}
	}
	return nil
}

// client returns an HTTP client for m. It follows no redirects, as a mirror sends none.
func (m Mirror) client() (*http.Client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: &tls.Config{}}
	if m.Cert != "" {
		cert, err := tls.LoadX509KeyPair(m.Cert, m.Key)
		if err != nil {
			return nil, fmt.Errorf("cannot use the certificate %s with the key %s: %w", m.Cert, m.Key, err)
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{cert}
	}
	if m.CA != "" {
		text, err := os.ReadFile(m.CA)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s contains no certificate", m.CA)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{
		Transport: transport, Timeout: checkTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// hint adds to an error of the connection what to do.
func hint(m Mirror, err error) error {
	unknown, wrongName, invalid := x509.UnknownAuthorityError{}, x509.HostnameError{}, x509.CertificateInvalidError{}
	switch {
	case m.Cert == "" && strings.Contains(err.Error(), "tls: certificate required"): // an alert, which has no type
		return fmt.Errorf("%w: create a client certificate with 'mirror cert --client NAME', and set it with --cert and --key", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w; renew it with 'mirror cert', or set the clock", err)
	case errors.As(err, &wrongName):
		return fmt.Errorf("%w; create a certificate for that name: mirror cert --host %s", err, wrongName.Host)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; set its authority with --ca", err)
	case !m.TLS && strings.Contains(err.Error(), "400 Bad Request"):
		return fmt.Errorf("%w; if the mirror serves TLS, use --tls", err)
	case m.TLS && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%w; if the mirror serves no TLS, use --tls=false, or --host http://…", err)
	}
	return err
}
